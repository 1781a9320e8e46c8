//! The bytes of the journal: what is said of windows, one entry after the other, in numbers of variable length.

use std::sync::Arc;

use crate::lease::exchange::LeaseId;
use crate::limit::Window;

/// One statement about what is held. Each holds until the next one of its kind about the same thing, so to read one twice
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Which start of the machine, which run of the replica, and which database all of this is about.
    Begin { boot: u128, run: i64, store_epoch: i64 },
    /// From here on this number means that window.
    Window {
        number: u64,
        limit_id: Arc<str>,
        window: Window,
    },
    /// The window has one more lease.
    Lease {
        number: u64,
        lease: LeaseId,
        amount: u64,
    },
    /// So much of a lease has left this hand in all.
    Returned { number: u64, lease: LeaseId, units: u64 },
    /// All of a lease is spent or returned, and told.
    Closed { number: u64, lease: LeaseId },
    /// So many units of the window may be spent.
    Free { number: u64, units: u64 },
    /// Nothing is held of the window any more, and everything of it is told.
    Over { number: u64 },
    /// An earlier run left this to be told.
    Owed {
        lease: LeaseId,
        returned: u64,
        settled: u64,
    },
    /// It has been told.
    Paid { lease: LeaseId },
    /// The lease is about to be asked for: it may come to be, and nothing of it has been in this hand.
    Wished { lease: LeaseId },
    /// What was asked for is known, and told by other entries.
    Answered { lease: LeaseId },
}

/// A journal that is not to be believed. Nothing is given back by it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("the journal is of a version that is not known here")]
    Version,
    #[error("the journal ends in the middle of an entry")]
    CutOff,
    #[error("the journal has an entry that makes no sense")]
    Nonsense,
}

/// The first byte of each batch.
const VERSION: u8 = 1;

pub(super) fn begin_batch(out: &mut Vec<u8>) {
    out.push(VERSION);
}

impl Entry {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Begin {
                boot,
                run,
                store_epoch,
            } => {
                out.push(1);
                out.extend_from_slice(&boot.to_le_bytes());
                out.extend_from_slice(&run.to_le_bytes());
                out.extend_from_slice(&store_epoch.to_le_bytes());
            }
            Self::Window {
                number,
                limit_id,
                window,
            } => {
                out.push(2);
                put(out, *number);
                put(out, u64::try_from(limit_id.len()).unwrap_or(u64::MAX));
                out.extend_from_slice(limit_id.as_bytes());
                out.extend_from_slice(&window.start_ms.to_le_bytes());
                out.extend_from_slice(&window.end_ms.to_le_bytes());
            }
            Self::Lease {
                number,
                lease,
                amount,
            } => {
                out.push(3);
                put(out, *number);
                out.extend_from_slice(&lease.0.to_le_bytes());
                put(out, *amount);
            }
            Self::Returned { number, lease, units } => {
                out.push(4);
                put(out, *number);
                out.extend_from_slice(&lease.0.to_le_bytes());
                put(out, *units);
            }
            Self::Closed { number, lease } => {
                out.push(9);
                put(out, *number);
                out.extend_from_slice(&lease.0.to_le_bytes());
            }
            Self::Free { number, units } => {
                out.push(5);
                put(out, *number);
                put(out, *units);
            }
            Self::Over { number } => {
                out.push(6);
                put(out, *number);
            }
            Self::Owed {
                lease,
                returned,
                settled,
            } => {
                out.push(7);
                out.extend_from_slice(&lease.0.to_le_bytes());
                put(out, *returned);
                put(out, *settled);
            }
            Self::Paid { lease } => {
                out.push(8);
                out.extend_from_slice(&lease.0.to_le_bytes());
            }
            Self::Wished { lease } => {
                out.push(10);
                out.extend_from_slice(&lease.0.to_le_bytes());
            }
            Self::Answered { lease } => {
                out.push(11);
                out.extend_from_slice(&lease.0.to_le_bytes());
            }
        }
    }
}

/// The same as several batches, none of which is longer than `bytes_max` unless a single entry is. Read one after the other
/// they tell the same; where the last ones are missing, what they would have told of stays used up.
///
/// # Errors
/// When the batch is damaged.
pub fn split(batch: &[u8], bytes_max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut reader = Reader::new(batch)?;
    let mut parts = Vec::new();
    let mut part = vec![VERSION];
    loop {
        let before = reader.0;
        if reader.next()?.is_none() {
            break;
        }
        let length = before.len().saturating_sub(reader.0.len());
        let entry = before.get(..length).unwrap_or_default();
        if part.len() > 1 && part.len().saturating_add(length) > bytes_max {
            parts.push(std::mem::replace(&mut part, vec![VERSION]));
        }
        part.extend_from_slice(entry);
    }
    parts.push(part);
    Ok(parts)
}

/// Reads the entries of one batch.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// # Errors
    /// When it is of another version.
    pub(super) fn new(batch: &'a [u8]) -> Result<Self, JournalError> {
        match batch.split_first() {
            Some((&VERSION, entries)) => Ok(Self(entries)),
            Some(_) => Err(JournalError::Version),
            None => Err(JournalError::CutOff),
        }
    }

    /// # Errors
    /// When the next entry is cut off, or none that is known.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, JournalError> {
        let Some((&tag, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        self.0 = rest;
        let entry = match tag {
            1 => Entry::Begin {
                boot: u128::from_le_bytes(self.array()?),
                run: i64::from_le_bytes(self.array()?),
                store_epoch: i64::from_le_bytes(self.array()?),
            },
            2 => Entry::Window {
                number: self.number()?,
                limit_id: self.text()?,
                window: Window {
                    start_ms: i64::from_le_bytes(self.array()?),
                    end_ms: i64::from_le_bytes(self.array()?),
                },
            },
            3 => Entry::Lease {
                number: self.number()?,
                lease: self.lease()?,
                amount: self.number()?,
            },
            4 => Entry::Returned {
                number: self.number()?,
                lease: self.lease()?,
                units: self.number()?,
            },
            5 => Entry::Free {
                number: self.number()?,
                units: self.number()?,
            },
            6 => Entry::Over {
                number: self.number()?,
            },
            7 => Entry::Owed {
                lease: self.lease()?,
                returned: self.number()?,
                settled: self.number()?,
            },
            9 => Entry::Closed {
                number: self.number()?,
                lease: self.lease()?,
            },
            8 => Entry::Paid { lease: self.lease()? },
            10 => Entry::Wished { lease: self.lease()? },
            11 => Entry::Answered { lease: self.lease()? },
            _ => return Err(JournalError::Nonsense),
        };
        Ok(Some(entry))
    }

    fn lease(&mut self) -> Result<LeaseId, JournalError> {
        Ok(LeaseId(u128::from_le_bytes(self.array()?)))
    }

    fn text(&mut self) -> Result<Arc<str>, JournalError> {
        let length = usize::try_from(self.number()?).map_err(|_| JournalError::CutOff)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(JournalError::CutOff)?;
        self.0 = rest;
        let text = str::from_utf8(text).map_err(|_| JournalError::Nonsense)?;
        Ok(Arc::from(text))
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], JournalError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(JournalError::CutOff)?;
        self.0 = rest;
        Ok(*array)
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn number(&mut self) -> Result<u64, JournalError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(JournalError::CutOff)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return Err(JournalError::Nonsense);
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(JournalError::Nonsense)
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
