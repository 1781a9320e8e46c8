//! What this process holds of its limits, written down in the ledger's spool.
//!
//! Each change is written under the lock that guards the holder, and before anything is sent that was let through by it, so
//! that what is read after `kill -9` calls nothing free that was used. A process that comes after gives that back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use policy::lease::{Holder, Replay, split_journal};

use crate::ledger::{LedgerUnavailable, UNITS_MAX, Units, UnitsJournal};

/// The way into the spool, and what was left by others.
pub(crate) struct Journal {
    spool: UnitsJournal,
    /// This start of the machine; `None` where it has no name, and nothing is written.
    boot: Option<u128>,
    left: Mutex<Vec<Replay>>,
    /// Something could not be written: what comes next would be misread without it, so all is written anew first.
    is_broken: AtomicBool,
}

/// What processes that are gone have left, as it is read.
pub(crate) struct Left {
    boot: u128,
    spools: HashMap<PathBuf, Replay>,
}

impl Left {
    pub(crate) fn new(boot: Option<u128>) -> Self {
        Self {
            boot: boot.unwrap_or_default(),
            spools: HashMap::new(),
        }
    }

    /// Takes in what a spool tells. One that is damaged gives nothing back, and says so.
    pub(crate) fn take(&mut self, spool: &Path, units: Units<'_>) {
        let boot = self.boot;
        let replay = self
            .spools
            .entry(spool.to_owned())
            .or_insert_with(|| Replay::new(boot));
        let read = match units {
            Units::Whole(bytes) => replay.whole(bytes),
            Units::Change(bytes) => replay.change(bytes),
        };
        if let Err(error) = read {
            tracing::warn!(%error, spool = %spool.display(), "what was held of limits cannot be read; it stays used up");
        }
    }
}

impl Journal {
    pub(crate) fn new(spool: UnitsJournal, boot: Option<u128>, left: Left) -> Self {
        let left = left.spools.into_values().filter(|_| boot.is_some()).collect();
        let journal = Self {
            spool,
            boot,
            left: Mutex::new(left),
            is_broken: AtomicBool::new(false),
        };
        if !journal.has_left() {
            journal.spool.took_over();
        }
        journal
    }

    /// A run begins: from now on it is written down, and what an earlier one left is given back.
    pub(super) fn begin(&self, holder: &mut Holder) {
        let Some(boot) = self.boot else {
            return;
        };
        holder.keep_journal(boot);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for replay in left.drain(..) {
            tracing::info!(
                units = replay.units(),
                "units of limits that a killed process had left go back"
            );
            holder.inherit(replay);
        }
        drop(left);
        self.note_all(holder);
    }

