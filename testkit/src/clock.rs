//! A clock that runs for one process alone, and is wrong, or jumps, or runs fast, by Debian's `libfaketime`.
//!
//! It is the time of day that is made up. The clocks that only run are the machine's: no jump of the other one moves them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

/// What whoever is given its variables takes for the time of day.
pub struct FakeClock {
    library: PathBuf,
    /// Says how the clock differs, and is read whenever somebody looks at it.
    folder: TempDir,
    made: SystemTime,
}

const LIBRARIES: &str = "/usr/lib";
const SHARED: &str = "/dev/shm";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

#[expect(clippy::expect_used, reason = "a test without its clock has failed")]
impl FakeClock {
    /// One that shows the machine's time; `None`, with a printed line, where there is no such library.
    pub fn new() -> Option<Self> {
        let libraries = fs::read_dir(LIBRARIES).into_iter().flatten().flatten();
        let library = libraries
            .map(|folder| folder.path().join(LIBRARY))
            .find(|library| library.exists());
        let Some(library) = library else {
            crate::skip("for want of a clock that can be set: faketime is not installed");
            return None;
        };
        // Whoever looks at it may be another user.
        let folder = tempfile::Builder::new()
            .prefix("tollgate-clock-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let clock = Self {
            library,
            folder,
            made: SystemTime::now(),
        };
        clock.set(0);
        Some(clock)
    }

    /// It shows so much more than the machine's from now on.
    pub fn set(&self, ahead_ms: i64) {
        self.write(&seconds(ahead_ms));
    }

    /// It is that much ahead, and from now on runs so many times as fast.
    pub fn run(&self, ahead_ms: i64, times: f64) {
        self.write(&format!("{} x{times}", seconds(ahead_ms)));
    }

    /// What a process has to find in its environment.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// In one piece, since it may be read at any time.
    fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).expect("a file");
        fs::set_permissions(&new, Permissions::from_mode(0o644)).expect("its mode");
        fs::rename(new, self.file()).expect("a file in its place");
    }

    fn file(&self) -> PathBuf {
        Path::join(self.folder.path(), "clock")
    }
}

impl Drop for FakeClock {
    /// Each process leaves something in the shared memory, by its number. Its turn comes when the process is gone.
    fn drop(&mut self) {
        for entry in fs::read_dir(SHARED).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| {
                let (kind, process) = name.rsplit_once('_')?;
                kind.contains("faketime").then_some(process)
            });
            let is_of_ours = entry.metadata().and_then(|file| file.modified());
            if let Some(process) = process
                && is_of_ours.is_ok_and(|modified| modified >= self.made)
                && !Path::new("/proc").join(process).exists()
            {
                let _gone = fs::remove_file(entry.path());
            }
        }
    }
}

fn seconds(ahead_ms: i64) -> String {
    let sign = if ahead_ms < 0 { '-' } else { '+' };
    let ahead_ms = ahead_ms.unsigned_abs();
    format!("{sign}{}.{:03}", ahead_ms / 1_000, ahead_ms % 1_000)
}
