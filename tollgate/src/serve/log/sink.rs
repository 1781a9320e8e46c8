//! Where log lines are written. The lines of calls, of which there may be tens of thousands a second, are gathered and
//! written together; every other line is written at once, after those that came before it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// What is written to, and what waits to be. Its clones are the same.
pub(crate) struct Sink<W: Write = io::Stderr>(Arc<Mutex<Gathered<W>>>);

struct Gathered<W> {
    lines: Vec<u8>,
    out: W,
}

/// One line on its way in.
pub(crate) struct Entry<'a, W: Write> {
    gathered: MutexGuard<'a, Gathered<W>>,
    waits: bool,
}

/// The target of the lines that may wait.
const GATHERED: &str = "tollgate::call";
const BYTES_MAX: usize = 64 << 10;

impl<W: Write> Sink<W> {
    pub(super) fn new(out: W) -> Self {
        let lines = Vec::new();
        Self(Arc::new(Mutex::new(Gathered { lines, out })))
    }

    /// Writes what waits.
    pub(crate) fn flush(&self) {
        self.gathered().flush();
    }

    /// A thread that panicked in here has at worst left a part of a line.
    fn gathered(&self) -> MutexGuard<'_, Gathered<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Clone for Sink<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Write> Gathered<W> {
    fn flush(&mut self) {
        if !self.lines.is_empty() {
            // Whoever should read the log and is gone cannot be told of it.
            let _unread = self.out.write_all(&self.lines);
            self.lines.clear();
            self.lines.shrink_to(BYTES_MAX);
        }
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Sink<W> {
    type Writer = Entry<'a, W>;

    fn make_writer(&'a self) -> Self::Writer {
        Entry {
            gathered: self.gathered(),
            waits: false,
        }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        Entry {
            gathered: self.gathered(),
            waits: event.target() == GATHERED,
        }
    }
}

impl<W: Write> Write for Entry<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.gathered.lines.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Drop for Entry<'_, W> {
    fn drop(&mut self) {
        if !self.waits || self.gathered.lines.len() >= BYTES_MAX {
            self.gathered.flush();
        }
    }
}
