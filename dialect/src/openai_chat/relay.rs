//! Relaying a stream event by event, as it was sent, while reading what it used and how it ended.
//!
//! Whole events go on at once, as slices of the chunk in which they came. Only an unfinished event is held back, so
//! that a stream that breaks never leaves half an event with the client.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes, BytesMut};

use super::event::{Event, Seen};
use crate::usage::Usage;

/// One stream on its way through.
#[derive(Clone)]
pub struct StreamRelay {
    strip_usage: bool,
    /// How many choices the client asked for.
    choices: u64,
    limits: StreamLimits,
    /// The event that has not ended yet, and how far it has been searched for its end.
    held: BytesMut,
    search: EventSearch,
    passed_bytes: usize,
    done: bool,
    failed: bool,
    /// Choices that have their finish reason.
    finished: BTreeSet<u64>,
    usage: Option<Usage>,
}

/// How much of a stream is believed to be one, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    pub line_bytes_max: usize,
    pub event_bytes_max: usize,
    pub stream_bytes_max: usize,
}

impl Default for StreamLimits {
    /// 1 MiB, 4 MiB and 64 MiB.
    fn default() -> Self {
        Self {
            line_bytes_max: 1 << 20,
            event_bytes_max: 4 << 20,
            stream_bytes_max: 64 << 20,
        }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// `[DONE]` was there, or every choice had its finish reason.
    Complete,
    /// The provider told of an error inside the stream.
    ProviderError,
    /// It broke off.
    Cut,
}

/// A stream, or an event of it, larger than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream or one of its events is too large")]
pub struct StreamTooLarge;

impl StreamRelay {
    /// A relay for a stream of `choices` answers. With `strip_usage` the chunk that holds nothing but usage is left
    /// out: the client did not ask for it.
    pub fn new(strip_usage: bool, choices: u64, limits: StreamLimits) -> Self {
        Self {
            strip_usage,
            choices,
            limits,
            held: BytesMut::new(),
            search: EventSearch::default(),
            passed_bytes: 0,
            done: false,
            failed: false,
            finished: BTreeSet::new(),
            usage: None,
        }
    }

    /// Takes what the provider sent and appends what the client gets.
    ///
    /// # Errors
    /// When an event or the stream is larger than allowed; the stream cannot go on.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamTooLarge> {
        self.passed_bytes = self.passed_bytes.saturating_add(chunk.len());
        if !self.held.is_empty() && !self.complete_held(&mut chunk, out) {
            return self.within_limits();
        }
        let mut search = EventSearch::default();
        let (mut unsent, mut read) = (0, 0);
        while let Some(end) = search.event_end(&chunk) {
            if !self.passes(chunk.get(read..end).unwrap_or_default()) {
                send(&chunk, unsent, read, out);
                unsent = end;
            }
            read = end;
        }
        send(&chunk, unsent, read, out);
        self.held.extend_from_slice(chunk.get(read..).unwrap_or_default());
        self.search = search.moved_back(read);
        self.within_limits()
    }

    /// The provider has ended the stream in good order: says how it ended, and appends a last event that lacked its
    /// blank line, unless the stream is cut there.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        let rest = std::mem::take(&mut self.held).freeze();
        if !rest.is_empty() && self.passes(&rest) && self.end() != StreamEnd::Cut {
            out.push(rest);
        }
        self.end()
    }

    /// How the stream stands if nothing more comes.
    pub fn end(&self) -> StreamEnd {
        let complete = self.done || self.finished.len() as u64 >= self.choices.max(1);
        match (self.failed, complete) {
            (true, _) => StreamEnd::ProviderError,
            (false, true) => StreamEnd::Complete,
            (false, false) => StreamEnd::Cut,
        }
    }

    /// Whether `[DONE]` has been passed on: nothing that comes after it concerns the client.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The last usage that the provider reported.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Adds the chunk to the event held; when that completes it, takes the event's bytes off the chunk.
    fn complete_held(&mut self, chunk: &mut Bytes, out: &mut Vec<Bytes>) -> bool {
        let held_bytes = self.held.len();
        self.held.extend_from_slice(chunk);
        let Some(end) = self.search.event_end(&self.held) else {
            return false;
        };
        chunk.advance(end.saturating_sub(held_bytes).min(chunk.len()));
        let mut event = std::mem::take(&mut self.held);
        event.truncate(end);
        let event = event.freeze();
        if self.passes(&event) {
            out.push(event);
        }
        true
    }

    fn within_limits(&self) -> Result<(), StreamTooLarge> {
        let StreamLimits {
            line_bytes_max,
            event_bytes_max,
            stream_bytes_max,
        } = self.limits;
        if self.search.line_bytes() > line_bytes_max
            || self.held.len() > event_bytes_max
            || self.passed_bytes > stream_bytes_max
        {
            Err(StreamTooLarge)
        } else {
            Ok(())
        }
    }

    /// Reads an event and says whether the client gets it.
    fn passes(&mut self, event: &[u8]) -> bool {
        match Event::read(event) {
            Event::Unread => true,
            Event::Done => {
                self.done = true;
                true
            }
            Event::Seen(Seen {
                error,
                finished,
                usage,
                has_choices,
            }) => {
                self.failed |= error;
                self.finished.extend(finished);
                self.usage = usage.or(self.usage);
                !(self.strip_usage && usage.is_some() && !has_choices)
            }
        }
    }
}

fn send(chunk: &Bytes, from: usize, to: usize, out: &mut Vec<Bytes>) {
    if from < to {
        out.push(chunk.slice(from..to));
    }
}

/// How far a buffer has been searched for the blank line that ends an event.
#[derive(Clone, Default)]
struct EventSearch {
    searched: usize,
    line_start: usize,
}

impl EventSearch {
    /// The place after the blank line that ends the next event. Lines end with LF, CRLF or CR; a CR at the very end
    /// is left open, since its LF may come.
    fn event_end(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let Some(offset) = memchr::memchr2(b'\n', b'\r', buffer.get(self.searched..)?) else {
                self.searched = buffer.len();
                return None;
            };
            let at = self.searched + offset;
            self.searched = at;
            let next = match (buffer.get(at), buffer.get(at + 1)) {
                (Some(b'\r'), None) => return None,
                (Some(b'\r'), Some(b'\n')) => at + 2,
                _ => at + 1,
            };
            let blank = self.line_start == at;
            (self.searched, self.line_start) = (next, next);
            if blank {
                return Some(next);
            }
        }
    }

    /// How much of a line without an end is there.
    fn line_bytes(&self) -> usize {
        self.searched.saturating_sub(self.line_start)
    }

    /// The same search after the first `bytes` of its buffer are gone.
    fn moved_back(self, bytes: usize) -> Self {
        Self {
            searched: self.searched.saturating_sub(bytes),
            line_start: self.line_start.saturating_sub(bytes),
        }
    }
}
