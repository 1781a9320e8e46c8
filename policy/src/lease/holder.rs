//! A replica's leases: what it may admit calls by, without asking anybody.
//!
//! All limits that concern a call are taken from together, all or none ([`Holder::reserve`]); whoever holds a
//! [`Reservation`] gives it back with what was really used ([`Holder::settle`]), or unused ([`Holder::unused`]). One that is
//! dropped stays spent. What has to be asked of the database, and told it, is in [`super::refill`].
//!
//! The rules that keep a window from being over-spent, whatever fails: a unit is spent only while the whole interval of
//! possible database time lies in its window; units come only from an answer, to this run of this replica, by the name of
//! their lease; what is given back leaves this hand before it is told; and time gives nothing back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::clock::{DatabaseClock, Interval, Moment};
use super::exchange::{Incarnation, LeaseId};
use super::journal::{Journal, Owed};
use super::past::Dormant;
use super::pool::{Place, Pool, inside};
use super::sound::{Broken, Flows};
use crate::limit::{Cap, Firmness, Limit, Mode, Period, ROLLING_SLOT_MS, ROLLING_SLOTS, Unit, Window};

/// What of one limit a call needs.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    pub tenant_id: &'a Arc<str>,
    pub limit: &'a Arc<Limit>,
    pub units: u64,
}

/// Units that one call has been given.
#[must_use = "units that nobody settles stay spent"]
#[derive(Debug, Default)]
pub struct Reservation {
    /// Of the run that gave them: another one knows nothing of them.
    run: i64,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug)]
pub(super) struct Piece {
    limit_id: Arc<str>,
    pub(super) window: Window,
    unit: Unit,
    units: u64,
    /// It is a reason to refuse.
    binds: bool,
    /// What was reserved is the most that the call can use.
    is_hard: bool,
}

/// Why a call has to wait, or to go.
#[derive(Debug, Clone)]
pub struct Denied {
    pub limit: Arc<Limit>,
    /// None before the first answer of the database.
    pub window: Option<Window>,
    /// Units that the call would have needed.
    pub wanted: u64,
    pub why: DeniedWhy,
    /// What time it is at the database, in milliseconds since the Unix epoch; `None` before its first answer.
    pub now_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeniedWhy {
    /// The database has been asked, or will be in a moment: worth waiting for an answer.
    Waiting,
    /// One window ends and another begins: it will be clear in milliseconds.
    Boundary,
    /// What was held is spent, and the database cannot be asked.
    StoreAway,
    /// The window is used up. It frees when the window ends.
    Exhausted,
    /// No call of this size ever fits.
    NeverFits,
}

#[derive(Debug, Clone, Copy)]
pub struct HolderSettings {
    /// Time between two questions to the database, in microseconds.
    pub tick_us: u64,
    /// Units that nobody has asked for so long go back, in microseconds.
    pub idle_us: u64,
    /// A window that gave nothing twice is not asked again for so long, in microseconds.
    pub dry_us: u64,
    /// The next window is asked for so long before this one ends, in microseconds.
    pub ahead_us: i64,
    /// Of each of the next minutes, all replicas together hold so many thousandths, for when the database is away; 0 for none.
    pub ahead_permille: u32,
}

impl Default for HolderSettings {
    fn default() -> Self {
        Self {
            tick_us: 100_000,
            idle_us: 30_000_000,
            dry_us: 1_000_000,
            ahead_us: 2_000_000,
            ahead_permille: 0,
        }
    }
}

/// Calls under way are counted for a replica that is not seen any more until the last of its calls must have ended. So one
/// that is cut off lets none begin after a while, in microseconds.
const FENCE_US: u64 = 300_000_000;

/// What one replica holds of all windows of all limits.
#[derive(Debug)]
pub struct Holder {
    pub(super) from: Incarnation,
    pub(super) store_epoch: i64,
    pub(super) settings: HolderSettings,
    pub(super) clock: DatabaseClock,
    /// By the limit's id.
    pub(super) pools: HashMap<Arc<str>, Pool>,
    /// Which limit a lease is of.
    pub(super) homes: HashMap<LeaseId, Arc<str>>,
    /// Limits for which callers wait, or soon will: they are asked for first.
    pub(super) wanted: VecDeque<Arc<str>>,
    /// The place among all pools of the one whose turn it is.
    pub(super) next_pool: usize,
    pub(super) next_lease: u128,
    pub(super) replicas: u32,
    /// Since when questions have had no answer.
    pub(super) away_since: Option<Moment>,
    /// Another run of this replica has begun, so this one spends nothing any more.
    pub(super) superseded: bool,
    /// Questions that are answered.
    pub(super) turn: u64,
    /// The database is not the one that it was, knows of so many answers, and has to be told what is held.
    pub(super) reporting: Option<u64>,
    /// The database grants nothing for now.
    pub(super) is_learning: bool,
    /// What has been used of limits that are not used any more.
    pub(super) dormant: Dormant,
    /// When that was last looked through for what is over.
    pub(super) forgot_at: Moment,
    pub(super) asked_at: Option<Moment>,
    /// When the last answer came.
    pub(super) heard_at: Option<Moment>,
    /// How often the clocks disagreed, and what was held was given up.
    pub(super) anomalies: u64,
    /// How often something did not hold that must.
    pub(super) broken: Broken,
    pub(super) flows: Flows,
    pub(super) journal: Journal,
    /// What an earlier run of this replica left to be told.
    pub(super) owed: BTreeMap<LeaseId, Owed>,
}

/// A limit as a caller may be told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    pub cap: u64,
    /// At least so much is left.
    pub units: u64,
    /// When all of it is there again, in milliseconds since the Unix epoch: the window ends, or what was used last in a rolling
    /// minute counts no more.
    pub resets_at_ms: i64,
    /// What time it is now, by the same clock.
    pub now_ms: i64,
}

