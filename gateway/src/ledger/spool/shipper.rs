//! From spools to the database: the one that this process writes, and those that processes before it have left behind.
//!
//! What is shipped is always read from the files, never from memory: so a database that is away for long takes disk, not
//! memory, and what is done after a crash is what is always done. A batch whose fate is not known is shipped again, which
//! changes nothing, since rows are known by their attempt's id.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use store::{AttemptRow, Store, StoreError};
use tokio::time::{sleep, timeout};

use super::booking;
use super::cursor::Place;
use super::folder::Folder;
use super::reader::{Batch, ROWS_MAX, Reader};
use super::{LedgerHealth, Spool};
use crate::clock::now_ms;
use crate::failpoint::failpoint;

/// Ships. Runs on the control runtime; may be run again when it has panicked.
pub(in crate::ledger) struct Shipper {
    store: Store,
    spool: Arc<Spool>,
    health: Arc<LedgerHealth>,
    own: Source,
    left: VecDeque<Source>,
    /// Those that are shipped, and tell of units that this process has not taken over: whoever starts next has to see them.
    shipped: Vec<Source>,
    looked: Instant,
    pause: Duration,
}

/// A folder that is shipped.
struct Source {
    folder: Folder,
    reader: Reader,
}

/// Why shipping stopped.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the spool cannot be read: {0}")]
    Spool(#[from] io::Error),
}

/// How long rows gather before they are shipped: long enough that a busy gateway writes few transactions, short enough
/// that `tollgate usage` shows a call as soon as a person can ask for it.
const GATHER: Duration = Duration::from_millis(100);
/// Between two looks for spools that other processes have left behind meanwhile.
const LOOK: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Shipper {
    pub(in crate::ledger) fn new(
        store: Store,
        spool: Arc<Spool>,
        own: Folder,
        left: Vec<Folder>,
        health: Arc<LedgerHealth>,
    ) -> Self {
        let reader = Reader::of_living(own.path.clone(), own.cursor.shipped);
        Self {
            store,
            spool,
            health,
            own: Source { folder: own, reader },
            left: left.into_iter().map(Source::left).collect(),
            shipped: Vec::new(),
            looked: Instant::now(),
            pause: RETRY_MIN,
        }
    }

    /// Ships until the spool is closed and all that is in it is in the database.
    pub(in crate::ledger) async fn run(&mut self) {
        loop {
            // Looked at before what there is: what is written after it is seen the next time.
            let is_last = self.spool.inner().is_closed;
            match self.ship().await {
                Ok(()) => {
                    self.pause = RETRY_MIN;
                    if is_last {
                        self.own.reader.trim();
                        self.own.is_done(self.own.reader.is_settled());
                        return;
                    }
                    sleep(GATHER).await;
                    let _nothing = timeout(LOOK, self.spool.settled.notified()).await;
                }
                Err(error) => {
                    self.health.failed();
                    let waiting = self.spool.waiting();
                    tracing::warn!(%error, waiting, "the ledger cannot be shipped; trying again");
                    sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(RETRY_MAX);
                }
            }
            if self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                // Rows that an older program, before this one or beside it, has booked without sums: some each time, so
                // that nothing waits for them for long.
                let taken_in = self.store.while_there(self.store.take_in_unsummed());
                if taken_in.await.is_ok_and(|taken| taken > 0) {
                    self.looked = Instant::now().checked_sub(LOOK).unwrap_or_else(Instant::now);
                }
                let left = Folder::left(&self.spool.settings.folder);
                self.left.extend(left.into_iter().map(Source::left));
            }
        }
    }

    /// Ships what there is at the moment.
    async fn ship(&mut self) -> Result<(), Stuck> {
        let Self {
            store,
            spool,
            health,
            own,
            left,
            shipped: are_shipped,
            ..
        } = self;
        loop {
            if spool.are_units_here.load(Ordering::Acquire) {
                are_shipped.drain(..).for_each(|mut source| source.is_done(true));
            }
            let (looked_at_ms, until) = (now_ms(), spool.end());
            let shipped = own.ship(store, health, Some(until)).await?;
            if shipped.is_none() {
                health.caught_up(looked_at_ms);
            }
            if let Some(rows) = shipped {
                spool
                    .waiting
                    .fetch_sub(rows.min(spool.waiting()), Ordering::Relaxed);
            }
            let reached = own.folder.cursor.shipped;
            let keep_from = reached.intended.segment.min(reached.units_from().segment);
            spool.keep_from.store(keep_from, Ordering::Relaxed);
            // What calls leave behind now does not wait for what was left behind long ago.
            let Some(first) = left.front_mut() else {
                if shipped.is_none() {
                    return Ok(());
                }
                continue;
            };
            match first.ship(store, health, None).await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    first.give_up(store, health).await?;
                    are_shipped.extend(left.pop_front());
                }
                // It is let go, and found again with the next look; neither the others nor calls wait for it.
                Err(Stuck::Spool(error)) => {
                    let spool = first.folder.path.display();
                    tracing::error!(%error, %spool, "what another process has left behind cannot be read; trying again");
                    left.pop_front();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Source {
    fn left(folder: Folder) -> Self {
        tracing::info!(spool = %folder.path.display(), "shipping what another process has left behind");
        let reader = Reader::of_left(folder.path.clone(), folder.cursor.shipped);
        Self { folder, reader }
    }

    /// Ships one batch, and says how many rows that were; `None` when there is nothing.
    async fn ship(
        &mut self,
        store: &Store,
        health: &LedgerHealth,
        until: Option<Place>,
    ) -> Result<Option<usize>, Stuck> {
        let put_aside = self.reader.put_aside;
        let batch = self.reader.read(until);
        health.put_aside(self.reader.put_aside.saturating_sub(put_aside));
        let Some(batch) = batch? else {
            return Ok(None);
        };
        failpoint("ledger");
        let rows = self.rows(&batch, health);
        append(store, health, &rows).await?;
        let rows = rows.len();
        self.reader.accept(&batch);
        self.folder.cursor.set(self.reader.shipped());
        Ok(Some(rows))
    }

    fn rows<'a>(&mut self, batch: &'a Batch, health: &LedgerHealth) -> Vec<AttemptRow<&'a str>> {
        let mut rows = Vec::with_capacity(ROWS_MAX);
        for row in batch.rows() {
            match row {
                Ok(row) => rows.push(row),
                Err((place, bytes)) => {
                    self.reader.put_aside(place, bytes);
                    health.put_aside(1);
                }
            }
        }
        rows
    }

    /// Its process is gone, and all SETTLEs are shipped: what remains are attempts that nobody knows the end of.
    async fn give_up(&mut self, store: &Store, health: &LedgerHealth) -> Result<(), Stuck> {
        let mut rows: Vec<AttemptRow<&str>> = Vec::new();
        let mut unreadable = Vec::new();
        for (place, bytes) in self.reader.open() {
            match booking::read(bytes) {
                Ok(row) => rows.push(row),
                Err(_) => unreadable.push((place, bytes.to_vec())),
            }
        }
        if !rows.is_empty() {
            tracing::warn!(
                attempts = rows.len(),
                "a gateway went down during attempts: their usage is not known"
            );
        }
        for rows in rows.chunks(ROWS_MAX) {
            append(store, health, rows).await?;
        }
        for (place, bytes) in unreadable {
            self.reader.put_aside(place, &bytes);
            health.put_aside(1);
        }
        self.reader.trim();
        Ok(())
    }

    /// Nothing will come any more.
    fn is_done(&mut self, is_all: bool) {
        let mut shipped = self.reader.shipped();
        shipped.is_all = is_all;
        self.folder.cursor.set(shipped);
    }
}

