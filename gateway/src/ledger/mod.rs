//! What calls leave behind, on its way to the database and to the log.
//!
//! An attempt is written to the [`spool`] before it is sent and when it has ended, by the thread that serves it; from
//! there it is shipped to the database, however long that takes. Beside that, the whole call goes through a queue to the
//! log, and to whoever else watches calls, on the control runtime: a call reserves its place there before it is sent
//! ([`Ledger::reserve`]), so that nothing at its end can fail or has to wait.

mod health;
mod record;
mod spool;
mod writer;

pub use health::LedgerHealth;
pub use record::{AttemptRecord, CallRecord, Outcome, UsageSource};
pub(crate) use spool::UNITS_MAX;
pub use spool::{Durability, LedgerUnavailable, SpoolSettings, SpoolsLook, Units, look_at_spools};
pub use writer::LedgerWriter;

use std::io;
use std::path::Path;
use std::sync::Arc;

use dialect::refusal::Refusal;
use store::{AttemptRow, Store};
use tokio::sync::mpsc;

use crate::clock::now_ms;
use crate::vitals::Vitals;
use spool::{Intended, Shipper, Spool};

/// The way into the ledger.
pub struct Ledger {
    queue: mpsc::Sender<Box<CallRecord>>,
    spool: Arc<Spool>,
    health: Arc<LedgerHealth>,
}

/// The way into the spool for what this process holds of its limits.
pub(crate) struct UnitsJournal(Arc<Spool>);

/// How an attempt ended, put down and not yet written.
#[must_use]
pub(crate) struct Settled(u64);

/// Why a call gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Nothing can be written at the moment.
    Unwritable,
    /// As many calls are under way, or wait to be logged, as there are places.
    Full,
}

/// A call's right to be booked.
pub struct LedgerPlace {
    queue: mpsc::OwnedPermit<Box<CallRecord>>,
    spool: Arc<Spool>,
}

impl Ledger {
    /// Opens a new spool. `places` calls may wait to be logged. What was left of the units of leases, in spools of processes
    /// that are gone, is shown to `units`, with the spool that tells of it, in the order in which it was written.
    ///
    /// # Errors
    /// When the folder of the spool cannot be used.
    pub(crate) fn open(
        store: Store,
        settings: &SpoolSettings,
        places: usize,
        vitals: &Arc<Vitals>,
        units: impl FnMut(&Path, Units<'_>),
    ) -> io::Result<(Self, LedgerWriter)> {
        let (queue, waiting) = mpsc::channel(places);
        let health = Arc::<LedgerHealth>::default();
        let (spool, own, left) = Spool::open(settings)?;
        Spool::units_left(&left, units);
        spool.keep(vitals.clone())?;
        let shipper = Shipper::new(store, spool.clone(), own, left, health.clone());
        let writer = LedgerWriter::new(waiting, spool.clone(), shipper);
        let ledger = Self { queue, spool, health };
        Ok((ledger, writer))
    }

    /// A place for one call, if there is one.
    ///
    /// # Errors
    /// When there is none, or nothing can be booked at the moment.
    pub fn reserve(&self) -> Result<LedgerPlace, NoPlace> {
        if !self.spool.is_well() {
            return Err(NoPlace::Unwritable);
        }
        let queue = self.queue.clone().try_reserve_owned();
        Ok(LedgerPlace {
            queue: queue.map_err(|_| NoPlace::Full)?,
            spool: self.spool.clone(),
        })
    }

    /// Logs a call that was refused before anything was sent. It has nothing to book, so it may be left out when the
    /// queue is full.
    pub fn note_refused(&self, mut record: Box<CallRecord>, refusal: &Refusal) {
        record.refused(refusal);
        let _left_out = self.queue.try_send(record);
    }

    /// Logs a call whose client went away before it could even be refused.
    pub(crate) fn note_left(&self, mut record: Box<CallRecord>) {
        record.left();
        let _left_out = self.queue.try_send(record);
    }

    /// The way into the spool for what this process holds of its limits.
    pub(crate) fn units(&self) -> UnitsJournal {
        UnitsJournal(self.spool.clone())
    }

    /// Whether what calls are about to do can be written down; without that no call is sent.
    pub fn is_well(&self) -> bool {
        self.spool.is_well()
    }

    /// Rows that wait to be shipped.
    pub fn waiting(&self) -> usize {
        self.spool.waiting()
    }

    /// How long ago what waits to be shipped may have been written, in milliseconds.
    pub fn lag_ms(&self) -> i64 {
        if self.waiting() == 0 {
            return 0;
        }
        self.health.behind_ms(now_ms())
    }

    /// What spools take on the disk, and what they may.
    pub fn spool_bytes(&self) -> (u64, u64) {
        self.spool.bytes()
    }

    /// How often the disk did not sync what was written.
    pub fn syncs_failed(&self) -> u64 {
        self.spool.syncs_failed()
    }

    /// How shipping goes.
    pub fn health(&self) -> &LedgerHealth {
        &self.health
    }
}

impl UnitsJournal {
    /// Writes down a change of the units that this process holds, or all of them. What was written down before all were told
    /// the last time is not shown to a process that comes after.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn append(&self, units: Units<'_>) -> Result<(), LedgerUnavailable> {
        self.0.append_units(units)
    }

