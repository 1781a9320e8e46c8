//! Which replica this process is.
//!
//! A replica keeps its name over a restart, by which what an earlier run of it held of leases is given back. While one
//! process takes over from another there are two of them: each name in the data directory belongs to the process that has
//! locked its file, and to whoever comes after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use ulid::Ulid;

/// A name, which is this process's for as long as this is held.
pub(super) struct Replica {
    pub(super) name: Arc<str>,
    #[expect(dead_code, reason = "its lock is held until it is dropped")]
    file: File,
}

/// Where Linux tells which start of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Nobody starts so many processes on one directory.
const NAMES_MAX: usize = 64;

impl Replica {
    /// Takes the first name that no living process has.
    pub(super) fn take(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("replicas");
        fs::create_dir_all(&folder)?;
        for number in 0..NAMES_MAX {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(folder.join(number.to_string()))?;
            if file.try_lock().is_err() {
                continue;
            }
            let mut name = String::new();
            file.read_to_string(&mut name)?;
            if Ulid::from_string(&name).is_err() {
                name = Ulid::generate().to_string();
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(name.as_bytes())?;
            }
            return Ok(Self {
                name: Arc::from(name),
                file,
            });
        }
        Err(io::Error::other("all names of replicas are taken"))
    }
}

/// Which start of the machine this is, where the system tells.
pub(super) fn boot() -> Option<u128> {
    let id = fs::read_to_string(BOOT_ID).ok()?;
    u128::from_str_radix(&id.trim().replace('-', ""), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_process_s_and_then_the_next_one_s() {
        let folder = tempfile::tempdir().unwrap();
        let first = Replica::take(folder.path()).unwrap();
        let second = Replica::take(folder.path()).unwrap();
        assert_ne!(first.name, second.name);
        let name = first.name.clone();
        drop(first);
        assert_eq!(Replica::take(folder.path()).unwrap().name, name);
        drop(second);
    }

    #[test]
    fn a_name_that_was_never_written_to_its_end_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("replicas")).unwrap();
        fs::write(folder.path().join("replicas/0"), "01J").unwrap();
        assert_eq!(Replica::take(folder.path()).unwrap().name.len(), 26);
    }
}
