//! Reading a spool from where it was last shipped: one that is being written, or one that was left behind.
//!
//! What cannot be read never stops a reader. Bytes that are no record, with good records behind them, are put aside in a
//! file of their own, and told of; with nothing behind them they are the torn end of a process that died, and are left.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use store::AttemptRow;

use super::booking;
use super::cursor::{Place, Shipped};
use super::folder::{UNREADABLE, segment_name, segments};
use super::frame::{self, Found, Kind, Record};
use super::segment::ROOM;

/// Reads one folder. Its clones do not share anything.
pub(super) struct Reader {
    folder: PathBuf,
    /// What comes next.
    at: Place,
    /// SETTLEs before this are in the database.
    settled: Place,
    units: Place,
    /// INTENTs whose SETTLE has not been read, by their sequence.
    open: BTreeMap<u64, Open>,
    /// Whether what INTENTs hold is kept, for the case that there is no SETTLE.
    keeps: bool,
    /// Whether nothing is written to the folder.
    is_looking: bool,
    file: Option<(u64, File)>,
    /// Where the last record ended.
    good: Place,
    /// Stretches of bytes that were put aside.
    pub(super) put_aside: u64,
    /// There are bytes at the end that are no whole record.
    pub(super) is_torn: bool,
}

struct Open {
    place: Place,
    row: Vec<u8>,
}

/// What was read at once. The reader goes on behind it when it is told to: see [`Reader::accept`].
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Of the rows in SETTLEs.
    rows: Vec<Range<usize>>,
    units: Vec<(Range<usize>, bool)>,
    opened: Vec<(u64, Place, Range<usize>)>,
    closed: Vec<u64>,
    units_whole: Option<Place>,
    start: Place,
    end: Place,
}

/// Why a batch ends where it does.
#[derive(PartialEq, Eq)]
enum Stop {
    /// It has as many rows as it may.
    Full,
    /// The next record is not all there.
    Short,
    /// What comes next is no record.
    NoRecord,
}

/// So many rows at once, at most.
pub(super) const ROWS_MAX: usize = 1_000;
/// Read at once. More than any record.
const CHUNK: u64 = 512 << 10;
/// No record ends with more zeros.
const ZEROS: usize = 64;
/// What ends an INTENT begins with its sequence.
pub(super) const SEQUENCE: usize = 8;

impl Reader {
    /// Of a spool that is being written.
    pub(super) fn of_living(folder: PathBuf, shipped: Shipped) -> Self {
        Self::new(folder, shipped, shipped.intended, false)
    }

    /// Of one that was left behind.
    pub(super) fn of_left(folder: PathBuf, shipped: Shipped) -> Self {
        Self::new(folder, shipped, shipped.intended, true)
    }

    /// Of one that was left behind, from where all units are told.
    pub(super) fn of_units(folder: PathBuf, shipped: Shipped) -> Self {
        Self::new(folder, shipped, shipped.units_from(), false)
    }

    /// The same, but it changes nothing in the folder.
    pub(super) fn only_looking(self) -> Self {
        Self {
            is_looking: true,
            ..self
        }
    }

    fn new(folder: PathBuf, shipped: Shipped, at: Place, keeps: bool) -> Self {
        Self {
            folder,
            at,
            settled: shipped.settled,
            units: shipped.units,
            open: BTreeMap::new(),
            keeps,
            is_looking: false,
            file: None,
            good: at,
            put_aside: 0,
            is_torn: false,
        }
    }

    /// What comes next: up to this place, or all that there is. `None` when nothing does.
    pub(super) fn read(&mut self, until: Option<Place>) -> io::Result<Option<Batch>> {
        loop {
            let Some(end) = self.end_of_segment(until)? else {
                return Ok(None);
            };
            let length = end.saturating_sub(self.at.offset).min(CHUNK);
            let bytes = self.bytes(self.at.offset, length)?;
            let is_rest = self.at.offset.saturating_add(length) == end;
            let (batch, stopped) = Batch::of(bytes, self.at, self.settled);
            self.at = batch.end;
            if self.at > batch.start {
                self.good = self.at;
            }
            let is_torn = stopped == Stop::Short && is_rest && self.at.offset < end;
            if is_torn || stopped == Stop::NoRecord {
                self.step_over(end)?;
            }
            if !batch.is_empty() {
                // It comes again unless it is accepted.
                let end = std::mem::replace(&mut self.at, batch.start);
                return Ok(Some(Batch { end, ..batch }));
            }
        }
    }