    /// What spools that were left behind tell of units stands in this one, or need not: those may be forgotten.
    pub(crate) fn took_over(&self) {
        self.0.took_over();
    }
}

impl LedgerPlace {
    /// Puts down that an attempt is about to be sent.
    pub(crate) fn intend<T: AsRef<str>>(&self, row: &AttemptRow<T>) -> Result<Intended, LedgerUnavailable> {
        self.spool.intend(row)
    }

    /// Waits until that is written, and as safe as it is to be.
    ///
    /// # Errors
    /// When it will not be: then it is not sent, and has to be withdrawn.
    pub(crate) async fn made_safe(&self, intended: &Intended) -> Result<(), LedgerUnavailable> {
        self.spool.made_safe(intended).await
    }

    /// Puts down how the attempt with this INTENT ended. What this returns can be written.
    pub(crate) fn settle<T: AsRef<str>>(&self, intent: u64, row: &AttemptRow<T>) -> Settled {
        Settled(self.spool.settle(intent, row))
    }

    /// The attempt with this INTENT was not sent, nor will be: it leaves no row.
    pub(crate) fn withdraw(&self, intent: u64) {
        self.spool.withdraw(intent);
    }

    /// Writes how an attempt ended. What cannot be written now is written when that works again.
    pub(crate) fn write(&self, settled: Settled) {
        let _later = self.spool.write(settled.0);
    }

    /// Puts the record in; it will be logged.
    pub(crate) fn book(self, record: Box<CallRecord>) {
        self.queue.send(record);
    }
}

#[cfg(test)]
mod tests {
    use store::StoreOptions;
    use testkit::database::TestDatabase;
    use vault::{MasterKeys, Vault};

    use super::*;

    #[tokio::test]
    async fn as_many_calls_get_a_place_as_there_are() {
        let database = TestDatabase::sqlite();
        let vault = Vault::new(MasterKeys::generate().unwrap());
        let store = Store::open(database.url(), vault, StoreOptions::default())
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let settings = SpoolSettings {
            folder: folder.path().join("spool"),
            durability: Durability::Os,
            bytes_max: 1 << 30,
        };
        let vitals = Arc::<Vitals>::default();
        let (ledger, _writer) = Ledger::open(store, &settings, 2, &vitals, |_, _| {}).unwrap();
        let places: Vec<LedgerPlace> = (0..2).map_while(|_| ledger.reserve().ok()).collect();
        assert_eq!(places.len(), 2);
        assert_eq!(ledger.reserve().err(), Some(NoPlace::Full));
        drop(places);
        assert!(ledger.reserve().is_ok());
    }
}
