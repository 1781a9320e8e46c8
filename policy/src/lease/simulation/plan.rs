//! What a run is made of, drawn from its seed before it begins; and what it comes to.

use std::sync::Arc;

use super::Wrong;
use super::random::Random;
use crate::limit::{Cap, Firmness, Limit, Mode, Period, Subject, Unit, Unpriced, Window};

/// Which run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub wrong: Option<Wrong>,
    /// Without, nothing goes wrong.
    pub faults: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// The most that a window saw beyond its cap, or that were under way at once beyond theirs.
    pub excess: u64,
    /// Of the caps on requests in fixed minutes, in thousandths, where the run has one, and no other limit holds it up.
    pub used_permille: Option<u64>,
    pub sent: u64,
    pub commits: u64,
}

pub(super) const STEP_US: u64 = 5_000;
pub(super) const WINDOWS: u64 = 3;
pub(super) const REPLICAS: usize = 3;
/// A full minute.
pub(super) const EPOCH_US: i64 = 1_700_000_040_000_000;
/// Units of a window are granted so long before it begins, and a replica may hear so late of a change.
const EARLY_MS: i64 = 4_000;
/// After a fail-over all have told what they hold: an outage and a process that stands still are over by then.
const TOLD_US: u64 = 70_000_000;
const WAITED_US: u64 = 50_000_000;

/// What is drawn for one run.
pub(super) struct Fate {
    pub(super) limits: Vec<Arc<Limit>>,
    /// At some time the caps become these.
    pub(super) change: Option<(u64, Vec<Arc<Limit>>)>,
    /// At some time the database's clock jumps, by so many microseconds.
    pub(super) jump: Option<(u64, i64)>,
    /// Tokens of a call at most.
    pub(super) tokens_max: u64,
    /// Calls in a thousand steps of a replica.
    pub(super) rate_permille: u64,
    pub(super) keeps_journals: bool,
    /// How many calls may be under way, where that is limited.
    pub(super) calls_max: Option<u64>,
    /// Of the next minutes so many thousandths are held.
    pub(super) ahead_permille: u32,
    /// The database is copied at some time, and at a later one the copy takes its place.
    pub(super) fail_over: Option<(u64, u64)>,
    outage: Option<(u64, u64)>,
}

impl Fate {
    pub(super) fn of(plan: Plan, random: &mut Random) -> Self {
        let cap = match random.between(0, 5) {
            0 => 1,
            1 => 3,
            2 => 10,
            3 | 4 => 100,
            _ => 1_000,
        };
        let cap: u64 = if plan.faults { cap } else { cap.max(100) };
        let period = match random.between(0, 3) {
            0 if plan.faults => Period::RollingMinute,
            _ => Period::Minute,
        };
        let tokens_max = random.between(1, 20);
        // Demand from 0.7 to 12 times the cap.
        let demand_tenths = random.between(if plan.faults { 7 } else { 30 }, 120);
        let steps = 60_000_000 / STEP_US * REPLICAS as u64;
        let at = |random: &mut Random| random.between(1, WINDOWS * 60 - 16) * 1_000_000;
        let outage = (plan.faults && random.once_in(2)).then(|| {
            let begins = at(random);
            (begins, begins + random.between(1, 15) * 1_000_000)
        });
        let calls_max = (plan.faults && random.once_in(2)).then(|| random.between(1, 12));
        let change = (plan.faults && random.once_in(4)).then(|| {
            let other = random.between(cap.div_ceil(2), cap * 2);
            (at(random), limits(other, period, tokens_max, calls_max))
        });
        let jump = (plan.faults && random.once_in(8)).then(|| (at(random), random.around(90_000_000)));
        let fail_over = (plan.faults && random.once_in(4)).then(|| {
            let copied = at(random);
            (copied, copied + random.between(0, 12) * 1_000_000)
        });
        let ahead_permille = if plan.faults && random.once_in(4) { 300 } else { 0 };
        Self {
            fail_over,
            limits: limits(cap, period, tokens_max, calls_max),
            ahead_permille,
            change,
            jump,
            tokens_max,
            rate_permille: (cap * demand_tenths * 100 / steps).max(1),
            keeps_journals: plan.faults && random.once_in(2),
            calls_max,
            outage,
        }
    }

    pub(super) fn is_out(&self, now_us: u64) -> bool {
        self.outage
            .is_some_and(|(from, until)| (from..until).contains(&now_us))
    }

    /// Whether somebody who dies now takes with him what only he knows, and the database has to be told.
    pub(super) fn is_irreplaceable(&self, now_us: u64) -> bool {
        self.fail_over
            .is_some_and(|(copied_us, taken_over_us)| (copied_us..taken_over_us + TOLD_US).contains(&now_us))
    }

    /// Somebody who stands still for longer than he is waited for after a fail-over, holding what only he knows, is more than
    /// any protocol can mend.
    pub(super) fn waited_until_us(&self, now_us: u64) -> u64 {
        let waited_us = self.fail_over.map(|(_, taken_over_us)| taken_over_us + WAITED_US);
        waited_us
            .filter(|waited_us| now_us < *waited_us)
            .unwrap_or(u64::MAX)
    }

    /// The highest cap that held while units of a window were granted.
    pub(super) fn cap(&self, number: usize, window: Window) -> u64 {
        let cap = |limits: &[Arc<Limit>]| match limits.get(number).map(|limit| limit.cap) {
            Some(Cap::Units(cap)) => cap,
            _ => u64::MAX,
        };
        let before = cap(&self.limits);
        let Some((at_us, changed)) = &self.change else {
            return before;
        };
        let at_ms = (EPOCH_US + i64::try_from(*at_us).unwrap_or(0)).div_euclid(1_000);
        let after = cap(changed);
        // Where the clock jumps, the change may lie in any window by it.
        let was_granted_before =
            self.jump.is_some() || self.ahead_permille > 0 || window.start_ms - EARLY_MS < at_ms;
        let rolls_on = self.jump.is_some() || window.end_ms.saturating_add(60_000) > at_ms;
        match (was_granted_before, rolls_on) {
            (true, true) => before.max(after),
            (true, false) => before,
            (false, _) => after,
        }
    }
}

/// A limit on a tenant, in UTC, that refuses what goes beyond it.
pub(in crate::lease) fn limit(id: &str, unit: Unit, period: Period, cap: Cap) -> Limit {
    Limit {
        id: Arc::from(id),
        subject: Subject::Tenant,
        unit,
        period,
        zone: Arc::from("UTC"),
        cap,
        mode: Mode::Enforce,
        firmness: Firmness::Hard,
        unpriced: Unpriced::Refuse,
    }
}

fn limits(cap: u64, period: Period, tokens_max: u64, calls_max: Option<u64>) -> Vec<Arc<Limit>> {
    let limit = |id: &str, unit, period, cap| Arc::new(limit(id, unit, period, Cap::Units(cap)));
    let tokens = cap * tokens_max * 3 / 4 + tokens_max;
    let calls = calls_max.map(|most| limit("calls", Unit::Concurrent, Period::Always, most));
    [
        limit("requests", Unit::Requests, period, cap),
        limit("tokens", Unit::Tokens, Period::Minute, tokens),
        limit("day", Unit::Requests, Period::Day, cap * WINDOWS * 2),
    ]
    .into_iter()
    .chain(calls)
    .collect()
}
