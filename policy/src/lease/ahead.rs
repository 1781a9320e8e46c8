//! What is held ahead, for when the database is away.
//!
//! A replica may hold a share of each of the next minutes, so that it serves that much of them whatever becomes of the
//! database. They are leases like any others, of windows that have not begun: granted within the cap, and not to be spent
//! before their time. When such a minute begins and the database answers, what is not needed at once goes back, to be asked
//! for as ever. Of days and months more than usual is held instead.

use super::clock::Interval;
use super::exchange::{GrantWish, RefillRequest};
use super::holder::Holder;
use super::pool::{Pool, bounds, inside};
use crate::limit::{Cap, Period, Window};

/// Minutes that shares are held of.
const MINUTES: usize = 15;
/// What the same time uses of a longer window.
const LONGER_S: f64 = 900.0;
const OUTAGE_US: u64 = 900_000_000;

impl Holder {
    /// Wishes for the shares of the next minutes that are not held yet.
    pub(super) fn wish_ahead(&mut self, pool: &mut Pool, current: Window, request: &mut RefillRequest) {
        let Cap::Units(cap) = pool.limit.cap else { return };
        let units = self.share_of(cap);
        // Before the first answer it is not known how many share.
        if pool.limit.period != Period::Minute || units == 0 || self.heard_at.is_none() {
            return;
        }
        let mut window = current;
        for _ in 0..MINUTES {
            window = pool.next(window);
            let (limit_id, tenant_id, cap) = (pool.limit.id.clone(), pool.tenant_id.clone(), pool.limit.cap);
            let held = pool.held(window);
            // More replicas share than did.
            held.let_go(held.free.saturating_sub(units));
            let is_gone = held.standing.is_some_and(|known| known.left == 0);
            if held.wish.is_some() || held.free >= units || is_gone {
                continue;
            }
            let wish = GrantWish {
                lease: self.lease_id(),
                tenant_id,
                limit_id,
                window,
                cap,
                units: units - held.free,
                contended: false,
            };
            held.is_ahead = true;
            held.wish = Some(wish.clone());
            request.wishes.push(wish);
        }
    }

    /// A window whose share was held ahead has begun, and the database answers in it: it needs no more than any other.
    pub(super) fn end_ahead(&self, pool: &mut Pool, time: Interval) {
        let heard = self.heard_at.and_then(|heard| self.clock.at(heard));
        let kept = pool.demand.at_least_one_call(super::refill::CHUNK_S);
        for held in pool
            .all()
            .filter(|held| held.is_ahead && inside(time, held.window))
        {
            let is_heard_in = heard.is_some_and(|heard| heard.from_us >= bounds(held.window).0);
            if is_heard_in && self.away_since.is_none() {
                held.is_ahead = false;
                held.let_go(held.free.saturating_sub(kept));
            }
        }
    }

    /// What is asked for of a long window at once, of which so much is `left` to all.
    pub(super) fn chunk_ahead(&self, pool: &Pool, left: Option<u64>, chunk: u64) -> u64 {
        let share = left.map_or(0, |left| self.share_of(left));
        pool.demand.within(LONGER_S).min(share).max(chunk)
    }

    /// What nobody has asked for so long goes back. Whoever provides for an outage provides for one that begins in a pause.
    pub(super) fn idle_us(&self) -> u64 {
        if self.settings.ahead_permille > 0 {
            self.settings.idle_us.max(OUTAGE_US)
        } else {
            self.settings.idle_us
        }
    }

    /// This replica's part of what is to be held ahead of so many units.
    fn share_of(&self, units: u64) -> u64 {
        let ahead = u128::from(units) * u128::from(self.settings.ahead_permille) / 1_000;
        u64::try_from(ahead / u128::from(self.replicas.max(1))).unwrap_or(u64::MAX)
    }
}
