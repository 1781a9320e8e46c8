//! The folder of one process: its lock, its segments, and how much of them is shipped.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ulid::Ulid;

use super::cursor::Cursor;

/// A folder that belongs to this process for as long as this is held.
pub(in crate::ledger) struct Folder {
    pub(super) path: PathBuf,
    pub(super) cursor: Cursor,
    #[expect(dead_code, reason = "it is held for its lock")]
    lock: File,
}

const LOCK: &str = "lock";
/// What the names of files with bytes of which nothing can be made begin with.
pub(super) const UNREADABLE: &str = "unreadable-";
/// Segments are kept for so long after they were shipped.
pub(super) const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Folder {
    /// A new one, below `root`.
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        loop {
            let path = root.join(Ulid::generate().to_string());
            DirBuilder::new().mode(0o700).create(&path)?;
            // Another process that starts may have come upon it first, and taken it for one that was left behind.
            if let Some(folder) = Self::take(&path)? {
                return Ok(folder);
            }
        }
    }

    /// One that is there; `None` while another process has it.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Some(Self {
            path: path.to_owned(),
            cursor: Cursor::open(path)?,
            lock,
        }))
    }

    /// Whether a process has it. Whoever asks has it for a moment, which others take for a process.
    pub(super) fn is_in_use(path: &Path) -> bool {
        File::open(path.join(LOCK))
            .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Those below `root` that were left behind by processes that are gone, and are not wholly shipped.
    pub(super) fn left(root: &Path) -> Vec<Self> {
        let mut left = Vec::new();
        for path in all(root) {
            match Self::take(&path) {
                Ok(Some(folder)) if !folder.cursor.shipped.is_all => left.push(folder),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, folder = %path.display(), "a spool cannot be opened"),
            }
        }
        left
    }
}

/// The folders below `root`, the oldest first.
pub(super) fn all(root: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    all.sort();
    all
}

/// The numbers of the segments in a folder, in order.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| segment_number(entry.file_name().to_str()?))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:010}.segment")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".segment")?.parse().ok()
}

/// How many stretches of bytes are kept apart in a folder.
pub(super) fn unreadable(folder: &Path) -> usize {
    let names =
        files(folder).filter_map(|(path, ..)| Some(path.file_name()?.to_str()?.starts_with(UNREADABLE)));
    names.filter(|is_unreadable| *is_unreadable).count()
}

/// What all spools below `root` take on the disk.
pub(super) fn bytes(root: &Path) -> u64 {
    let files = all(root).into_iter().flat_map(|folder| files(&folder));
    files.map(|(_, _, bytes)| bytes).sum()
}

/// Removes what was shipped: what is older than it is kept for, and then the oldest, until no more than `bytes_max` are
/// left. In the folder `own` what is before `keep_from` is shipped; elsewhere, what is in folders that say so.
pub(super) fn tidy(root: &Path, own: &Path, keep_from: u64, bytes_max: u64) {
    let mut shipped = Vec::new();
    for folder in all(root) {
        if folder == own {
            shipped.extend(files(&folder).filter(|(path, ..)| {
                let number = path.file_name().and_then(|name| segment_number(name.to_str()?));
                number.is_some_and(|number| number < keep_from)
            }));
        } else if let Ok(Some(taken)) = Folder::take(&folder)
            && taken.cursor.shipped.is_all
        {
            shipped.extend(files(&folder));
        }
    }
    shipped.sort_by_key(|(_, modified, _)| *modified);
    let mut all = bytes(root);
    for (path, modified, bytes) in shipped {
        let is_old = modified.elapsed().is_ok_and(|age| age > KEPT);
        if !is_old && all <= bytes_max {
            continue;
        }
        if fs::remove_file(&path).is_ok() {
            all = all.saturating_sub(bytes);
        }
        // Removed with the last file in it.
        if let Some(folder) = path.parent().filter(|folder| *folder != own) {
            let _not_empty = fs::remove_dir(folder);
        }
    }
}

fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, SystemTime, u64)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some((entry.path(), metadata.modified().ok()?, metadata.len()))
    })
}
