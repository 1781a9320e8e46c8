//! What a replica holds of one limit: the window under way, those that are over and not yet told, the next one.

use std::sync::Arc;

use super::clock::{Interval, Moment};
use super::demand::Demand;
use super::held::Held;
use crate::limit::{Calendar, Cap, Limit, ROLLING_SLOT_MS, ROLLING_SLOTS, Window};

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) limit: Arc<Limit>,
    pub(super) tenant_id: Arc<str>,
    pub(super) demand: Demand,
    pub(super) last_used: Moment,
    /// By the last question that was about it.
    pub(super) looked_at: Option<Moment>,
    /// Callers wait for it, or soon will: it stands in the line of those that are asked for first.
    pub(super) is_wanted: bool,
    calendar: Calendar,
    /// The one under way, as far as is known.
    current: Window,
    held: Vec<Held>,
}

/// Where the time that it may be lies.
pub(super) enum Place {
    In(Window),
    /// At the end of one window and the beginning of the next: it will be clear in a moment.
    Between,
}

impl Pool {
    pub(super) fn new(limit: &Arc<Limit>, tenant_id: &Arc<str>, now: Moment) -> Self {
        // A zone that is unknown here was refused where the limit was made; its days begin in UTC then.
        let calendar = Calendar::of(&limit.zone).unwrap_or_else(|_| Calendar::utc());
        Self {
            limit: limit.clone(),
            tenant_id: tenant_id.clone(),
            demand: Demand::default(),
            last_used: now,
            looked_at: None,
            is_wanted: false,
            current: Window {
                start_ms: 0,
                end_ms: 0,
            },
            calendar,
            held: Vec::new(),
        }
    }

    /// Takes note that the limit has been changed. A lower cap may already be granted away: what is not in use goes back.
    pub(super) fn follow(&mut self, limit: &Arc<Limit>) {
        if Arc::ptr_eq(&self.limit, limit) {
            return;
        }
        let is_lower = match (self.limit.cap, limit.cap) {
            (Cap::Units(before), Cap::Units(now)) => now < before,
            (Cap::Unlimited, Cap::Units(_)) => true,
            (_, Cap::Unlimited) => false,
        };
        if self.limit.zone != limit.zone || self.limit.period != limit.period {
            self.calendar = Calendar::of(&limit.zone).unwrap_or_else(|_| Calendar::utc());
            self.current = Window {
                start_ms: 0,
                end_ms: 0,
            };
        }
        self.limit = limit.clone();
        for held in &mut self.held {
            held.dry_until = 0;
            if is_lower {
                held.let_go(held.free);
            }
        }
    }

    /// The window under way.
    pub(super) fn place(&mut self, time: Interval) -> Place {
        if !inside(time, self.current) {
            let window = self
                .calendar
                .window(self.limit.period, time.from_us.div_euclid(1_000));
            if !inside(time, window) {
                return Place::Between;
            }
            self.current = window;
        }
        Place::In(self.current)
    }

    pub(super) fn held(&mut self, window: Window) -> &mut Held {
        let at = self.held.iter().position(|held| held.window == window);
        let at = at.unwrap_or_else(|| {
            self.held.push(Held::new(window));
            self.held.len() - 1
        });
        // It has just been found, or put there.
        #[expect(clippy::indexing_slicing, reason = "the place was found a line ago")]
        &mut self.held[at]
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Held> {
        self.held.iter_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// The window under way, if anything of it was ever wanted.
    pub(super) fn current(&self, time: Interval) -> Option<Window> {
        self.held
            .iter()
            .map(|held| held.window)
            .find(|window| inside(time, *window))
    }

    /// The window after the one that is under way.
    pub(super) fn next(&self, window: Window) -> Window {
        self.calendar.next(self.limit.period, window)
    }

    /// Forgets windows that are over, of which everything is told, and that no other depends on.
    pub(super) fn forget(&mut self, time: Interval, mut forgotten: impl FnMut(&Held)) {
        self.held.retain(|held| {
            let is_kept = !is_of_no_account(time, held.window) || held.under_way > 0 || !held.is_told();
            if !is_kept {
                forgotten(held);
            }
            is_kept
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        // Where there is no cap, nothing is owed to anybody.
        let owes = |held: &Held| held.debt > 0 && self.limit.cap != Cap::Unlimited;
        self.held.iter().all(|held| {
            held.free == 0 && held.under_way == 0 && held.wish.is_none() && held.is_told() && !owes(held)
        })
    }

    /// Whether more was used of a window than was granted, and somebody might have it.
    pub(super) fn owes(&self, window: Window) -> bool {
        self.held
            .iter()
            .any(|held| held.window == window && held.owed() > 0)
    }
}

pub(super) fn inside(time: Interval, window: Window) -> bool {
    let (start_us, end_us) = bounds(window);
    start_us <= time.from_us && time.to_us < end_us
}

/// It cannot be that window any more.
pub(super) fn is_over(time: Interval, window: Window) -> bool {
    bounds(window).1 <= time.from_us
}

/// It is over, and what was granted of it does not count any more. A slot of a rolling minute counts for a minute.
pub(super) fn is_of_no_account(time: Interval, window: Window) -> bool {
    let is_slot = window.end_ms.saturating_sub(window.start_ms) == ROLLING_SLOT_MS;
    let counts_ms = if is_slot {
        ROLLING_SLOTS * ROLLING_SLOT_MS
    } else {
        0
    };
    let end_ms = window.end_ms.saturating_add(counts_ms);
    is_over(time, Window { end_ms, ..window })
}

/// In microseconds.
pub(super) fn bounds(window: Window) -> (i64, i64) {
    (
        window.start_ms.saturating_mul(1_000),
        window.end_ms.saturating_mul(1_000),
    )
}
