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
        Self {
            spool,
            boot,
            left: Mutex::new(left),
            is_broken: AtomicBool::new(false),
        }
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

    /// Writes down what has changed. Where that cannot be done, the spool takes no INTENT either, so nothing is sent; and
    /// when it can be again, all is written before anything else is.
    pub(super) fn note(&self, holder: &mut Holder) {
        if self.is_broken.load(Ordering::Relaxed) {
            return self.note_all(holder);
        }
        let mut bytes = Vec::new();
        holder.take_journal(&mut bytes);
        if !bytes.is_empty() && self.write(&bytes, false).is_err() {
            self.is_broken.store(true, Ordering::Relaxed);
        }
    }

    /// Writes down all of it, so that what was written before is not needed any more.
    pub(super) fn note_all(&self, holder: &mut Holder) {
        let mut bytes = Vec::new();
        holder.whole_journal(&mut bytes);
        if !bytes.is_empty() {
            let is_written = self.write(&bytes, true).is_ok();
            self.is_broken.store(!is_written, Ordering::Relaxed);
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
