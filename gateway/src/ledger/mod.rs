//! What calls leave behind, on its way to the database and to the log.
//!
//! A call reserves its place in the queue before it is sent ([`Ledger::reserve`]), so that booking it later cannot
//! fail and never waits. The writer empties the queue on the control runtime: one log line a call at once, rows in
//! batches. While the database is away the queue fills; when it is full no further call is admitted.

mod record;
mod writer;

pub use record::{AttemptRecord, CallRecord, Outcome};
pub use writer::LedgerWriter;

pub(crate) use record::attempt_id;

use dialect::refusal::Refusal;
use store::Store;
use tokio::sync::mpsc;

/// The way into the ledger.
pub struct Ledger {
    queue: mpsc::Sender<CallRecord>,
}

/// A reserved place in the queue.
pub struct LedgerPlace(mpsc::OwnedPermit<CallRecord>);

impl Ledger {
    pub(crate) fn open(store: Store, places: usize) -> (Self, LedgerWriter) {
        let (queue, waiting) = mpsc::channel(places);
        (Self { queue }, LedgerWriter::new(store, waiting))
    }

    /// A place for one call, if there is one.
    pub fn reserve(&self) -> Option<LedgerPlace> {
        self.queue.clone().try_reserve_owned().ok().map(LedgerPlace)
    }

    /// Logs a call that was refused before anything was sent. It has nothing to book, so it may be left out when the
    /// queue is full.
    pub fn note_refused(&self, mut record: CallRecord, refusal: &Refusal) {
        record.refused(refusal);
        let _left_out = self.queue.try_send(record);
    }

    /// Records that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }
}

impl LedgerPlace {
    /// Puts the record in; it will be logged, and its attempts written.
    pub fn book(self, record: CallRecord) {
        self.0.send(record);
    }
}