async fn append(store: &Store, health: &LedgerHealth, rows: &[AttemptRow<&str>]) -> Result<(), StoreError> {
    if !rows.is_empty() {
        let appended = store.while_there(store.append_attempts(rows)).await?;
        health.wrote(rows.len(), appended);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use store::StoreOptions;
    use testkit::database::TestDatabase;
    use vault::{MasterKeys, Vault};

    use super::super::tests::{settings, written};
    use super::*;

    /// Ships what is left until it is in the database, and is gone. Whether the next one finds it again.
    async fn is_found_again(store: &Store, root: &tempfile::TempDir, took_over: bool) -> bool {
        let (spool, own, left) = Spool::open(&settings(root)).unwrap();
        assert_eq!(left.len(), 1);
        if took_over {
            spool.took_over();
        }
        let mut shipper = Shipper::new(store.clone(), spool, own, left, Arc::default());
        shipper.ship().await.unwrap();
        let path = shipper.own.folder.path.clone();
        drop(shipper);
        let left = Folder::left(&root.path().join("spool"));
        left.iter().any(|folder| folder.path != path)
    }

    #[tokio::test]
    async fn units_that_nobody_has_taken_over_are_kept_for_the_next_start() {
        let database = TestDatabase::sqlite();
        let vault = Vault::new(MasterKeys::generate().unwrap());
        let store = Store::open(database.url(), vault, StoreOptions::default())
            .await
            .unwrap();
        store.migrate(1).await.unwrap();
        let root = tempfile::tempdir().unwrap();
        written(&root, 3);
        for _ in 0..2 {
            assert!(is_found_again(&store, &root, false).await);
            // The other one is gone as well, and held nothing.
            let own = Folder::left(&root.path().join("spool")).pop().unwrap();
            let path = own.path.clone();
            drop(own);
            std::fs::remove_dir_all(path).unwrap();
        }
        assert!(!is_found_again(&store, &root, true).await);
        store.close().await;
    }
}