impl Holder {
    /// Leases are named by numbers that go up from `first_lease`, which nobody else may use: a random one.
    pub fn new(from: Incarnation, store_epoch: i64, first_lease: u128, settings: HolderSettings) -> Self {
        Self {
            from,
            store_epoch,
            settings,
            clock: DatabaseClock::default(),
            pools: HashMap::new(),
            homes: HashMap::new(),
            wanted: VecDeque::new(),
            next_pool: 0,
            next_lease: first_lease,
            replicas: 1,
            away_since: None,
            superseded: false,
            turn: 0,
            reporting: None,
            is_learning: false,
            dormant: Dormant::default(),
            forgot_at: 0,
            asked_at: None,
            heard_at: None,
            anomalies: 0,
            broken: Broken::default(),
            flows: Flows::default(),
            journal: Journal::default(),
            owed: BTreeMap::new(),
        }
    }

    /// Takes in what time it was at the database, asked at `asked` and known at `answered`: a replica that is told when it
    /// begins saves its first callers a question.
    pub fn begin_clock(&mut self, asked: Moment, answered: Moment, database_ms: i64) {
        if self.clock.at(answered).is_none() {
            self.clock.learn(asked, answered, database_ms);
        }
    }

    /// Takes what a call needs from all of its limits, or nothing from any.
    ///
    /// # Errors
    /// When one of them does not have it. The one that takes longest to free answers.
    pub fn reserve(&mut self, now: Moment, wants: &[Want<'_>]) -> Result<Reservation, Box<Denied>> {
        let time = self.clock.at(now);
        let mut denied: Option<Box<Denied>> = None;
        for want in wants {
            if let Err((window, why)) = self.look(now, time, want) {
                let new = Denied {
                    limit: want.limit.clone(),
                    window,
                    wanted: want.units,
                    why,
                    now_ms: time.map(|time| time.from_us.div_euclid(1_000)),
                };
                let is_tighter = denied.as_ref().is_none_or(|old| {
                    (new.why, new.window.map(|window| window.end_ms))
                        > (old.why, old.window.map(|window| window.end_ms))
                });
                if is_tighter {
                    denied = Some(Box::new(new));
                }
            }
        }
        match denied {
            Some(denied) => Err(denied),
            None => Ok(self.take(now, time, wants)),
        }
    }

    /// Whether a limit has what a call wants; when it has not, what it would need is remembered.
    fn look(
        &mut self,
        now: Moment,
        time: Option<Interval>,
        want: &Want<'_>,
    ) -> Result<(), (Option<Window>, DeniedWhy)> {
        let is_away = self.away_since.is_some() || self.reporting.is_some() || self.is_learning;
        let superseded = self.superseded;
        let unheard_us = self.heard_at.map(|heard| now.saturating_sub(heard));
        let is_fenced = want.limit.period == Period::Always && unheard_us > Some(FENCE_US);
        let observes = want.observes();
        let units = want.reserved();
        if let Cap::Units(cap) = want.limit.cap
            && units > cap
            && !observes
        {
            return Err((None, DeniedWhy::NeverFits));
        }
        let (pool, dormant) = self.pool(want, now);
        let Some(time) = time else {
            return if observes {
                Ok(())
            } else {
                Err((None, DeniedWhy::Waiting))
            };
        };
        let window = match pool.place(time) {
            Place::In(window) => window,
            Place::Between if observes => return Ok(()),
            Place::Between => return Err((None, DeniedWhy::Boundary)),
        };
        pool.last_used = now;
        let held = pool.held(window);
        dormant.take(&want.limit.id, held);
        if held.free >= units && !superseded && !is_fenced {
            return Ok(());
        }
        if held.dry_until > now {
            return if observes {
                Ok(())
            } else {
                Err((Some(window), DeniedWhy::Exhausted))
            };
        }
        held.unmet = held.unmet.saturating_add(units);
        if !std::mem::replace(&mut pool.is_wanted, true) {
            self.wanted.push_back(want.limit.id.clone());
        }
        match (observes, is_away) {
            (true, _) => Ok(()),
            (false, true) => Err((Some(window), DeniedWhy::StoreAway)),
            // Where another run has begun, the next answer is that of a run which begins anew.
            (false, false) => Err((Some(window), DeniedWhy::Waiting)),
        }
    }

    fn take(&mut self, now: Moment, time: Option<Interval>, wants: &[Want<'_>]) -> Reservation {
        let mut reservation = Reservation {
            run: self.from.number,
            pieces: Vec::with_capacity(wants.len()),
        };
        let mut broken_windows = 0;
        for want in wants {
            let (pool, _) = self.pool(want, now);
            let window = match time.map(|time| pool.place(time)) {
                Some(Place::In(window)) => window,
                // Only what is observed comes here without a window; it is not counted then.
                Some(Place::Between) | None => continue,
            };
            let units = want.reserved();
            pool.demand.taken(units);
            let held = pool.held(window);
            let is_there = time.is_some_and(|time| inside(time, window)) && held.free >= units;
            broken_windows += u64::from(!is_there && !want.observes());
            // What is only observed may want more than is there; settling counts what goes beyond it.
            let units = units.min(held.free);
            held.spend(units);
            // However many limits there are, its turn comes before it is used up.
            let is_low = held.free < held.low;
            if is_low && !std::mem::replace(&mut pool.is_wanted, true) {
                self.wanted.push_back(want.limit.id.clone());
            }
            reservation.pieces.push(Piece {
                limit_id: want.limit.id.clone(),
                window,
                unit: want.limit.unit,
                units,
                binds: !want.observes(),
                is_hard: want.limit.firmness == Firmness::Hard && !want.observes(),
            });
            self.journal.touch(&want.limit.id, window);
        }
        self.broken.windows += broken_windows;
        reservation
    }

    fn pool(&mut self, want: &Want<'_>, now: Moment) -> (&mut Pool, &mut Dormant) {
        let pool = self
            .pools
            .entry(want.limit.id.clone())
            .or_insert_with(|| Pool::new(want.limit, want.tenant_id, now));
        pool.follow(want.limit);
        (pool, &mut self.dormant)
    }

    /// Whether the call may still go out, just before its first byte does: its windows may have ended while it waited.
    pub fn may_send(&self, reservation: &Reservation, now: Moment) -> bool {
        let mut binding = reservation.pieces.iter().filter(|piece| piece.binds).peekable();
        if binding.peek().is_none() {
            return true;
        }
        let Some(time) = self.clock.at(now) else {
            return false;
        };
        let is_of_this_run = !self.superseded && reservation.run == self.from.number;
        is_of_this_run && binding.all(|piece| inside(time, piece.window))
    }

    /// The call is over, and used this much of each unit: the difference goes back, or is made up for, as long as its window
    /// is under way.
    pub fn settle(&mut self, reservation: Reservation, used: &Used, now: Moment) {
        self.end(reservation, now, |piece| match piece.unit {
            Unit::Concurrent => 0,
            unit => used.of(unit).unwrap_or(piece.units),
        });
    }

    /// The call is over, and used at least this much: it broke off, or its provider did not tell. Of hard limits it keeps all
    /// that it could have used.
    pub fn settle_at_least(&mut self, reservation: Reservation, used: &Used, now: Moment) {
        self.end(reservation, now, |piece| match piece.unit {
            Unit::Concurrent => 0,
            unit => {
                let least = if piece.is_hard { piece.units } else { 0 };
                used.of(unit).map_or(piece.units, |used| used.max(least))
            }
        });
    }

    /// What a call used beyond what it had reserved, of limits that are known.
    pub fn overdrawn<'a>(
        &'a self,
        reservation: &'a Reservation,
        used: &'a Used,
    ) -> impl Iterator<Item = (Unit, Period, u64)> + 'a {
        reservation.pieces.iter().filter_map(|piece| {
            let beyond = used.of(piece.unit)?.saturating_sub(piece.units);
            let pool = self.pools.get(&piece.limit_id)?;
            // What is only observed need not have been there to be reserved.
            (beyond > 0 && piece.binds && piece.unit != Unit::Concurrent).then_some((
                piece.unit,
                pool.limit.period,
                beyond,
            ))
        })
    }

