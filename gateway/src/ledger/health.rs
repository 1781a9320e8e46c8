//! How shipping the ledger goes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use store::Appended;

/// Counted since the start.
#[derive(Debug, Default)]
pub struct LedgerHealth {
    pub batches_written: AtomicU64,
    pub rows_written: AtomicU64,
    /// Rows that the database will never take. They are kept aside.
    pub rows_refused: AtomicU64,
    /// Tries to ship that failed; they are made again.
    pub writes_failed: AtomicU64,
    /// Stretches of spools of which nothing can be made. They are kept aside.
    pub unreadable: AtomicU64,
    /// What had been written by then is in the database. None is 0.
    caught_up_at_ms: AtomicI64,
}

impl LedgerHealth {
    pub(super) fn wrote(&self, rows: usize, appended: Appended) {
        let written = u64::try_from(rows)
            .unwrap_or(u64::MAX)
            .saturating_sub(appended.refused);
        self.batches_written.fetch_add(1, Ordering::Relaxed);
        self.rows_written.fetch_add(written, Ordering::Relaxed);
        self.rows_refused.fetch_add(appended.refused, Ordering::Relaxed);
    }

    pub(super) fn caught_up(&self, at_ms: i64) {
        self.caught_up_at_ms.store(at_ms, Ordering::Relaxed);
    }

    /// For how long something may have been waiting that is not in the database, in milliseconds.
    pub(super) fn behind_ms(&self, now_ms: i64) -> i64 {
        now_ms
            .saturating_sub(self.caught_up_at_ms.load(Ordering::Relaxed))
            .max(0)
    }

    pub(super) fn failed(&self) {
        self.writes_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn put_aside(&self, stretches: u64) {
        self.unreadable.fetch_add(stretches, Ordering::Relaxed);
    }
}
