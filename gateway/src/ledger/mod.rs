//! What calls leave behind, on its way to the database and to the log.
//!
//! A call reserves its place in the queue before it is sent ([`Ledger::reserve`]), so that booking it later cannot
//! fail and never waits. The writer empties the queue on the control runtime: one log line a call at once, rows in
//! batches. While the database is away the queue fills; when it is full no further call is admitted.

mod health;
mod record;
mod writer;

pub use health::LedgerHealth;
pub use record::{AttemptRecord, CallRecord, Outcome};
pub use writer::LedgerWriter;

use std::sync::Arc;

use dialect::refusal::Refusal;
use store::Store;
use tokio::sync::mpsc;

/// The way into the ledger.
pub struct Ledger {
    queue: mpsc::Sender<Box<CallRecord>>,
    places: usize,
    health: Arc<LedgerHealth>,
}

/// A reserved place in the queue.
pub struct LedgerPlace(mpsc::OwnedPermit<Box<CallRecord>>);

/// This part of the places is in the queue itself: enough for what comes while one write hangs.
const QUEUED_PART: usize = 2;

impl Ledger {
    pub(crate) fn open(store: Store, places: usize) -> (Self, LedgerWriter) {
        // While the database is away the writer holds some of them, since it can log only what it has taken.
        let queued = (places / QUEUED_PART).max(1);
        let held_max = places.saturating_sub(queued);
        let (queue, waiting) = mpsc::channel(queued);
        let health = Arc::<LedgerHealth>::default();
        let writer = LedgerWriter::new(store, waiting, held_max, health.clone());
        let ledger = Self {
            queue,
            places,
            health,
        };
        (ledger, writer)
    }

    /// A place for one call, if there is one.
    pub fn reserve(&self) -> Option<LedgerPlace> {
        self.queue.clone().try_reserve_owned().ok().map(LedgerPlace)
    }

    /// Logs a call that was refused before anything was sent. It has nothing to book, so it may be left out when the
    /// queue is full.
    pub fn note_refused(&self, mut record: Box<CallRecord>, refusal: &Refusal) {
        record.refused(refusal);
        let _left_out = self.queue.try_send(record);
    }

    /// Records that wait to be written.
    pub fn waiting(&self) -> usize {
        let queued = self.queue.max_capacity().saturating_sub(self.queue.capacity());
        queued.saturating_add(self.health.held())
    }

    /// Records that may wait.
    pub fn places(&self) -> usize {
        self.places
    }

    /// How writing goes.
    pub fn health(&self) -> &LedgerHealth {
        &self.health
    }
}

impl LedgerPlace {
    /// Puts the record in; it will be logged, and its attempts written.
    pub fn book(self, record: Box<CallRecord>) {
        self.0.send(record);
    }
}
