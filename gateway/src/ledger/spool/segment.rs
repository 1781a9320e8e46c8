//! One file of the spool, while it is written.
//!
//! Its room is taken from the disk ahead of what is written, a piece at a time, so that a full disk is noticed when
//! there is still something left, and so that a small disk is not taken whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// A segment. Nobody else writes it.
pub(super) struct Segment {
    pub(super) file: Arc<File>,
    /// Up to here there are records.
    pub(super) written: u64,
    /// Up to here the disk has promised room.
    room: u64,
}

/// No segment becomes larger.
pub(super) const SEGMENT_MAX: u64 = 16 << 20;
/// What is asked of the disk at once.
pub(super) const ROOM: u64 = 1 << 20;

impl Segment {
    /// A new file with its first piece of room.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = folder.join(super::folder::segment_name(number));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let mut segment = Self {
            file: Arc::new(file),
            written: 0,
            room: 0,
        };
        if let Err(error) = segment.make_room() {
            let _gone = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(segment)
    }

    /// Whether so many bytes more would make it too large.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.written.saturating_add(more as u64) > SEGMENT_MAX
    }

    /// Writes what is not more than fits. When it fails, nothing may be written to this segment any more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.written.saturating_add(bytes.len() as u64);
        while self.room < end {
            self.make_room()?;
        }
        self.file.write_all_at(bytes, self.written)?;
        self.written = end;
        Ok(())
    }

    /// Whether it is time to ask the disk for more.
    pub(super) fn is_tight(&self) -> bool {
        self.room < SEGMENT_MAX && self.room.saturating_sub(self.written) < ROOM / 2
    }

    /// Asks the disk for another piece.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), self.room, ROOM) {
            Ok(()) => {}
            // A file system that cannot promise: a full disk is noticed when it is written to.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.file.set_len(self.room.saturating_add(ROOM))?,
            Err(error) => return Err(error.into()),
        }
        self.room = self.room.saturating_add(ROOM);
        Ok(())
    }
}