    /// What the batch told is dealt with.
    pub(super) fn accept(&mut self, batch: &Batch) {
        self.at = batch.end;
        for (sequence, place, row) in &batch.opened {
            let row = batch
                .bytes
                .get(row.clone())
                .filter(|_| self.keeps)
                .unwrap_or_default();
            self.open.insert(
                *sequence,
                Open {
                    place: *place,
                    row: row.to_vec(),
                },
            );
        }
        for sequence in &batch.closed {
            self.open.remove(sequence);
        }
        self.units = batch.units_whole.unwrap_or(self.units);
    }

    /// What has been shipped, when all is that was accepted.
    pub(super) fn shipped(&self) -> Shipped {
        Shipped {
            settled: self.at.max(self.settled),
            intended: self.open.values().map(|open| open.place).min().unwrap_or(self.at),
            units: self.units,
            is_all: false,
        }
    }

    /// The rows of INTENTs without a SETTLE, and where they are.
    pub(super) fn open(&self) -> impl Iterator<Item = (Place, &[u8])> {
        self.open.values().map(|open| (open.place, open.row.as_slice()))
    }

    /// Whether every INTENT that was accepted has its SETTLE.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the last segment has less room than it had when it was written: something took away its end.
    pub(super) fn was_shortened(&self) -> io::Result<bool> {
        let Some(last) = segments(&self.folder)?.into_iter().max() else {
            return Ok(false);
        };
        let length = std::fs::metadata(self.folder.join(segment_name(last)))?.len();
        Ok(!length.is_multiple_of(ROOM))
    }

    /// Gives the room behind the last record back to the disk, when there is nothing in it.
    pub(super) fn trim(&self) {
        let trimmed = || -> io::Result<()> {
            let path = self.folder.join(segment_name(self.good.segment));
            let file = File::options().read(true).write(true).open(path)?;
            let mut rest = Vec::new();
            let length = file.metadata()?.len().saturating_sub(self.good.offset);
            rest.resize(usize::try_from(length).unwrap_or(0), 0);
            file.read_exact_at(&mut rest, self.good.offset)?;
            if rest.iter().all(|byte| *byte == 0) {
                file.set_len(self.good.offset)?;
            }
            Ok(())
        };
        // Nothing depends on it.
        let _not_trimmed = trimmed();
    }

