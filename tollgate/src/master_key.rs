//! Where the master key is kept: in a variable, or in a file of mode 0600 that the first start makes.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use vault::{MasterKeys, Secret, Vault, VaultError};

use crate::failure::{Failure, Kind};

/// Where the ring of master keys comes from.
#[derive(Clone)]
pub(crate) enum MasterKeySource {
    /// The setting itself, which this program cannot change.
    Setting(Secret),
    File(PathBuf),
}

impl MasterKeySource {
    /// The vault over the ring that is there.
    ///
    /// # Errors
    /// When there is none, or it is no ring of strong keys, or the file may be read by others.
    pub(crate) fn vault(&self) -> Result<Vault, Failure> {
        match self {
            Self::Setting(text) => Ok(Vault::new(parse(text.expose(), "TOLLGATE_MASTER_KEY")?)),
            Self::File(path) => {
                let ring = read(path)?;
                let path = path.clone();
                // A rotation beside a running server changes the file; what it wrapped anew is met with an unknown version.
                let source = Arc::new(move || read(&path).map_err(|_| VaultError::Source));
                Ok(Vault::reloading(ring, source))
            }
        }
    }

    /// The same, after making the file when it is not there yet. Says whether it was made.
    pub(crate) fn vault_or_new(&self) -> Result<(Vault, bool), Failure> {
        let made = match self {
            Self::File(path) if !path.exists() => {
                write_new(path, &MasterKeys::generate()?)?;
                true
            }
            _ => false,
        };
        Ok((self.vault()?, made))
    }

    /// Takes back a file that was made a moment ago for a database that turned out to have another master key.
    pub(crate) fn take_back(&self) {
        if let Self::File(path) = self {
            // A file that stays is in nobody's way: the next start says what is wrong with it.
            let _stays = fs::remove_file(path);
        }
    }

    /// Lets nobody else change the ring: of two who do so at once, one would throw away the key under which the other wraps.
    ///
    /// # Errors
    /// When somebody else is at it, it is kept in a variable, or the file cannot be used.
    pub(crate) fn lock(&self) -> Result<LockedRing<'_>, Failure> {
        let Self::File(path) = self else {
            return Err(Failure::other(
                "the master key is kept in TOLLGATE_MASTER_KEY, which only you can change",
            ));
        };
        let beside = path.with_extension("lock");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&beside);
        let lock = opened.map_err(|error| unusable(&beside, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let message = format!("another rotation of {} is under way", path.display());
                return Err(Failure::new(Kind::Conflict, message));
            }
            Err(error) => return Err(unusable(&beside, &error.into())),
        }
        Ok(LockedRing { path, _lock: lock })
    }
}

/// The file of the ring, which nobody else changes meanwhile.
pub(crate) struct LockedRing<'a> {
    path: &'a Path,
    /// Held until dropped.
    _lock: fs::File,
}

impl LockedRing<'_> {
    /// What stands in it now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(&self) -> Result<MasterKeys, Failure> {
        read(self.path)
    }

    /// Keeps another ring from now on, in place of the one that was read.
    ///
    /// # Errors
    /// When that one is there no more, or the file cannot be written.
    pub(crate) fn replace(&self, known: &MasterKeys, ring: &MasterKeys) -> Result<(), Failure> {
        let path = self.path;
        let beside = path.with_extension("new");
        // What an interrupted rotation left there was never in use.
        let _absent = fs::remove_file(&beside);
        write_new(&beside, ring)?;
        // Who copies a file into place asks for no lock. Nothing that is not known here is thrown away.
        if !Secret::matches(&read(path)?.to_text(), &known.to_text()) {
            let message = format!("{} has been changed meanwhile: run this again", path.display());
            return Err(Failure::new(Kind::Conflict, message));
        }
        fs::rename(&beside, path).map_err(|error| unusable(path, &error))?;
        sync_folder(path);
        Ok(())
    }
}

fn read(path: &Path) -> Result<MasterKeys, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!(
                "there is no master key at {}: start with `tollgate serve`",
                path.display()
            );
            return Err(Failure::new(Kind::Secret, message));
        }
        Err(error) => return Err(unusable(path, &error)),
    };
    let mode = fs::metadata(path)
        .map_err(|error| unusable(path, &error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let message = format!(
            "others may read the master key in {}: run `chmod 600` on it",
            path.display()
        );
        return Err(Failure::new(Kind::Secret, message));
    }
    parse(text.expose(), &path.display().to_string())
}

fn parse(text: &str, place: &str) -> Result<MasterKeys, Failure> {
    MasterKeys::parse(text).map_err(|error| Failure::new(Kind::Secret, format!("{place}: {error}")))
}

fn write_new(path: &Path, ring: &MasterKeys) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    }
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = opened.map_err(|error| unusable(path, &error))?;
    let written = file
        .write_all(ring.to_text().expose().as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| unusable(path, &error))?;
    sync_folder(path);
    Ok(())
}

/// A key that is lost with the machine's power is lost with everything sealed under it.
fn sync_folder(path: &Path) {
    let folder = path.parent().and_then(|folder| fs::File::open(folder).ok());
    let _synced = folder.map(|folder| folder.sync_all());
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Secret, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_private_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("master.key");
        let source = MasterKeySource::File(path.clone());
        assert!(source.vault().is_err());
        let (_, made) = source.vault_or_new().unwrap();
        assert!(made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (_, made) = source.vault_or_new().unwrap();
        assert!(!made);
        let locked = source.lock().unwrap();
        let ring = locked.read().unwrap();
        let next = ring.with_next().unwrap();
        locked.replace(&ring, &next).unwrap();
        assert_eq!(source.vault().unwrap().current_version(), 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn of_two_who_change_the_ring_at_once_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let source = MasterKeySource::File(path.clone());
        source.vault_or_new().unwrap();
        let locked = source.lock().unwrap();
        let failure = source.lock().err().unwrap();
        assert!(failure.message().contains("under way"), "{failure:?}");
        let known = locked.read().unwrap();
        // Somebody who asks for no lock.
        let theirs = known.with_next().unwrap().to_text();
        fs::write(&path, theirs.expose()).unwrap();
        let failure = locked.replace(&known, &known.with_next().unwrap()).unwrap_err();
        assert!(failure.message().contains("changed meanwhile"), "{failure:?}");
        assert!(read(&path).unwrap().to_text().matches(&theirs));
        drop(locked);
        assert!(source.lock().is_ok());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let source = MasterKeySource::File(path.clone());
        source.vault_or_new().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let failure = source.vault().err().unwrap();
        assert!(failure.message().contains("chmod 600"), "{failure:?}");
    }
}
