//! What writes lines out: a thread of its own, since whoever should read them may stop to do so, and everybody who logs would
//! wait for it. So much may wait to be written; what does not fit in is dropped, and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// The thread, as others see it.
pub(super) struct Writer {
    to: Sender<Item>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    dropped_lines: AtomicU64,
}

enum Item {
    Lines(Vec<u8>),
    /// All that came before is written.
    Mark(SyncSender<()>),
}

const WAITING_BYTES_MAX: usize = 8 << 20;

impl Writer {
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (to, from) = channel();
        let shared = Arc::<Shared>::default();
        let writing = shared.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writing.write(&from, out))?;
        Ok(Self { to, shared })
    }

    /// Hands lines over. Waits for nobody.
    pub(super) fn write(&self, lines: Vec<u8>) {
        let bytes = lines.len();
        let before = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > WAITING_BYTES_MAX {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let count = lines.iter().filter(|byte| **byte == b'\n').count();
            self.shared
                .dropped_lines
                .fetch_add(count as u64, Ordering::Relaxed);
            return;
        }
        // The thread ends with this.
        let _ended = self.to.send(Item::Lines(lines));
    }

    /// Waits until all that came before is written, or this is over.
    pub(super) fn finish(&self, within: Duration) {
        let (written, is_written) = sync_channel(1);
        let _ended = self.to.send(Item::Mark(written));
        let _late = is_written.recv_timeout(within);
    }
}

impl Shared {
    fn write(&self, from: &Receiver<Item>, mut out: impl Write) {
        for item in from {
            match item {
                Item::Lines(lines) => {
                    // Whoever should read the log and is gone cannot be told of it.
                    let _unread = out.write_all(&lines);
                    self.waiting_bytes.fetch_sub(lines.len(), Ordering::Relaxed);
                }
                Item::Mark(written) => {
                    let _nobody_waits = written.try_send(());
                }
            }
            if self.dropped_lines.load(Ordering::Relaxed) > 0 {
                let lines = self.dropped_lines.swap(0, Ordering::Relaxed);
                tracing::warn!(
                    lines,
                    "lines of the log were dropped: whoever reads it was too slow"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes nothing for as long as the lock is held.
    struct Stalled(Arc<Mutex<Vec<u8>>>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_who_takes_nothing_and_what_is_dropped_is_counted() {
        let read = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer::start(Stalled(read.clone())).unwrap();
        let stalled = read.lock().unwrap();
        let line = [vec![b'x'; (1 << 20) - 1], vec![b'\n']].concat();
        for _ in 0..20 {
            writer.write(line.clone());
        }
        assert_eq!(writer.shared.dropped_lines.load(Ordering::Relaxed), 12);
        drop(stalled);
        writer.finish(Duration::from_secs(30));
        assert_eq!(read.lock().unwrap().len(), WAITING_BYTES_MAX);
        writer.write(b"one more\n".to_vec());
        writer.finish(Duration::from_secs(30));
        assert!(read.lock().unwrap().ends_with(b"one more\n"));
        assert_eq!(writer.shared.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
