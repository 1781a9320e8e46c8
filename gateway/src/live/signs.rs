//! Signs of life of the database.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the database was last heard of, and whether it answered when it was last asked.
pub(super) struct Signs {
    began: Instant,
    /// Milliseconds after the beginning.
    heard_ms: AtomicU64,
    answers: AtomicBool,
    stale_max: Duration,
}

impl Signs {
    /// It has just been heard of.
    pub(super) fn new(stale_max: Duration) -> Self {
        Self {
            began: Instant::now(),
            heard_ms: AtomicU64::new(0),
            answers: AtomicBool::new(true),
            stale_max,
        }
    }

    pub(super) fn heard(&self) {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.fetch_max(now_ms, Ordering::Relaxed);
        self.answers.store(true, Ordering::Relaxed);
    }

    /// It did not answer. Whether that is news.
    pub(super) fn missed(&self) -> bool {
        self.answers.swap(false, Ordering::Relaxed)
    }

    pub(super) fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    pub(super) fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(heard)
    }

    /// Whether what is in memory may be served no longer.
    pub(super) fn too_old(&self) -> bool {
        // By time alone: whoever asks the database may hang, and then nobody notices that it does not answer.
        self.silent_for() > self.stale_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_grows_old_also_when_nobody_asks_the_database() {
        let signs = Signs::new(Duration::ZERO);
        while signs.silent_for().is_zero() {
            std::hint::spin_loop();
        }
        assert!(signs.answers() && signs.too_old());
        assert!(!Signs::new(Duration::from_secs(60)).too_old());
    }
}
