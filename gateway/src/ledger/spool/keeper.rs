//! The thread beside the spool: it syncs what was written, asks the disk for room ahead of need, makes good what failed,
//! and removes what has been kept long enough.

use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Durability, Inner, Spool, Synced, folder};
use crate::failpoint::failpoint;
use crate::vitals::Vitals;

/// What the machine may lose in the mode `os`.
const SYNC: Duration = Duration::from_millis(50);
/// Between two tries to make good what failed.
const RETRY: Duration = Duration::from_millis(200);
/// What usually waits to be synced.
const USUAL: usize = 256 << 10;
const TIDY: Duration = Duration::from_secs(600);

/// Keeps the spool until it is closed.
pub(super) fn start(spool: Arc<Spool>, vitals: Arc<Vitals>) -> io::Result<()> {
    let keeping = move || {
        while std::panic::catch_unwind(AssertUnwindSafe(|| spool.work())).is_err() {
            vitals.fell("spool");
            tracing::error!(part = "spool", "it fell, and is started again");
            thread::sleep(RETRY);
        }
    };
    thread::Builder::new()
        .name("spool".to_owned())
        .spawn(keeping)
        .map(|_| ())
}

impl Spool {
    fn work(&self) {
        let mut tidied: Option<Instant> = None;
        loop {
            failpoint("spool");
            if tidied.is_none_or(|at| at.elapsed() > TIDY) {
                tidied = Some(Instant::now());
                let (root, keep_from) = (&self.settings.folder, self.keep_from.load(Ordering::Relaxed));
                folder::tidy(root, &self.path, keep_from, self.settings.bytes_max);
                self.bytes.store(folder::bytes(root), Ordering::Relaxed);
            }
            let mut inner = self.something_to_do();
            if inner.trouble.is_some() {
                inner = self.make_good(inner);
                if inner.trouble.is_some() {
                    if inner.is_closed {
                        return;
                    }
                    drop(self.wait(inner, RETRY));
                }
                continue;
            }
            let is_last = inner.is_closed;
            if self.settings.durability == Durability::Os && !is_last {
                inner = self.wait(inner, SYNC);
            }
            drop(inner);
            self.sync();
            self.take_room();
            if is_last {
                return;
            }
        }
    }

    /// Sleeps until something was written, or failed, or it is time to tidy. What was put down and not written is no reason to
    /// wake: it waits for whoever writes next.
    fn something_to_do(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner();
        while inner.written == 0 && inner.trouble.is_none() && !inner.is_closed {
            inner.keeper_sleeps = true;
            let slept = Instant::now();
            inner = self.wait(inner, TIDY);
            if slept.elapsed() >= TIDY {
                break;
            }
        }
        inner.keeper_sleeps = false;
        inner
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, time: Duration) -> MutexGuard<'a, Inner> {
        let waited = self.wake.wait_timeout(inner, time);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Syncs what was written so far, while others write on.
    fn sync(&self) {
        let mut inner = self.inner();
        let bytes = inner.written;
        if bytes == 0 {
            return;
        }
        let files = inner.files();
        let with_folder = std::mem::take(&mut inner.is_folder_new);
        drop(inner);
        let synced = self.sync_files(&files, with_folder);
        let mut inner = self.inner();
        match synced {
            // Something else failed meanwhile, and all is to be written anew.
            Ok(()) if inner.written < bytes => {}
            Ok(()) => self.has_synced(&mut inner, bytes),
            Err(error) => {
                self.syncs_failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "a segment of the spool was not synced, and is not written any more");
                inner.segment = None;
                inner.full.clear();
                inner.written = 0;
                drop(self.make_good(inner));
            }
        }
    }

    /// Writes all that is not known to be synced to a new segment, and syncs that. Nobody waits for the disk meanwhile: where
    /// something is in trouble whoever comes is told so, and where only a sync has failed he writes on.
    fn make_good<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let written = self.try_write_out(&mut inner);
        let (files, bytes) = (inner.files(), inner.written);
        drop(inner);
        let made_good = written.and_then(|()| self.sync_files(&files, true));
        let mut inner = self.inner();
        match made_good {
            // Something else failed meanwhile, and all is to be written anew.
            Ok(()) if inner.written < bytes => {}
            Ok(()) => {
                if inner.trouble.take().is_some() {
                    tracing::info!("the ledger can be written again");
                }
                self.is_well.store(true, Ordering::Relaxed);
                self.has_synced(&mut inner, bytes);
            }
            Err(error) => self.fails(&mut inner, &error),
        }
        inner
    }

    fn has_synced(&self, inner: &mut Inner, bytes: usize) {
        inner.unsynced.drain(..bytes);
        inner.written = inner.written.saturating_sub(bytes);
        // Room that was needed while the disk was slow is given back.
        if inner.unsynced.len() < USUAL && inner.unsynced.capacity() > 4 * USUAL {
            inner.unsynced.shrink_to(USUAL);
        }
        inner.synced = inner.synced.saturating_add(bytes as u64);
        self.synced.send_replace(Synced {
            bytes: inner.synced,
            is_well: true,
        });
    }

    fn sync_files(&self, files: &[Arc<File>], with_folder: bool) -> io::Result<()> {
        for file in files {
            file.sync_data()?;
        }
        if with_folder {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }

    /// Asks the disk for room while there still is some, so that no call has to.
    fn take_room(&self) {
        let mut inner = self.inner();
        if let Some(segment) = inner.segment.as_mut().filter(|segment| segment.is_tight()) {
            // When the disk has none, whoever needs it is told so.
            let _none_left = segment.make_room();
        }
    }
}

