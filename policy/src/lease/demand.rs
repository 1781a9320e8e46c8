//! How fast units are used.

use super::clock::Moment;

/// A mean of the last second or so, in units a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand {
    mean: f64,
    since: Moment,
    taken: u64,
    /// The most that one call took, of late.
    largest: u64,
}

const MEAN_OVER_S: f64 = 1.0;

impl Demand {
    pub(super) fn taken(&mut self, units: u64) {
        self.taken = self.taken.saturating_add(units);
        self.largest = self.largest.max(units);
    }

    /// Takes in what was used since the last time.
    pub(super) fn look(&mut self, now: Moment) {
        #[expect(clippy::cast_precision_loss, reason = "a mean need not be exact")]
        let (passed_s, taken) = (
            now.saturating_sub(self.since) as f64 / 1e6,
            std::mem::take(&mut self.taken) as f64,
        );
        self.since = now;
        // What was exceptional is forgotten in a minute or two.
        self.largest -= self.largest.div_ceil(500).min(self.largest.saturating_sub(1));
        if passed_s > 0.0 {
            let weight = passed_s / (passed_s + MEAN_OVER_S);
            self.mean += (taken / passed_s - self.mean) * weight;
        }
    }

    /// Units that are used in so many seconds, rounded up; enough for one call, if there were calls at all.
    pub(super) fn at_least_one_call(&self, seconds: f64) -> u64 {
        self.within(seconds).max(self.largest)
    }

    /// Units that are used in so many seconds, rounded up.
    pub(super) fn within(&self, seconds: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, and what is too large becomes the largest"
        )]
        let units = (self.mean * seconds).ceil() as u64;
        units
    }
}
