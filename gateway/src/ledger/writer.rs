//! From the queue to the database, in batches.

use std::borrow::Cow;
use std::time::Duration;

use store::{AttemptRow, Store};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::record::CallRecord;
use crate::failpoint::failpoint;

/// Writes what calls have left behind. Runs on the control runtime.
pub struct LedgerWriter {
    store: Store,
    waiting: mpsc::Receiver<CallRecord>,
    /// Taken from the queue and logged, and not yet written.
    batch: Vec<CallRecord>,
    logged: Box<dyn Fn() + Send + Sync>,
}

/// Records taken from the queue at once.
const BATCH_MAX: usize = 512;
/// How long records gather before they are written: long enough that a busy gateway writes few transactions, short
/// enough that `tollgate usage` shows a call as soon as a person can ask for it.
const GATHER: Duration = Duration::from_millis(100);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl LedgerWriter {
    pub(super) fn new(store: Store, waiting: mpsc::Receiver<CallRecord>) -> Self {
        Self {
            store,
            waiting,
            batch: Vec::with_capacity(BATCH_MAX),
            logged: Box::new(|| ()),
        }
    }

    /// Has this called each time that the lines of a batch of calls have been logged, before their rows are written.
    pub fn when_logged(&mut self, logged: impl Fn() + Send + Sync + 'static) {
        self.logged = Box::new(logged);
    }

    /// Writes until the gateway is gone and everything it left behind is in the database. May be called again after it
    /// has panicked: what had been taken from the queue is written first.
    pub async fn run(&mut self) {
        loop {
            if !self.batch.is_empty() {
                failpoint("ledger");
                let rows: Vec<AttemptRow<Cow<'_, str>>> =
                    self.batch.iter().flat_map(CallRecord::rows).collect();
                if !rows.is_empty() {
                    self.write(&rows).await;
                }
                drop(rows);
                self.batch.clear();
            }
            if !self.waiting.is_closed() && self.waiting.len() < BATCH_MAX {
                sleep(GATHER).await;
            }
            if self.waiting.recv_many(&mut self.batch, BATCH_MAX).await == 0 {
                return;
            }
            self.batch.iter().for_each(CallRecord::log);
            (self.logged)();
        }
    }

    /// Writes the rows, again and again until the database has taken them: writing the same rows twice changes
    /// nothing, since they are known by their attempt's id.
    async fn write(&self, rows: &[AttemptRow<Cow<'_, str>>]) {
        let mut pause = RETRY_MIN;
        while let Err(error) = self.store.while_there(self.store.append_attempts(rows)).await {
            tracing::warn!(%error, rows = rows.len(), "the ledger cannot be written; trying again");
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}
