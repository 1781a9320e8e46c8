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
        // The clock is only read when there is a reason to.
        !self.answers() && self.silent_for() > self.stale_max
    }
}
