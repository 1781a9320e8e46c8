//! Which replica this process is.
//!
//! A replica keeps its name over a restart, by which what an earlier run of it held of leases is given back. While one
//! process takes over from another there are two of them: each name in the data directory belongs to the process that has
//! locked its file, and to whoever comes after. A name is worth nothing in a copy of the directory: the process that has it
//! may be living.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
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
            let mut written = String::new();
            file.read_to_string(&mut written)?;
            let place = place(&file)?;
            let kept = written
                .split_once(' ')
                .filter(|(name, of)| *of == place && Ulid::from_string(name).is_ok());
            let name = match kept {
                Some((name, _)) => name.to_owned(),
                None => make_name(&mut file, &place)?,
            };
            return Ok(Self {
                name: Arc::from(name),
                file,
            });
        }
        Err(io::Error::other("all names of replicas are taken"))
    }
}

/// Which start of the machine this is, where the system tells, and which data directory: what is written down in one is
/// not believed in its copy, of which the original may go on.
pub(super) fn boot(data_dir: &Path) -> Option<u128> {
    let id = fs::read_to_string(BOOT_ID).ok()?;
    let id = u128::from_str_radix(&id.trim().replace('-', ""), 16).ok()?;
    let folder = fs::metadata(data_dir.join("replicas")).ok()?;
    Some(id ^ (u128::from(folder.dev()) << 64) ^ u128::from(folder.ino()))
}

fn make_name(file: &mut File, place: &str) -> io::Result<String> {
    let name = Ulid::generate().to_string();
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{name} {place}").as_bytes())?;
    Ok(name)
}

/// Which file it is, whatever it is called: a copy of it is another one.
fn place(file: &File) -> io::Result<String> {
    let metadata = file.metadata()?;
    Ok(format!("{:x}.{:x}", metadata.dev(), metadata.ino()))
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
    fn a_copy_has_a_name_of_its_own() {
        let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let original = Replica::take(folder.path()).unwrap();
        fs::create_dir_all(copy.path().join("replicas")).unwrap();
        fs::copy(folder.path().join("replicas/0"), copy.path().join("replicas/0")).unwrap();
        assert_ne!(Replica::take(copy.path()).unwrap().name, original.name);
        assert_ne!(boot(copy.path()), boot(folder.path()));
    }

    #[test]
    fn a_name_that_was_never_written_to_its_end_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("replicas")).unwrap();
        fs::write(folder.path().join("replicas/0"), "01J").unwrap();
        assert_eq!(Replica::take(folder.path()).unwrap().name.len(), 26);
    }
}