    /// Whether something was left that no run has taken over yet.
    pub(super) fn has_left(&self) -> bool {
        !self
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Writes down what has changed, and says whether it did. Where that cannot be done, nothing may be sent by it: the spool
    /// may take INTENTs again before all of this is written anew, which is done before anything else is.
    pub(super) fn note(&self, holder: &mut Holder) -> bool {
        if self.is_broken.load(Ordering::Relaxed) {
            self.note_all(holder);
        } else {
            let mut bytes = Vec::new();
            holder.take_journal(&mut bytes);
            if !bytes.is_empty() && self.write(&bytes, false).is_err() {
                self.is_broken.store(true, Ordering::Relaxed);
            }
        }
        !self.is_broken.load(Ordering::Relaxed)
    }

    /// Writes down all of it, so that what was written before is not needed any more.
    pub(super) fn note_all(&self, holder: &mut Holder) {
        let mut bytes = Vec::new();
        holder.whole_journal(&mut bytes);
        if !bytes.is_empty() {
            let is_written = self.write(&bytes, true).is_ok();
            self.is_broken.store(!is_written, Ordering::Relaxed);
            // What others have left stands here now.
            if is_written && !self.has_left() {
                self.spool.took_over();
            }
        }
    }

    /// In as many records as it takes; of what tells all, only the first begins anew.
    fn write(&self, bytes: &[u8], is_whole: bool) -> Result<(), LedgerUnavailable> {
        if bytes.len() <= UNITS_MAX {
            return self.append(bytes, is_whole);
        }
        let parts = split_journal(bytes, UNITS_MAX).map_err(|_| LedgerUnavailable)?;
        let mut begins = is_whole;
        parts
            .iter()
            .try_for_each(|part| self.append(part, std::mem::take(&mut begins)))
    }

    fn append(&self, bytes: &[u8], is_whole: bool) -> Result<(), LedgerUnavailable> {
        self.spool.append(if is_whole {
            Units::Whole(bytes)
        } else {
            Units::Change(bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policy::lease::{DeniedWhy, HolderSettings};
    use policy::limit::{Cap, Firmness, Limit, Period, Subject, Unit};
    use store::{Change, NewLimit, NewTenant, Store, StoreOptions};
    use testkit::database::TestDatabase;
    use vault::{MasterKeys, Vault};

    use super::*;
    use crate::ledger::{Durability, Ledger, SpoolSettings};
    use crate::limits::{Limits, Need, PATIENCE_IN_ALL, keep};
    use crate::vitals::Vitals;

    const CHANGE: Change<'_> = Change {
        actor: "test",
        at_ms: 1,
    };

    async fn limit(store: &Store) -> Arc<Limit> {
        let tenant = NewTenant {
            id: "ten-a",
            name: "a",
            strict: false,
        };
        store.create_tenant(&CHANGE, &tenant).await.unwrap();
        let new = NewLimit {
            id: "lim-a",
            tenant_id: "ten-a",
            subject: &Subject::Tenant,
            unit: Unit::Requests,
            period: Period::Month,
            zone: "UTC",
            cap: Cap::Units(1_000),
            mode: None,
            firmness: Firmness::Hard,
            unpriced: None,
        };
        Arc::new(store.set_limit(&CHANGE, &new).await.unwrap().limit)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_be_written_down_is_not_taken() {
        let database = TestDatabase::sqlite();
        let vault = Vault::new(MasterKeys::generate().unwrap());
        let store = Store::open(database.url(), vault, StoreOptions::default())
            .await
            .unwrap();
        store.migrate(1).await.unwrap();
        store.prepare_vault(1).await.unwrap();
        let limit = limit(&store).await;
        let folder = tempfile::tempdir().unwrap();
        let spool = SpoolSettings {
            folder: folder.path().join("spool"),
            durability: Durability::Os,
            bytes_max: 1 << 20,
        };
        let vitals = Arc::<Vitals>::default();
        let (ledger, _writer) = Ledger::open(store.clone(), &spool, 16, &vitals, |_, _| {}).unwrap();
        let journal = Journal::new(ledger.units(), Some(1), Left::new(Some(1)));
        let limits = Arc::new(Limits::new("replica".into(), journal, HolderSettings::default()));
        let keeping = tokio::spawn(keep(limits.clone(), store.clone()));
        let tenant_id: Arc<str> = "ten-a".into();
        let take = || async {
            let needs = [Need {
                limit: limit.clone(),
                units: 1,
            }];
            limits
                .take(&tenant_id, &needs, &mut PATIENCE_IN_ALL.to_owned())
                .await
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            if let Ok(taken) = take().await {
                taken.give_back();
                break;
            }
            assert!(std::time::Instant::now() < deadline, "it never gets going");
        }
        // Nobody asks the database any more, so that what is held stays the same.
        keeping.abort();
        let _aborted = keeping.await;
        let left = || {
            let held = limits.held();
            held.as_ref()
                .unwrap()
                .remaining(&limit, limits.now())
                .unwrap()
                .units
        };
        let before = left();
        // The disk has no more room.
        let large = vec![0; UNITS_MAX];
        while ledger.units().append(Units::Change(&large)).is_ok() {}
        let denied = take().await.err().unwrap();
        assert_eq!(denied.why, DeniedWhy::StoreAway);
        assert_eq!(left(), before);
        store.close().await;
    }
}
