//! How often limits let calls through and do not, and what was used beyond what had been reserved; by unit and period, which
//! are few, whatever tenants there are.

use std::sync::atomic::{AtomicU64, Ordering};

use policy::lease::{Broken, Flow, Holder};
use policy::limit::{Limit, Period, Unit};

use super::Need;

#[derive(Debug, Default)]
pub(crate) struct Figures {
    counts: [[Counts; PERIODS.len()]; UNITS.len()],
    /// Questions to the database, and those of them without an answer.
    pub(super) asked: AtomicU64,
    pub(super) unanswered: AtomicU64,
    /// Times that something did not hold that must.
    broken: AtomicU64,
}

#[derive(Debug, Default)]
struct Counts {
    reserved: AtomicU64,
    refused: AtomicU64,
    overdrawn: AtomicU64,
    granted: AtomicU64,
    returned: AtomicU64,
    spent: AtomicU64,
    burnt: AtomicU64,
}

/// Of one unit and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) unit: &'static str,
    pub(crate) period: &'static str,
    pub(crate) reserved: u64,
    pub(crate) refused: u64,
    pub(crate) overdrawn: u64,
    /// What became of units, as the database has counted it.
    pub(crate) flow: Flow,
}

const UNITS: [Unit; 6] = [
    Unit::Requests,
    Unit::InputTokens,
    Unit::OutputTokens,
    Unit::Tokens,
    Unit::NanoDollars,
    Unit::Concurrent,
];
const PERIODS: [Period; 5] = [
    Period::Minute,
    Period::RollingMinute,
    Period::Day,
    Period::Month,
    Period::Always,
];

impl Figures {
    pub(super) fn taken(&self, needs: &[Need]) {
        for need in needs {
            if let Some(counts) = self.of(need.limit.unit, need.limit.period) {
                counts.reserved.fetch_add(need.units, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn refused(&self, limit: &Limit) {
        if let Some(counts) = self.of(limit.unit, limit.period) {
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn overdrawn(&self, unit: Unit, period: Period, units: u64) {
        if let Some(counts) = self.of(unit, period) {
            counts.overdrawn.fetch_add(units, Ordering::Relaxed);
        }
    }

    /// Takes in what has become of units since the last time.
    pub(super) fn flown(&self, holder: &mut Holder) {
        for (unit, period, flow) in holder.take_flows() {
            if let Some(counts) = self.of(unit, period) {
                counts.granted.fetch_add(flow.granted, Ordering::Relaxed);
                counts.returned.fetch_add(flow.returned, Ordering::Relaxed);
                counts.spent.fetch_add(flow.spent, Ordering::Relaxed);
                counts.burnt.fetch_add(flow.burnt, Ordering::Relaxed);
            }
        }
        let broken = holder.take_broken();
        debug_assert_eq!(broken, Broken::default(), "what must hold does not");
        if broken != Broken::default() {
            tracing::error!(?broken, "what must always hold of leases does not");
            self.broken.fetch_add(broken.all(), Ordering::Relaxed);
        }
    }

    pub(crate) fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// Those that are not all zero.
    pub(crate) fn all(&self) -> Vec<Figure> {
        let units = UNITS.iter().zip(&self.counts);
        let each = units.flat_map(|(unit, counts)| {
            let periods = PERIODS.iter().zip(counts);
            periods.map(move |(period, counts)| Figure {
                unit: unit_name(*unit),
                period: period_name(*period),
                reserved: counts.reserved.load(Ordering::Relaxed),
                refused: counts.refused.load(Ordering::Relaxed),
                overdrawn: counts.overdrawn.load(Ordering::Relaxed),
                flow: Flow {
                    granted: counts.granted.load(Ordering::Relaxed),
                    returned: counts.returned.load(Ordering::Relaxed),
                    spent: counts.spent.load(Ordering::Relaxed),
                    burnt: counts.burnt.load(Ordering::Relaxed),
                },
            })
        });
        each.filter(|figure| {
            (figure.reserved, figure.refused, figure.overdrawn) != (0, 0, 0) || figure.flow != Flow::default()
        })
        .collect()
    }

    pub(crate) fn questions(&self) -> (u64, u64) {
        (
            self.asked.load(Ordering::Relaxed),
            self.unanswered.load(Ordering::Relaxed),
        )
    }

    fn of(&self, unit: Unit, period: Period) -> Option<&Counts> {
        let unit = UNITS.iter().position(|known| *known == unit)?;
        let period = PERIODS.iter().position(|known| *known == period)?;
        self.counts.get(unit)?.get(period)
    }
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::InputTokens => "input_tokens",
        Unit::OutputTokens => "output_tokens",
        Unit::Tokens => "tokens",
        Unit::NanoDollars => "nano_dollars",
        Unit::Concurrent => "concurrent",
    }
}

fn period_name(period: Period) -> &'static str {
    match period {
        Period::Minute => "minute",
        Period::RollingMinute => "rolling_minute",
        Period::Day => "day",
        Period::Month => "month",
        Period::Always => "always",
    }
}
