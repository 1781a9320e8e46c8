//! From the queue to the database, in batches.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use store::{AttemptRow, Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::health::LedgerHealth;
use super::record::CallRecord;
use crate::failpoint::failpoint;
use crate::seeing::Watchers;

/// Writes what calls have left behind. Runs on the control runtime.
pub struct LedgerWriter {
    store: Store,
    waiting: mpsc::Receiver<Box<CallRecord>>,
    /// Taken from the queue, logged and seen, and not yet written.
    #[expect(clippy::vec_box, reason = "they come in boxes, so that none is moved")]
    held: Vec<Box<CallRecord>>,
    /// When so many are held, no more are taken from the queue.
    held_max: usize,
    health: Arc<LedgerHealth>,
    logged: Box<dyn Fn() + Send + Sync>,
    watchers: Watchers,
}

/// Records taken from the queue, and written, at once.
const BATCH_MAX: usize = 512;
/// How long records gather before they are written: long enough that a busy gateway writes few transactions, short
/// enough that `tollgate usage` shows a call as soon as a person can ask for it.
const GATHER: Duration = Duration::from_millis(100);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl LedgerWriter {
    pub(super) fn new(
        store: Store,
        waiting: mpsc::Receiver<Box<CallRecord>>,
        held_max: usize,
        health: Arc<LedgerHealth>,
    ) -> Self {
        Self {
            store,
            waiting,
            held: Vec::with_capacity(BATCH_MAX),
            held_max,
            health,
            logged: Box::new(|| ()),
            watchers: Watchers::default(),
        }
    }

    /// Has this called each time that the lines of a batch of calls have been logged, before their rows are written.
    pub fn when_logged(&mut self, logged: impl Fn() + Send + Sync + 'static) {
        self.logged = Box::new(logged);
    }

    /// Shows each record to these too.
    pub fn show_to(&mut self, watchers: Watchers) {
        self.watchers = watchers;
    }

    /// Writes until the gateway is gone and everything it left behind is in the database. May be called again after it
    /// has panicked: what had been taken from the queue is written first.
    pub async fn run(&mut self) {
        loop {
            while !self.held.is_empty() {
                failpoint("ledger");
                self.write_batch().await;
            }
            if !self.waiting.is_closed() && self.waiting.len() < BATCH_MAX {
                sleep(GATHER).await;
            }
            if !self.take_in().await {
                return;
            }
        }
    }

    /// Takes records from the queue, waiting for the first; false when there will be none any more. May be given up
    /// while it waits.
    async fn take_in(&mut self) -> bool {
        let held = self.held.len();
        let is_open = self.waiting.recv_many(&mut self.held, BATCH_MAX).await > 0;
        for record in self.held.iter().skip(held) {
            record.log();
            self.watchers.watch(record);
        }
        (self.logged)();
        self.health.holds(self.held.len());
        is_open
    }

    /// Writes the oldest records, again and again until the database has taken them.
    async fn write_batch(&mut self) {
        let mut pause = RETRY_MIN;
        let records = self.held.len().min(BATCH_MAX);
        while let Err(error) = self.write(records).await {
            self.health.failed();
            tracing::warn!(%error, records, "the ledger cannot be written; trying again");
            self.wait(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
        self.held.drain(..records);
        self.health.holds(self.held.len());
    }

    /// Tries to write so many records. To write the same rows twice changes nothing, since they are known by their
    /// attempt's id.
    async fn write(&self, records: usize) -> Result<(), StoreError> {
        let batch = self.held.iter().take(records);
        let rows: Vec<AttemptRow<Cow<'_, str>>> = batch.flat_map(|record| record.rows()).collect();
        if !rows.is_empty() {
            let written = self.store.while_there(self.store.append_attempts(&rows)).await?;
            self.health.wrote(rows.len(), written);
        }
        Ok(())
    }

    /// Lets the database be for a while. What calls leave behind meanwhile is logged and seen all the same, as long as
    /// there is room for it.
    async fn wait(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while self.held.len() < self.held_max {
            match timeout_at(until, self.take_in()).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_passed) => return,
            }
        }
        sleep_until(until).await;
    }
}
