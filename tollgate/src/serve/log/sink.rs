//! Where log lines are gathered. The lines of calls, of which there may be tens of thousands a second, are written together;
//! every other line is written at once, after those that came before it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::writer::Writer;

/// What writes, and what waits to be written. Its clones are the same.
#[derive(Clone)]
pub(crate) struct Sink(Arc<Gathered>);

struct Gathered {
    lines: Mutex<Vec<u8>>,
    writer: Writer,
}

/// Sees to it that the last lines are written before the process ends.
pub(crate) struct LastLines(Sink);

/// One line on its way in.
pub(crate) struct Entry<'a> {
    lines: MutexGuard<'a, Vec<u8>>,
    writer: &'a Writer,
    waits: bool,
}

/// The target of the lines that may wait.
const GATHERED: &str = "tollgate::call";
const BYTES_MAX: usize = 64 << 10;
const LAST_LINES: Duration = Duration::from_secs(1);

impl Sink {
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, writer) = (Mutex::default(), Writer::start(out)?);
        Ok(Self(Arc::new(Gathered { lines, writer })))
    }

    /// Writes what waits.
    pub(crate) fn flush(&self) {
        drop(self.entry(false));
    }

    /// Waits, for a while, until what does not wait is written.
    pub(super) fn written(&self, within: Duration) {
        self.0.writer.finish(within);
    }

    pub(crate) fn last_lines(&self) -> LastLines {
        LastLines(self.clone())
    }

    fn entry(&self, waits: bool) -> Entry<'_> {
        Entry {
            // A thread that panicked in here has at worst left a part of a line.
            lines: self.0.lines.lock().unwrap_or_else(PoisonError::into_inner),
            writer: &self.0.writer,
            waits,
        }
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.flush();
        self.0.written(LAST_LINES);
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Entry<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        self.entry(false)
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        self.entry(event.target() == GATHERED)
    }
}

impl Write for Entry<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let is_due = !self.waits || self.lines.len() >= BYTES_MAX;
        if is_due && !self.lines.is_empty() {
            self.writer.write(std::mem::take(&mut self.lines));
        }
    }
}
