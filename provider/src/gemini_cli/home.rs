//! The folders of one process: nobody else's, nowhere near another's, and gone with it.
//!
//! Beneath the state folder each gateway has a folder with a lock that it holds while it lives. What a killed one has there is
//! removed by its warden; where that was killed too, it can be told from what belongs to one that serves, and is removed
//! at the next start.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use vault::Secret;

use super::warden::{self, Warden};

/// This gateway's part of the state folder.
pub(super) struct State {
    folder: PathBuf,
    made: AtomicU64,
    /// Held for as long as this lives.
    _lock: File,
    /// Who removes the folder if we cannot. Told last that it need not.
    _warden: Option<Warden>,
}

/// The folders of one process. They are removed when dropped.
pub(super) struct Home {
    folder: PathBuf,
    /// Which must not be removed before its parts are.
    state: Arc<State>,
}

const LOGIN: &str = "home/.gemini/oauth_creds.json";
const LOCK: &str = "lock";
/// How the program calls a project whose folder is called `work`.
const CHATS: &str = "home/.gemini/tmp/work/chats";
/// How often it is tried to remove the folder of a process that was killed and still is at the last that it does.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

impl State {
    /// Removes what gateways that are gone have left there, and makes this one's part.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        make_folder(state_dir)?;
        // The program is told absolute paths, and refuses others.
        let state_dir = state_dir.canonicalize()?;
        remove_left_behind(&state_dir)?;
        // Nobody has had this name before, nor will have: the warden of a gateway before us may still be at work.
        let name = format!("{}-{:016x}", std::process::id(), RandomState::new().hash_one(0));
        let folder = state_dir.join(name);
        make_folder(&folder)?;
        let lock = File::create(folder.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        })?;
        let warden = Warden::of(&folder).inspect_err(|error| {
            tracing::warn!(%error, "what the Gemini CLI has in files is left there until the next start if this process is killed");
        });
        Ok(Self {
            folder,
            made: AtomicU64::new(0),
            _lock: lock,
            _warden: warden.ok(),
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _left_for_the_next_start = fs::remove_dir_all(&self.folder);
    }
}

/// A folder whose lock can be had belongs to nobody.
fn remove_left_behind(state_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state_dir)? {
        let folder = entry?.path();
        let is_free = match File::open(folder.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_free && folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

impl Home {
    /// `settings` is the program's own settings file.
    pub(super) fn make(state: &Arc<State>, settings: &str) -> io::Result<Self> {
        let number = state.made.fetch_add(1, Ordering::Relaxed);
        let home = Self {
            folder: state.folder.join(number.to_string()),
            state: state.clone(),
        };
        for part in ["work/.gemini", "tmp", CHATS] {
            make_folder(&home.folder.join(part))?;
        }
        home.write("home/.gemini/settings.json", settings.as_bytes())?;
        // The program looks for one in each folder upwards until it finds one.
        home.write("work/.gemini/.env", b"")?;
        home.write("system.md", b"")?;
        Ok(home)
    }

    /// Notes the group of the process whose folders these are, by its number, for who ends it if we cannot.
    pub(super) fn note_group(&self, number: u32) -> io::Result<()> {
        warden::note_group(&self.folder, number)
    }

    /// Puts the tokens where the program looks for a login of its own.
    pub(super) fn put_login(&self, file: &str) -> io::Result<()> {
        self.write(LOGIN, file.as_bytes())
    }

    /// The login that the program has written down; none as long as it has none.
    pub(super) fn login(&self) -> Option<Secret> {
        fs::read_to_string(self.folder.join(LOGIN)).ok().map(Secret::new)
    }

    /// The account that it says to have signed in.
    pub(super) fn account(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("home/.gemini/google_accounts.json")).ok()
    }

    pub(super) fn user(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    pub(super) fn system_file(&self) -> PathBuf {
        self.folder.join("system.md")
    }

    /// Writes what the next call is about: the instructions, and the conversation under this id. Returns the file of the
    /// latter.
    pub(super) fn put(&self, system: &str, session_id: &str, session: &[u8]) -> io::Result<PathBuf> {
        self.clear()?;
        self.write("system.md", system.as_bytes())?;
        let begin = session_id.get(..8).unwrap_or(session_id);
        let file = format!("{CHATS}/session-2026-01-01T00-00-{begin}.jsonl");
        self.write(&file, session)?;
        Ok(self.folder.join(file))
    }

    /// Removes whatever tells of a call: the conversation, and what the program wrote about it.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.write("system.md", b"")?;
        for part in [CHATS, "tmp", "home/.gemini/tmp/work/logs", "home/.gemini/history"] {
            empty(&self.folder.join(part))?;
        }
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.folder.join(path))?;
        file.write_all(bytes)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.folder).is_ok() {
            return;
        }
        let (folder, state) = (std::mem::take(&mut self.folder), self.state.clone());
        thread::spawn(move || {
            for _ in 0..REMOVALS {
                thread::sleep(REMOVAL_PAUSE);
                if fs::remove_dir_all(&folder).is_ok() || !folder.exists() {
                    break;
                }
            }
            drop(state);
        });
    }
}

/// Makes a folder and those above it, for this user alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn empty(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn folders_are_private_and_go_with_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("gemini");
        let state = Arc::new(State::open(&state_dir).unwrap());
        let home = Home::make(&state, "{}").unwrap();
        for path in [&state_dir, &home.folder, &home.work(), &home.tmp()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let session = home.put("Be brief.", "0123456789", b"secret").unwrap();
        assert_eq!(
            fs::metadata(&session).unwrap().permissions().mode() & 0o777,
            0o600
        );
        home.clear().unwrap();
        assert!(!session.exists());
        assert_eq!(fs::read(home.system_file()).unwrap(), b"");
        drop(home);
        drop(state);
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_gateway_left_is_removed_and_what_a_living_one_has_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("1/0/home");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("prompt"), "secret").unwrap();
        let alive = folder.path().join("2");
        fs::create_dir_all(&alive).unwrap();
        let lock = File::create(alive.join(LOCK)).unwrap();
        lock.try_lock().unwrap();
        let _state = State::open(folder.path()).unwrap();
        assert!(!folder.path().join("1").exists());
        assert!(alive.exists());
    }
}
