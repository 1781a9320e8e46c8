//! The spool: what calls are about to do and what came of it, on the disk before anybody is told.
//!
//! Each process has a folder of its own, locked for as long as it lives, with segments to which records are appended.
//! An attempt has an INTENT before the first byte of it goes to a provider, and a SETTLE before its end is told to the
//! client; so whatever dies, each attempt is known, and the usage of each answer that a client has wholly seen. One that
//! after its INTENT turns out not to be sent is withdrawn, and leaves no row.
//!
//! **Who writes.** The thread that serves the call does, by one `write(2)` of some three hundred bytes into room that the
//! disk has promised before. What is in the kernel's page cache survives the death of this process, however it comes, so
//! in the mode `os` nobody waits for a disk. To hand the bytes to another thread instead would cost about the same for
//! waking it, and either a wait or the promise. (A shared mapping would save the system call, and take `unsafe`.) Calls that
//! a worker has to go on with at the same time put their records first and share one write: see [`Spool::made_safe`]. What the
//! file system takes its time for (promising room, `fdatasync`, making good what failed) is done by a thread beside: the
//! [`keeper`]. In the mode `strict` an attempt is not sent before its INTENT is synced, together with those of all other
//! calls that wait at the time.
//!
//! **What is lost.** With the process: nothing. With the machine: in the mode `os` the last 50 ms, in the mode `strict` no
//! INTENT of what was sent.
//!
//! **When it cannot be written**, or a sync fails, the file is never written again. All that is not known to be synced is
//! still in memory, and goes to a new segment; a reader may thus see a record twice, which changes nothing. If that fails
//! too, no INTENT is taken, so nothing goes to a provider, until it works again. SETTLEs of what is under way are kept in
//! memory meanwhile.

mod booking;
mod cursor;
mod folder;
mod frame;
mod keeper;
mod look;
mod reader;
mod segment;
mod shipper;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use store::AttemptRow;
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;

use super::health::LedgerHealth;
use crate::vitals::Vitals;
use cursor::Place;
use folder::Folder;
use frame::Kind;
use reader::Reader;
use segment::{SEGMENT_MAX, Segment};

pub use look::{SpoolsLook, look_at_spools};
pub(super) use shipper::Shipper;

/// When a record counts as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the kernel has it: the death of this process loses nothing, that of the machine 50 ms.
    #[default]
    Os,
    /// When the disk has it.
    Strict,
}

/// Where the spool is, and how it is kept.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Holds a folder for each process.
    pub folder: PathBuf,
    pub durability: Durability,
    /// What all of it may take on the disk.
    pub bytes_max: u64,
}

/// Nothing can be written down at the moment, and so nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be written")]
pub struct LedgerUnavailable;