    /// Nothing of the call was ever sent.
    pub fn unused(&mut self, reservation: Reservation, now: Moment) {
        self.end(reservation, now, |_| 0);
    }

    fn end(&mut self, reservation: Reservation, now: Moment, used: impl Fn(&Piece) -> u64) {
        let time = self.clock.at(now);
        if reservation.run != self.from.number {
            return;
        }
        for piece in reservation.pieces {
            let Some(pool) = self.pools.get_mut(&piece.limit_id) else {
                continue;
            };
            let is_rolling = pool.limit.period == Period::RollingMinute;
            let held = pool.held(piece.window);
            // Each reservation is there until it ends, once: it is moved in here.
            let is_there = held.under_way > 0 && piece.units <= held.under_way_units.min(held.spent);
            self.broken.settlements += u64::from(!is_there);
            held.ended(piece.units);
            // A slot of a rolling minute is over long before the minute that it counts for is.
            let runs = is_rolling || time.is_some_and(|time| inside(time, piece.window));
            let used = used(&piece);
            if used > piece.units {
                held.overdraw(used - piece.units);
            } else if runs {
                held.give_back(piece.units - used);
            }
            self.journal.touch(&piece.limit_id, piece.window);
        }
    }

    /// How a limit stands, for whoever wants to know before being refused; `None` when it is not known, or is no limit.
    pub fn remaining(&self, limit: &Limit, now: Moment) -> Option<Remaining> {
        let Cap::Units(cap) = limit.cap else {
            return None;
        };
        let time = self.clock.at(now)?;
        let pool = self.pools.get(&limit.id)?;
        let held = pool.iter().find(|held| inside(time, held.window))?;
        let left = held.standing.map_or(0, |known| known.left);
        Some(Remaining {
            cap,
            units: held.free.saturating_add(left).min(cap),
            resets_at_ms: match limit.period {
                Period::RollingMinute => held
                    .window
                    .start_ms
                    .saturating_add(ROLLING_SLOTS * ROLLING_SLOT_MS),
                _ => held.window.end_ms,
            },
            now_ms: time.from_us.div_euclid(1_000),
        })
    }