    /// Where the segment that is read ends; goes on to the next one when it is read. `None` at the end of all.
    fn end_of_segment(&mut self, until: Option<Place>) -> io::Result<Option<u64>> {
        loop {
            let end = match self.file() {
                Ok(file) => Some(file.metadata()?.len()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let end = match until.filter(|until| until.segment == self.at.segment) {
                Some(until) => end.map(|end| end.min(until.offset)),
                None => end,
            };
            if end.is_some_and(|end| self.at.offset < end) {
                return Ok(end);
            }
            let next = segments(&self.folder)?
                .into_iter()
                .find(|number| *number > self.at.segment)
                .filter(|next| until.is_none_or(|until| *next <= until.segment));
            let Some(segment) = next else {
                return Ok(None);
            };
            self.at = Place { segment, offset: 0 };
        }
    }

    /// Steps over what is no record.
    fn step_over(&mut self, end: u64) -> io::Result<()> {
        let mut rest = self.bytes(self.at.offset, end.saturating_sub(self.at.offset))?;
        // In room that was never written there is nothing to look for; a record may end with some zeros.
        let written = rest
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last.saturating_add(ZEROS));
        rest.truncate(written);
        let next = frame::next(rest.get(1..).unwrap_or_default()).map(|next| next.saturating_add(1));
        match next.and_then(|next| rest.get(..next)) {
            Some(bad) => {
                self.put_aside(self.at, bad);
                self.at.offset = self.at.offset.saturating_add(bad.len() as u64);
            }
            None => {
                self.is_torn |= written > 0;
                self.at.offset = end;
            }
        }
        Ok(())
    }

    /// Keeps bytes of which nothing can be made.
    pub(super) fn put_aside(&mut self, place: Place, bytes: &[u8]) {
        self.put_aside = self.put_aside.saturating_add(1);
        if self.is_looking {
            return;
        }
        let name = format!("{UNREADABLE}{:010}-{:010}", place.segment, place.offset);
        tracing::error!(
            spool = %self.folder.display(), file = name, bytes = bytes.len(),
            "a part of the spool makes no sense and is put aside"
        );
        let kept = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.folder.join(name))
            .and_then(|mut file| file.write_all(bytes));
        match kept {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::error!(%error, "and it cannot be kept apart");
            }
            _ => {}
        }
    }

    fn bytes(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file()?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn file(&mut self) -> io::Result<&File> {
        let number = self.at.segment;
        if self.file.as_ref().is_none_or(|(open, _)| *open != number) {
            let file = File::open(self.folder.join(segment_name(number)))?;
            self.file = Some((number, file));
        }
        let file = self.file.as_ref().map(|(_, file)| file);
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Batch {
    /// The records at the beginning of these bytes, which are from this place; and what stands behind them.
    fn of(bytes: Vec<u8>, start: Place, settled: Place) -> (Self, Stop) {
        let mut batch = Self {
            bytes: Vec::new(),
            rows: Vec::new(),
            units: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            units_whole: None,
            start,
            end: start,
        };
        let mut at = 0;
        let stopped = loop {
            if batch.rows.len() >= ROWS_MAX {
                break Stop::Full;
            }
            match frame::find(bytes.get(at..).unwrap_or_default()) {
                Found::Record(record) => {
                    batch.take(&record, at, settled);
                    at = at.saturating_add(record.length);
                    batch.end.offset = start.offset.saturating_add(at as u64);
                }
                Found::Short => break Stop::Short,
                Found::End | Found::Bad => break Stop::NoRecord,
            }
        };
        batch.bytes = bytes;
        (batch, stopped)
    }

    fn take(&mut self, record: &Record<'_>, at: usize, settled: Place) {
        // The payload is followed by the checksum alone.
        let end = at.saturating_add(record.length).saturating_sub(4);
        let payload = end.saturating_sub(record.payload.len())..end;
        match record.kind {
            Kind::Intent => self.opened.push((record.sequence, self.end, payload)),
            Kind::Settle => {
                self.close(record.payload);
                if self.end >= settled {
                    self.rows
                        .push(payload.start.saturating_add(SEQUENCE)..payload.end);
                }
            }
            Kind::Withdrawn => self.close(record.payload),
            Kind::UnitsChange => self.units.push((payload, false)),
            Kind::UnitsWhole => {
                self.units_whole = Some(self.end);
                self.units.push((payload, true));
            }
        }
    }

    /// The INTENT that is named at the beginning of this has come to its end.
    fn close(&mut self, payload: &[u8]) {
        let sequence = payload.first_chunk::<SEQUENCE>();
        self.closed
            .extend(sequence.map(|bytes| u64::from_le_bytes(*bytes)));
    }

    /// The rows to be booked. One of which nothing can be made is told as its bytes, and where they are.
    pub(super) fn rows(&self) -> impl Iterator<Item = Result<AttemptRow<&str>, (Place, &[u8])>> {
        let each = self
            .rows
            .iter()
            .filter_map(|range| Some((range.start, self.bytes.get(range.clone())?)));
        each.map(|(at, bytes)| booking::read(bytes).map_err(|_| (self.place(at), bytes)))
    }

    /// Where in the spool this byte of the batch is.
    fn place(&self, at: usize) -> Place {
        Place {
            offset: self.start.offset.saturating_add(at as u64),
            ..self.start
        }
    }

    /// Changes of units, and whether each tells all of them.
    pub(super) fn units(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let each = self.units.iter();
        each.filter_map(|(range, is_whole)| Some((self.bytes.get(range.clone())?, *is_whole)))
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.opened.is_empty() && self.closed.is_empty() && self.units.is_empty()
    }
}
