//! How much of a spool has been shipped, in a small file beside the segments that is written over in place.
//!
//! It is not a record among the records, since then a full disk could not be told that something was shipped, and a start
//! would have to look for the last one. To lose it costs nothing but time: what was shipped is shipped again, which
//! changes nothing.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A place in a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// What has been shipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shipped {
    /// The rows of all SETTLEs before this place are in the database.
    pub(super) settled: Place,
    /// Every INTENT before this place has its SETTLE.
    pub(super) intended: Place,
    /// The last record that tells all units begins here.
    pub(super) units: Place,
    /// Nothing is left, and nothing will come: its process is gone.
    pub(super) is_all: bool,
}

impl Shipped {
    /// From where on everything is that is told of units. Before all of them were told for the first time, nothing was.
    pub(super) fn units_from(&self) -> Place {
        if self.units == Place::default() {
            self.intended
        } else {
            self.units
        }
    }
}

/// The file.
pub(super) struct Cursor {
    file: File,
    pub(super) shipped: Shipped,
}

const NAME: &str = "shipped";
const NUMBERS: usize = 7;
const BYTES: usize = NUMBERS * 8 + 4;

impl Cursor {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(NAME))?;
        let mut bytes = [0; BYTES];
        let read = file.read_exact_at(&mut bytes, 0).is_ok();
        let shipped = if read { Shipped::read(&bytes) } else { None };
        Ok(Self {
            file,
            shipped: shipped.unwrap_or_default(),
        })
    }

    /// What it says, without opening it for good.
    pub(super) fn look(folder: &Path) -> Shipped {
        let bytes = std::fs::read(folder.join(NAME)).unwrap_or_default();
        let shipped = bytes.first_chunk::<BYTES>().and_then(Shipped::read);
        shipped.unwrap_or_default()
    }

    /// Remembers it. When that fails, what was shipped will be shipped again after the next start.
    pub(super) fn set(&mut self, shipped: Shipped) {
        if self.shipped == shipped {
            return;
        }
        self.shipped = shipped;
        if let Err(error) = self.file.write_all_at(&shipped.bytes(), 0) {
            tracing::warn!(%error, "what was shipped cannot be noted down");
        }
    }
}

impl Shipped {
    fn bytes(&self) -> [u8; BYTES] {
        let numbers = [
            self.settled.segment,
            self.settled.offset,
            self.intended.segment,
            self.intended.offset,
            self.units.segment,
            self.units.offset,
            u64::from(self.is_all),
        ];
        let mut bytes = [0; BYTES];
        let (places, _) = bytes.as_chunks_mut::<8>();
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        if let Some((checked, check)) = bytes.split_last_chunk_mut::<4>() {
            *check = crc32c::crc32c(checked).to_le_bytes();
        }
        bytes
    }

    fn read(bytes: &[u8; BYTES]) -> Option<Self> {
        let (checked, check) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(checked) != u32::from_le_bytes(*check) {
            return None;
        }
        let numbers: Vec<u64> = checked
            .as_chunks::<8>()
            .0
            .iter()
            .map(|number| u64::from_le_bytes(*number))
            .collect();
        let place = |at: usize| {
            Some(Place {
                segment: *numbers.get(at)?,
                offset: *numbers.get(at + 1)?,
            })
        };
        Some(Self {
            settled: place(0)?,
            intended: place(2)?,
            units: place(4)?,
            is_all: *numbers.get(6)? != 0,
        })
    }
}