impl Inner {
    /// Those that are to be synced.
    fn files(&mut self) -> Vec<Arc<File>> {
        let mut files = std::mem::take(&mut self.full);
        files.extend(self.segment.as_ref().map(|segment| segment.file.clone()));
        files
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::row;
    use super::super::{SpoolSettings, folder::Folder};
    use super::*;

    /// What a thread of this name has used so far, in the kernel's ticks of 10 ms.
    fn ticks_of(name: &str) -> Option<u64> {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let task = tasks.map(|task| task.path()).find(|task| {
            fs::read_to_string(task.join("comm")).is_ok_and(|called| called.trim_end() == name)
        })?;
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        // What is behind the name, which may hold anything: the state is the first, what was used the 12th and the 13th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    }

    #[test]
    fn what_is_withdrawn_and_not_written_keeps_nobody_awake() {
        for durability in [Durability::Strict, Durability::Os] {
            let root = tempfile::tempdir().unwrap();
            let settings = SpoolSettings {
                folder: root.path().join("spool"),
                durability,
                bytes_max: 1 << 30,
            };
            let (spool, _own, _left): (_, Folder, _) = Spool::open(&settings).unwrap();
            let name = format!("awake-{durability:?}").to_lowercase();
            let keeping = spool.clone();
            let keeper = thread::Builder::new()
                .name(name.clone())
                .spawn(move || keeping.work())
                .unwrap();
            let intended = spool.intend(&row(1)).unwrap();
            spool.write(intended.end).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while spool.synced.borrow().bytes < intended.end {
                assert!(Instant::now() < deadline, "never synced");
                thread::yield_now();
            }
            spool.withdraw(intended.sequence);
            // Whoever writes next takes it along; and then the client of that leaves as well.
            let next = spool.intend(&row(1)).unwrap();
            spool.write(next.end).unwrap();
            spool.withdraw(next.sequence);
            while spool.synced.borrow().bytes < next.end {
                assert!(Instant::now() < deadline, "never synced");
                thread::yield_now();
            }
            let before = ticks_of(&name).unwrap();
            let until = Instant::now() + Duration::from_secs(1);
            while Instant::now() < until {
                thread::sleep(Duration::from_millis(50));
            }
            let used = ticks_of(&name).unwrap() - before;
            assert!(
                used <= 10,
                "{durability:?}: {used} ticks of 10 ms in a second of nothing to do"
            );
            spool.close();
            keeper.join().unwrap();
        }
    }
}
