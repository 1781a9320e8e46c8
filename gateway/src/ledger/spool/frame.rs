//! One record in a segment: its length, its kind, its sequence, what it holds, and a checksum over all of that.
//!
//! Zeros follow the last record of a segment. Whatever else a disk may give back (a torn end, a flipped bit) is told from
//! a record by the checksum, CRC32C.

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An attempt that may be sent from now on.
    Intent = 1,
    /// How it ended.
    Settle = 2,
    /// A change of the units that this replica holds of its leases.
    UnitsChange = 3,
    /// All that it holds: what was told before does not matter any more.
    UnitsWhole = 4,
    /// An attempt that was not sent, and never will be: it is as if it had not been thought of.
    Withdrawn = 5,
}

/// A record, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    pub(super) payload: &'a [u8],
    /// Of all of it.
    pub(super) length: usize,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Record(Record<'a>),
    /// Nothing was written here.
    End,
    /// More bytes are needed to tell.
    Short,
    /// No record.
    Bad,
}

/// More does not fit into one record.
pub(super) const RECORD_MAX: usize = 64 << 10;
const LENGTH: usize = 4;
const HEAD: usize = LENGTH + 1 + 8;
const CHECK: usize = 4;

/// Appends a record; what it holds is written by `payload`.
pub(super) fn append(out: &mut Vec<u8>, kind: Kind, sequence: u64, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.push(kind as u8);
    out.extend_from_slice(&sequence.to_le_bytes());
    payload(out);
    let length = out.len().saturating_sub(start).saturating_add(CHECK);
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = out.get_mut(start..start.saturating_add(LENGTH)) {
        place.copy_from_slice(&length);
    }
    let check = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&check.to_le_bytes());
}

/// What stands at the beginning of these bytes.
pub(super) fn find(bytes: &[u8]) -> Found<'_> {
    let Some(length) = number(bytes) else {
        return Found::Short;
    };
    let length = length as usize;
    if length == 0 {
        return Found::End;
    }
    if !(HEAD + CHECK..=RECORD_MAX).contains(&length) {
        return Found::Bad;
    }
    let Some((checked, check)) = bytes.get(..length).and_then(<[u8]>::split_last_chunk::<CHECK>) else {
        return Found::Short;
    };
    if crc32c::crc32c(checked) != u32::from_le_bytes(*check) {
        return Found::Bad;
    }
    let record = checked.get(LENGTH..).and_then(|rest| {
        let (kind, rest) = rest.split_first()?;
        let (sequence, payload) = rest.split_first_chunk()?;
        Some(Record {
            kind: Kind::of(*kind)?,
            sequence: u64::from_le_bytes(*sequence),
            payload,
            length,
        })
    });
    record.map_or(Found::Bad, Found::Record)
}

/// Where in these bytes the next record begins, if one does.
pub(super) fn next(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|at| matches!(bytes.get(*at..).map(find), Some(Found::Record(_))))
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [
            Self::Intent,
            Self::Settle,
            Self::UnitsChange,
            Self::UnitsWhole,
            Self::Withdrawn,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|first| u32::from_le_bytes(*first))
}