    /// Which run of which replica this is.
    pub fn incarnation(&self) -> &Incarnation {
        &self.from
    }

    /// Whether nothing is held, wanted, remembered or owed for an earlier run, so that there is nothing to ask.
    pub fn holds_nothing(&self) -> bool {
        self.pools.is_empty() && self.dormant.is_empty() && self.owed.is_empty()
    }

    /// The database whose units these are.
    pub fn store_epoch(&self) -> i64 {
        self.store_epoch
    }

    /// Whether another run of this replica has taken its place.
    pub fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// How often the clocks disagreed, and everything held was given up.
    pub fn anomalies(&self) -> u64 {
        self.anomalies
    }

    /// Whether questions to the database are not answered at the moment.
    pub fn is_cut_off(&self) -> bool {
        self.away_since.is_some()
    }

    pub(super) fn lease_id(&mut self) -> LeaseId {
        let id = LeaseId(self.next_lease);
        self.next_lease = self.next_lease.wrapping_add(1);
        id
    }
}

/// What a call used, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub nano_dollars: Option<u64>,
}

impl Used {
    /// Of one unit; `None` where nobody knows, and what was reserved stays spent.
    fn of(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Requests => Some(1),
            Unit::InputTokens => self.input_tokens,
            Unit::OutputTokens => self.output_tokens,
            Unit::Tokens => Some(self.input_tokens?.saturating_add(self.output_tokens?)),
            Unit::NanoDollars => self.nano_dollars,
            Unit::Concurrent => Some(0),
        }
    }
}

impl Want<'_> {
    /// It is counted, and no reason to refuse.
    fn observes(&self) -> bool {
        self.limit.mode == Mode::Observe || self.limit.cap == Cap::Unlimited
    }

    /// A soft limit smaller than what a call is expected to use lets one call through at a time.
    fn reserved(&self) -> u64 {
        match (self.limit.firmness, self.limit.cap) {
            (Firmness::Soft, Cap::Units(cap)) if cap > 0 => self.units.min(cap),
            _ => self.units,
        }
    }
}

impl Reservation {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
