//! What holds at a replica always, and how often it did not: never, or this program is wrong.
//!
//! The invariants bear the numbers that the protocol's description gives them. I2: what is free, spent, lost and returned of
//! a window is what was granted, and no lease returned more than it had. I4: a unit is spent while all of the possible time
//! lies in its window. I5: units come from an answer to what was wished, by its name. I7: what left the hand never comes
//! back. I8: what was asked by another run, or of another database, changes nothing. I9: a reservation is settled once, and
//! gives back no more than it had.

use super::held::Held;
use super::holder::Holder;
use super::pool::Pool;
use crate::limit::{Period, Unit};

/// Statements that were found not to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Broken {
    pub sums: u64,
    pub windows: u64,
    pub grants: u64,
    pub answers: u64,
    pub settlements: u64,
}

/// What became of units of one kind of limit, as the database has counted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    pub granted: u64,
    pub returned: u64,
    pub spent: u64,
    pub burnt: u64,
}

/// By kind of limit. There are few.
#[derive(Debug, Default)]
pub(super) struct Flows(Vec<((Unit, Period), Flow)>);

impl Flows {
    pub(super) fn of(&mut self, unit: Unit, period: Period) -> &mut Flow {
        let kind = (unit, period);
        let at = self.0.iter().position(|(known, _)| *known == kind);
        let at = at.unwrap_or_else(|| {
            self.0.push((kind, Flow::default()));
            self.0.len() - 1
        });
        // It has just been found, or put there.
        #[expect(clippy::indexing_slicing, reason = "the place was found a line ago")]
        &mut self.0[at].1
    }
}

impl Broken {
    pub fn all(&self) -> u64 {
        let Self {
            sums,
            windows,
            grants,
            answers,
            settlements,
        } = self;
        sums + windows + grants + answers + settlements
    }
}

impl Holder {
    /// What did not hold of what must, since this was last asked.
    pub fn take_broken(&mut self) -> Broken {
        std::mem::take(&mut self.broken)
    }

    /// What became of units since this was last asked.
    pub fn take_flows(&mut self) -> impl Iterator<Item = (Unit, Period, Flow)> {
        let flows = std::mem::take(&mut self.flows).0;
        flows
            .into_iter()
            .map(|((unit, period), flow)| (unit, period, flow))
    }

    /// Looks at what is held of a limit.
    pub(super) fn look_at_sums(&mut self, pool: &Pool) {
        let odd = pool.iter().filter(|held| !held.is_sound()).count();
        self.broken.sums += u64::try_from(odd).unwrap_or(u64::MAX);
    }
}

impl Held {
    /// I2, I7 and I9: what is free, spent, lost and returned is what was granted; and calls under way hold no more than is
    /// spent.
    pub(super) fn is_sound(&self) -> bool {
        let granted: u64 = self.leases.iter().map(|lease| lease.amount).sum();
        let returned: u64 = self.leases.iter().map(|lease| lease.returned).sum();
        self.free + self.spent + self.burnt + returned == granted
            && self.leases.iter().all(|lease| lease.has_told_no_more())
            && self.under_way_units <= self.spent
    }
}
