//! A look at all spools in a folder, from outside: nothing is locked for long, and nothing is changed.

use std::io;
use std::path::Path;

use super::cursor::Cursor;
use super::folder::{self, Folder};
use super::reader::Reader;

/// What is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolsLook {
    pub spools: usize,
    /// Those whose process lives.
    pub in_use: usize,
    pub bytes: u64,
    /// Attempts that have ended and are not in the database.
    pub waiting: usize,
    /// Attempts that have not ended; in a spool whose process is gone, they never will.
    pub under_way: usize,
    /// When the oldest of those that wait began.
    pub oldest_at_ms: Option<i64>,
    /// Stretches of which nothing can be made.
    pub unreadable: usize,
}

/// Looks at them.
///
/// # Errors
/// When they cannot be read.
pub fn look_at_spools(root: &Path) -> io::Result<SpoolsLook> {
    let mut look = SpoolsLook {
        bytes: folder::bytes(root),
        ..SpoolsLook::default()
    };
    for path in folder::all(root) {
        look.spools += 1;
        look.in_use += usize::from(Folder::is_in_use(&path));
        look.unreadable += folder::unreadable(&path);
        let shipped = Cursor::look(&path);
        if shipped.is_all {
            continue;
        }
        let mut reader = Reader::of_left(path, shipped).only_looking();
        while let Some(batch) = reader.read(None)? {
            for row in batch.rows().flatten() {
                look.waiting += 1;
                look.oldest_at_ms = Some(
                    look.oldest_at_ms
                        .map_or(row.started_at_ms, |at| at.min(row.started_at_ms)),
                );
            }
            reader.accept(&batch);
        }
        look.under_way += reader.open().count();
    }
    Ok(look)
}
