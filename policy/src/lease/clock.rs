//! What time it may be at the database, told by nothing but its answers and a clock that only runs.
//!
//! An answer that came at `t1` to a question asked at `t0` says that the database's clock showed `d` in between. From then on
//! its time lies in an interval that grows with the drift of the two clocks; each further answer narrows it. A unit of a
//! window is spent only while all of the interval lies in it.

/// A moment of the replica's own clock that only runs, in microseconds.
pub type Moment = u64;

/// The time at the database, in microseconds since the Unix epoch: not before the one, not after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub from_us: i64,
    pub to_us: i64,
}

/// What is known of the database's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatabaseClock {
    known: Option<(Moment, Interval)>,
}

/// By how much two clocks may drift apart, in millionths.
const DRIFT_PPM: u64 = 500;
/// The database tells its time in whole milliseconds.
const TOLD_US: i64 = 1_000;

impl DatabaseClock {
    /// Takes in an answer: asked at `asked`, here at `answered`, and telling `database_ms`. Says whether it agrees with what
    /// was known; when it does not, one of the clocks has jumped, and only the new answer counts.
    pub fn learn(&mut self, asked: Moment, answered: Moment, database_ms: i64) -> bool {
        let told_us = database_ms.saturating_mul(1_000);
        let took = answered.saturating_sub(asked);
        let new = Interval {
            from_us: told_us,
            to_us: told_us
                .saturating_add(TOLD_US)
                .saturating_add(signed(took + drift(took))),
        };
        let old = self.at(answered);
        let both = old.map_or(new, |old| Interval {
            from_us: old.from_us.max(new.from_us),
            to_us: old.to_us.min(new.to_us),
        });
        let agrees = both.from_us <= both.to_us;
        self.known = Some((answered, if agrees { both } else { new }));
        agrees
    }

    /// What time it may be there now; `None` before the first answer.
    pub fn at(&self, now: Moment) -> Option<Interval> {
        let (since, then) = self.known?;
        let passed = now.saturating_sub(since);
        Some(Interval {
            from_us: then.from_us.saturating_add(signed(passed - drift(passed))),
            to_us: then.to_us.saturating_add(signed(passed + drift(passed))),
        })
    }
}

/// Rounded up, so that the interval is never too narrow.
fn drift(passed: u64) -> u64 {
    (passed / 1_000_000 + 1).saturating_mul(DRIFT_PPM).min(passed)
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_time_lies_inside_whatever_the_way_takes() {
        let mut clock = DatabaseClock::default();
        assert_eq!(clock.at(0), None);
        let epoch_us = 1_700_000_000_000_000_i64;
        for (asked, told, answered) in [
            (1_000, 4_000, 9_000),
            (50_000, 50_500, 51_000),
            (900_000, 2_000_000, 2_000_100),
        ] {
            let at = epoch_us + told;
            assert!(clock.learn(asked, answered, at.div_euclid(1_000)));
            let Interval { from_us, to_us } = clock.at(answered).unwrap();
            let now_us = epoch_us + i64::try_from(answered).unwrap();
            assert!(from_us <= now_us && now_us <= to_us, "{from_us} {now_us} {to_us}");
        }
        let Interval { from_us, to_us } = clock.at(2_000_100).unwrap();
        assert!(to_us - from_us < 3_000, "{}", to_us - from_us);
    }

    #[test]
    fn a_jump_is_noticed_and_believed() {
        let mut clock = DatabaseClock::default();
        assert!(clock.learn(0, 1_000, 1_000_000));
        assert!(!clock.learn(10_000, 11_000, 1_000_000 + 3_600_000));
        assert!(clock.at(11_000).unwrap().from_us >= 4_600_000_000);
    }
}