/// What a spool that was left behind tells of the units that its replica held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units<'a> {
    /// A change, in the words of whoever wrote it.
    Change(&'a [u8]),
    /// All of them; what was told of this spool before does not matter any more.
    Whole(&'a [u8]),
}

/// The spool of this process.
pub(super) struct Spool {
    settings: SpoolSettings,
    path: PathBuf,
    inner: Mutex<Inner>,
    /// Wakes the keeper.
    wake: Condvar,
    /// How far the disk has what was written.
    synced: watch::Sender<Synced>,
    /// There is something to be shipped.
    settled: Notify,
    is_well: AtomicBool,
    /// Rows that are not yet shipped.
    waiting: AtomicUsize,
    /// What all spools take on the disk, as of late.
    bytes: AtomicU64,
    syncs_failed: AtomicU64,
    /// Segments before this one are shipped.
    keep_from: AtomicU64,
    /// What the spools that were left behind tell of units stands in this one.
    are_units_here: AtomicBool,
}

struct Inner {
    /// None when writing to it, or syncing it, has failed.
    segment: Option<Segment>,
    /// Of the last segment that was begun.
    number: u64,
    /// Of the last record.
    sequence: u64,
    /// What is not known to be synced.
    unsynced: Vec<u8>,
    /// So much of that is in segments.
    written: usize,
    /// The rest of it has rows to be shipped.
    has_settled: bool,
    /// What came before it, since the start.
    synced: u64,
    /// Segments that are full and not synced.
    full: Vec<Arc<File>>,
    /// A segment is new in the folder, which is not synced.
    is_folder_new: bool,
    /// The last thing that failed.
    trouble: Option<String>,
    /// The keeper waits to be woken.
    keeper_sleeps: bool,
    is_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Synced {
    bytes: u64,
    is_well: bool,
}

/// An INTENT that is written.
pub(crate) struct Intended {
    pub(crate) sequence: u64,
    /// What has to be synced for it to be.
    end: u64,
}

/// More than this is not kept in memory for a disk that does not sync it.
const UNSYNCED_MAX: usize = 32 << 20;
/// No change of units, and no list of all, is longer.
pub(crate) const UNITS_MAX: usize = frame::RECORD_MAX / 2;

impl Spool {
    /// A new spool, in a folder of its own; that folder, and those that were left behind.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn open(settings: &SpoolSettings) -> io::Result<(Arc<Self>, Folder, Vec<Folder>)> {
        let left = Folder::left(&settings.folder);
        let folder = Folder::create(&settings.folder)?;
        let spool = Self {
            settings: settings.clone(),
            path: folder.path.clone(),
            inner: Mutex::new(Inner {
                segment: None,
                number: 0,
                sequence: 0,
                unsynced: Vec::new(),
                written: 0,
                has_settled: false,
                synced: 0,
                full: Vec::new(),
                is_folder_new: false,
                trouble: None,
                keeper_sleeps: false,
                is_closed: false,
            }),
            wake: Condvar::new(),
            synced: watch::Sender::new(Synced {
                bytes: 0,
                is_well: true,
            }),
            settled: Notify::new(),
            is_well: AtomicBool::new(true),
            waiting: AtomicUsize::new(0),
            bytes: AtomicU64::new(folder::bytes(&settings.folder)),
            syncs_failed: AtomicU64::new(0),
            keep_from: AtomicU64::new(0),
            are_units_here: AtomicBool::new(false),
        };
        let mut inner = spool.inner();
        // One that begins on a full disk serves what needs no provider, and gets well by itself.
        if let Err(error) = spool.begin_segment(&mut inner) {
            spool.fails(&mut inner, &error);
        }
        drop(inner);
        Ok((Arc::new(spool), folder, left))
    }

    /// Begins to keep it: see [`keeper`].
    pub(super) fn keep(self: &Arc<Self>, vitals: Arc<Vitals>) -> io::Result<()> {
        keeper::start(self.clone(), vitals)
    }

    /// Puts down that an attempt is about to be sent, and the row that is booked if nothing more is heard of it. It is written
    /// when [`Self::made_safe`] returns.
    ///
    /// # Errors
    /// When nothing can be written: then nothing may be sent.
    pub(super) fn intend<T: AsRef<str>>(&self, row: &AttemptRow<T>) -> Result<Intended, LedgerUnavailable> {
        let mut inner = self.inner();
        inner.takes_more()?;
        let sequence = inner.next();
        frame::append(&mut inner.unsynced, Kind::Intent, sequence, |out| {
            booking::write(row, out)
        });
        let end = inner.end();
        Ok(Intended { sequence, end })
    }

    /// Waits until this INTENT is as safe as it is to be before anything is sent. Whoever else can go on in this thread goes
    /// first, and what he puts down is written by the same write.
    ///
    /// # Errors
    /// When it will not be: nothing may be sent, and it has to be withdrawn.
    pub(super) async fn made_safe(&self, intended: &Intended) -> Result<(), LedgerUnavailable> {
        yield_now().await;
        self.write(intended.end)?;
        if self.settings.durability == Durability::Os {
            return Ok(());
        }
        let mut synced = self.synced.subscribe();
        let told = synced
            .wait_for(|synced| synced.bytes >= intended.end || !synced.is_well)
            .await
            .map_err(|_| LedgerUnavailable)?;
        if told.bytes >= intended.end {
            Ok(())
        } else {
            Err(LedgerUnavailable)
        }
    }

    /// Puts down how an attempt ended; it is written when [`Self::write`] has been asked for what this returns.
    pub(super) fn settle<T: AsRef<str>>(&self, intent: u64, row: &AttemptRow<T>) -> u64 {
        let mut inner = self.inner();
        let sequence = inner.next();
        frame::append(&mut inner.unsynced, Kind::Settle, sequence, |out| {
            out.extend_from_slice(&intent.to_le_bytes());
            booking::write(row, out);
        });
        inner.has_settled = true;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        inner.end()
    }

    /// Puts down that an attempt was not sent, nor will be: nothing is to be booked for it. It is written with whatever comes
    /// next; who reads of its INTENT alone, because nothing did, takes it for one whose end nobody knows.
    pub(super) fn withdraw(&self, intent: u64) {
        let mut inner = self.inner();
        let sequence = inner.next();
        frame::append(&mut inner.unsynced, Kind::Withdrawn, sequence, |out| {
            out.extend_from_slice(&intent.to_le_bytes());
        });
    }

    /// Writes what was put down, at least up to this end, unless somebody else has.
    ///
    /// # Errors
    /// When that fails. It is written when writing works again.
    pub(super) fn write(&self, end: u64) -> Result<(), LedgerUnavailable> {
        let mut inner = self.inner();
        if !inner.is_written(end) {
            self.write_out(&mut inner);
        }
        if inner.is_written(end) {
            Ok(())
        } else {
            Err(LedgerUnavailable)
        }
    }

    /// Writes down a change of the units that this replica holds.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn append_units(&self, units: Units<'_>) -> Result<(), LedgerUnavailable> {
        let (kind, bytes) = match units {
            Units::Change(bytes) => (Kind::UnitsChange, bytes),
            Units::Whole(bytes) => (Kind::UnitsWhole, bytes),
        };
        if bytes.len() > UNITS_MAX {
            return Err(LedgerUnavailable);
        }
        let mut inner = self.inner();
        inner.takes_more()?;
        let before = inner.unsynced.len();
        let sequence = inner.next();
        frame::append(&mut inner.unsynced, kind, sequence, |out| {
            out.extend_from_slice(bytes)
        });
        self.write_out(&mut inner);
        if inner.trouble.is_some() {
            inner.unsynced.truncate(before);
            return Err(LedgerUnavailable);
        }
        Ok(())
    }

    /// Shows what is told of units in the spools that were left behind. One that the disk does not give back stays used up:
    /// it holds up neither the others nor the start.
    pub(super) fn units_left(left: &[Folder], mut show: impl FnMut(&Path, Units<'_>)) {
        for folder in left {
            let mut told = Vec::new();
            match Self::units_of(folder, &mut told) {
                Ok(false) => told.iter().for_each(|(bytes, is_whole)| {
                    let units = if *is_whole {
                        Units::Whole(bytes)
                    } else {
                        Units::Change(bytes)
                    };
                    show(&folder.path, units);
                }),
                Ok(true) => tracing::error!(
                    spool = %folder.path.display(),
                    "a part of what was held of limits cannot be read; all of it stays used up"
                ),
                Err(error) => tracing::error!(
                    %error, spool = %folder.path.display(),
                    "what was held of limits cannot be read; it stays used up"
                ),
            }
        }
    }

    /// What one spool tells of units, from where all of them are told the last time; and whether something is missing of that,
    /// which may have called used what is called free.
    fn units_of(folder: &Folder, told: &mut Vec<(Vec<u8>, bool)>) -> io::Result<bool> {
        let mut reader = Reader::of_units(folder.path.clone(), folder.cursor.shipped);
        let (mut put_aside, mut is_damaged) = (0, false);
        while let Some(batch) = reader.read(None)? {
            for (bytes, is_whole) in batch.units() {
                if is_whole {
                    told.clear();
                    is_damaged = false;
                }
                told.push((bytes.to_vec(), is_whole));
            }
            // Before or behind the records of this batch.
            is_damaged |= reader.put_aside > put_aside;
            put_aside = reader.put_aside;
            reader.accept(&batch);
        }
        // A process that dies has written all that it did: an end that is missing is more than the end of a process.
        let is_short = reader.put_aside > put_aside || reader.is_torn || reader.was_shortened()?;
        Ok(is_damaged || is_short)
    }

    /// What the spools that were left behind tell of units is not needed any more.
    pub(super) fn took_over(&self) {
        self.are_units_here.store(true, Ordering::Release);
    }

    /// Whether INTENTs are taken.
    pub(super) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Rows that are not yet in the database.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What all spools in the folder take on the disk, and what they may.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.settings.bytes_max)
    }

    /// How often the disk did not sync.
    pub(super) fn syncs_failed(&self) -> u64 {
        self.syncs_failed.load(Ordering::Relaxed)
    }

    /// Nothing more will be written. What was is synced.
    pub(super) fn close(&self) {
        let mut inner = self.inner();
        self.write_out(&mut inner);
        inner.is_closed = true;
        drop(inner);
        self.wake.notify_one();
        self.settled.notify_one();
    }

    /// Up to where there are records.
    fn end(&self) -> Place {
        let inner = self.inner();
        let offset = inner.segment.as_ref().map_or(u64::MAX, |segment| segment.written);
        Place {
            segment: inner.number,
            offset,
        }
    }

    /// Writes what is not yet in a segment, unless that has failed and not been made good.
    fn write_out(&self, inner: &mut Inner) {
        if inner.trouble.is_none()
            && let Err(error) = self.try_write_out(inner)
        {
            self.fails(inner, &error);
        }
        if inner.keeper_sleeps {
            inner.keeper_sleeps = false;
            self.wake.notify_one();
        }
    }

    fn try_write_out(&self, inner: &mut Inner) -> io::Result<()> {
        let more = inner.unsynced.len().saturating_sub(inner.written);
        if inner.segment.as_ref().is_none_or(|segment| segment.is_full(more)) {
            self.begin_segment(inner)?;
        }
        let bytes = inner.unsynced.get(inner.written..).unwrap_or_default();
        let segment = inner.segment.as_mut().ok_or(io::ErrorKind::NotFound)?;
        segment.write(bytes)?;
        inner.written = inner.unsynced.len();
        if std::mem::take(&mut inner.has_settled) {
            self.settled.notify_one();
        }
        Ok(())
    }

    fn begin_segment(&self, inner: &mut Inner) -> io::Result<()> {
        let root = &self.settings.folder;
        let mut bytes = folder::bytes(root);
        if bytes.saturating_add(SEGMENT_MAX) > self.settings.bytes_max {
            let most = self.settings.bytes_max.saturating_sub(SEGMENT_MAX);
            folder::tidy(root, &self.path, self.keep_from.load(Ordering::Relaxed), most);
            bytes = folder::bytes(root);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        if bytes > self.settings.bytes_max {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the spool has all the room that it may have",
            ));
        }
        inner.number = inner.number.saturating_add(1);
        let next = Segment::create(&self.path, inner.number)?;
        inner.is_folder_new = true;
        if let Some(full) = inner.segment.replace(next) {
            inner.full.push(full.file);
        }
        Ok(())
    }

    /// The segment is never written again, nor is anything sent until the keeper has made good what failed.
    fn fails(&self, inner: &mut Inner, error: &io::Error) {
        if inner.trouble.is_none() {
            tracing::error!(%error, "the ledger cannot be written: no call is sent");
        }
        inner.segment = None;
        inner.written = 0;
        inner.full.clear();
        inner.trouble = Some(error.to_string());
        self.is_well.store(false, Ordering::Relaxed);
        self.synced.send_modify(|synced| synced.is_well = false);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn next(&mut self) -> u64 {
        self.sequence = self.sequence.saturating_add(1);
        self.sequence
    }

    /// Whether there is room for what may also be refused.
    fn takes_more(&self) -> Result<(), LedgerUnavailable> {
        if self.trouble.is_some() || self.is_closed || self.unsynced.len() > UNSYNCED_MAX {
            return Err(LedgerUnavailable);
        }
        Ok(())
    }

    /// Where what was put down last ends, counted from the start.
    fn end(&self) -> u64 {
        self.synced.saturating_add(self.unsynced.len() as u64)
    }

    fn is_written(&self, end: u64) -> bool {
        self.synced.saturating_add(self.written as u64) >= end
    }
}
