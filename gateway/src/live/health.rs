//! How a credential has fared of late, as the calls of this process saw it.
//!
//! One whose provider has said no is not asked first for a while: as long as the provider says, or longer from failure to
//! failure. It is asked all the same where no other is left, since the provider's own word is truer than a guess of ours.
//! When its rest is over, one call tries it, and the others go on passing it over until that one is answered.
//!
//! It also holds how many further attempts may come upon it after others have failed: a tenth of the calls that come to it by
//! themselves, and two a second. Without that, providers that fail all together would get several times the calls of before.
//!
//! All of it is atomic numbers: nobody waits for anybody.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Of one credential. Gone with it when the tenant's rows have changed.
#[derive(Debug)]
pub struct Health {
    /// Not asked first before then; 0 while all is well.
    rests_until_ms: AtomicU64,
    /// When the last rest began: what an attempt came to that began before it says nothing against it.
    rested_at_ms: AtomicU64,
    /// Failures in a row.
    failures: AtomicU32,
    /// What an attempt came to that began before then is no news.
    known_until_ms: AtomicU64,
    /// Further attempts that may be made, in thousandths.
    budget: AtomicI64,
    budget_at_ms: AtomicU64,
}

/// For how long a credential is not to be asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Its provider said how long.
    Told(Duration),
    /// The longer, the more often it has failed.
    Usual,
    /// The provider does not take it: somebody has to see to it.
    Refused,
    /// An answer has begun: it need not rest, and what becomes of the answer is not known yet.
    Begun,
    /// Nothing speaks against it.
    None,
}

const USUAL_MS: u64 = 500;
const USUAL_DOUBLINGS_MAX: u32 = 6;
const REFUSED_MS: u64 = 60_000;
/// A provider that says more is asked again after this.
const TOLD_MS_MAX: u64 = 10 * 60 * 1_000;
/// For the call that tries it when its rest is over.
const TRIAL_MS: u64 = 1_000;

/// One attempt, in thousandths.
const ATTEMPT: i64 = 1_000;
const EARNED_BY_A_CALL: i64 = 100;
/// Two a second.
const EARNED_IN_A_MS: i64 = 2;
const BUDGET_MAX: i64 = 100 * ATTEMPT;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Default for Health {
    fn default() -> Self {
        Self {
            rests_until_ms: AtomicU64::new(0),
            rested_at_ms: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            known_until_ms: AtomicU64::new(0),
            budget: AtomicI64::new(BUDGET_MAX),
            budget_at_ms: AtomicU64::new(now_ms()),
        }
    }
}

impl Health {
    /// Whether it may be asked now, or others are to be asked first. When its rest is over one call tries it: who is told so
    /// has to. Only whose turn it is comes here, so that no trial is lost to a call that is answered by somebody else.
    pub(crate) fn may_be_asked(&self) -> bool {
        let until = self.rests_until_ms.load(Ordering::Relaxed);
        until == 0 || self.may_be_asked_at(until, now_ms())
    }

    fn may_be_asked_at(&self, until: u64, now_ms: u64) -> bool {
        if now_ms < until {
            return false;
        }
        // Whoever sets it tries; who comes at the same time does not.
        let later = now_ms.saturating_add(TRIAL_MS);
        self.rests_until_ms
            .compare_exchange(until, later, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// The provider has answered, or failed so that it has to rest, in an attempt that began then.
    ///
    /// Many calls may be under way when a provider fails once: only what began when its rest was over says that it fails still,
    /// and only what began after it that it does not any more.
    pub(crate) fn fared(&self, rest: Rest, began: Instant) {
        self.fared_at(rest, ms_of(began), now_ms());
    }

    fn fared_at(&self, rest: Rest, began_ms: u64, now_ms: u64) {
        let usual = |failures: u32| USUAL_MS << failures.min(USUAL_DOUBLINGS_MAX);
        let millis = match rest {
            Rest::Begun | Rest::None if began_ms < self.rested_at_ms.load(Ordering::Relaxed) => return,
            Rest::Begun | Rest::None => {
                // Nearly always nothing is to be changed, and what is only read is not taken from other cores.
                if self.rests_until_ms.load(Ordering::Relaxed) != 0 {
                    self.rests_until_ms.store(0, Ordering::Relaxed);
                    self.known_until_ms.store(now_ms, Ordering::Relaxed);
                }
                if rest == Rest::None && self.failures.load(Ordering::Relaxed) != 0 {
                    self.failures.store(0, Ordering::Relaxed);
                }
                return;
            }
            Rest::Told(how_long) => millis(how_long).min(TOLD_MS_MAX),
            Rest::Usual if began_ms < self.known_until_ms.load(Ordering::Relaxed) => return,
            Rest::Usual => usual(self.failures.fetch_add(1, Ordering::Relaxed)),
            Rest::Refused => REFUSED_MS,
        };
        let until = now_ms.saturating_add(millis.max(1));
        self.rested_at_ms.store(now_ms, Ordering::Relaxed);
        self.rests_until_ms.store(until, Ordering::Relaxed);
        self.known_until_ms.store(until, Ordering::Relaxed);
    }

    /// A call has come to it first.
    pub(crate) fn earn(&self) {
        if self.budget.load(Ordering::Relaxed) < BUDGET_MAX {
            self.budget.fetch_add(EARNED_BY_A_CALL, Ordering::Relaxed);
        }
    }

    /// What was spent for standing in is not needed after all.
    pub(crate) fn did_not_stand_in(&self) {
        self.budget.fetch_add(ATTEMPT, Ordering::Relaxed);
    }

    /// Whether it may be asked after another has failed.
    pub(crate) fn may_stand_in(&self) -> bool {
        self.may_stand_in_at(now_ms())
    }

    fn may_stand_in_at(&self, now_ms: u64) -> bool {
        let before = self.budget_at_ms.swap(now_ms, Ordering::Relaxed);
        let earned = i64::try_from(now_ms.saturating_sub(before)).unwrap_or(0);
        let earned = earned.saturating_mul(EARNED_IN_A_MS);
        let spent = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| {
                Some(budget.saturating_add(earned).min(BUDGET_MAX) - ATTEMPT).filter(|left| *left >= 0)
            });
        if spent.is_err() {
            self.budget.fetch_add(earned, Ordering::Relaxed);
        }
        spent.is_ok()
    }
}

/// Since this process began to look.
fn now_ms() -> u64 {
    ms_of(Instant::now())
}

fn ms_of(instant: Instant) -> u64 {
    // Never 0, which stands for none.
    millis(instant.saturating_duration_since(*BEGAN)).saturating_add(1)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(health: &Health) -> u64 {
        health.rests_until_ms.load(Ordering::Relaxed)
    }

    fn rests(health: &Health) -> bool {
        let until = until(health);
        until != 0 && now_ms() < until
    }

    #[test]
    fn it_rests_for_as_long_as_it_is_told_and_longer_from_failure_to_failure() {
        let health = Health::default();
        assert!(!rests(&health));
        let before = now_ms();
        health.fared(Rest::Told(Duration::from_secs(7)), Instant::now());
        assert!(rests(&health) && (before + 7_000..=now_ms() + 7_000).contains(&until(&health)));
        health.fared(Rest::None, Instant::now());
        assert!(!rests(&health));
        let (mut last, mut now) = (0, now_ms());
        for _ in 0..7 {
            health.fared_at(Rest::Usual, now, now);
            let rest = until(&health) - now;
            assert!(rest > last, "{rest}");
            (last, now) = (rest, until(&health));
        }
        assert!(last < 40_000);
        health.fared(Rest::Told(Duration::MAX), Instant::now());
        assert!(until(&health) <= now_ms() + TOLD_MS_MAX);
    }

    #[test]
    fn one_call_tries_it_when_its_rest_is_over() {
        let health = Health::default();
        health.fared(Rest::Usual, Instant::now());
        let over = until(&health);
        assert!(!health.may_be_asked_at(over, over - 1));
        assert!(health.may_be_asked_at(over, over));
        assert!(!health.may_be_asked_at(over, over), "somebody else tries already");
        let trial = until(&health);
        assert!(health.may_be_asked_at(trial, trial));
    }

    #[test]
    fn many_calls_that_fail_together_are_one_failure() {
        let health = Health::default();
        let began = now_ms() + 10_000;
        for later in 0..100 {
            health.fared_at(Rest::Usual, began, began + later);
        }
        assert_eq!(until(&health), began + USUAL_MS);
        // Asked all the same, since no other was left.
        health.fared_at(Rest::Usual, began + 100, began + 200);
        assert_eq!(until(&health), began + USUAL_MS);
        let over = until(&health);
        assert!(health.may_be_asked_at(over, over), "one tries it");
        health.fared_at(Rest::Usual, over, over + 10);
        assert_eq!(until(&health), over + 10 + 2 * USUAL_MS);
    }

    #[test]
    fn streams_that_begin_and_break_are_failures_in_a_row() {
        let health = Health::default();
        let mut now = now_ms() + 10_000;
        for doublings in 0..3 {
            health.fared_at(Rest::Begun, now, now);
            assert!(!rests(&health));
            health.fared_at(Rest::Usual, now, now + 1);
            assert_eq!(until(&health), now + 1 + (USUAL_MS << doublings));
            now = until(&health);
        }
        health.fared_at(Rest::None, now, now);
        health.fared_at(Rest::Usual, now, now + 1);
        assert_eq!(until(&health), now + 1 + USUAL_MS);
    }

    #[test]
    fn an_answer_to_an_older_call_ends_no_rest() {
        let health = Health::default();
        let now = now_ms() + 10_000;
        for rest in [Rest::Told(Duration::from_secs(60)), Rest::Refused, Rest::Usual] {
            let began = now.max(until(&health));
            health.fared_at(rest, began, began);
            let rests = until(&health);
            for good in [Rest::Begun, Rest::None] {
                health.fared_at(good, began - 1_000, began + 1);
                assert_eq!(until(&health), rests, "{rest:?} {good:?}");
            }
        }
        // One that was asked all the same, since no other was left, has newer news.
        health.fared_at(Rest::None, until(&health) - 1, until(&health));
        assert_eq!(until(&health), 0);
    }

    #[test]
    fn further_attempts_are_a_tenth_of_its_calls_and_two_a_second() {
        let health = Health::default();
        let now = now_ms() + 1_000_000;
        let stood_in = |health: &Health, now| (0..1_000).take_while(|_| health.may_stand_in_at(now)).count();
        assert_eq!(stood_in(&health, now), 100);
        assert_eq!(stood_in(&health, now), 0);
        assert_eq!(stood_in(&health, now + 3_000), 6);
        for _ in 0..50 {
            health.earn();
        }
        assert_eq!(stood_in(&health, now + 3_000), 5);
        // Asking in vain takes nothing away.
        for step in 1..=10 {
            health.may_stand_in_at(now + 3_000 + step * 100);
        }
        assert_eq!(health.budget.load(Ordering::Relaxed), 0);
    }
}
