//! Relaying a stream event by event, as it was sent, while reading what it used and how it ended.
//!
//! Whole events go on at once. Only an unfinished event is held back, so that a stream that breaks never leaves half
//! an event with the client.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::reply::reply_usage;
use crate::usage::Usage;

/// One stream on its way through.
pub struct StreamRelay {
    strip_usage: bool,
    event_bytes_max: usize,
    /// The event that has not ended yet.
    held: BytesMut,
    /// How far `held` has been searched, and where its last line begins.
    searched: usize,
    line_start: usize,
    done: bool,
    failed: bool,
    finished: bool,
    usage: Option<Usage>,
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

/// An event larger than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is too large")]
pub struct EventTooLarge;

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: Option<serde::de::IgnoredAny>,
}

impl StreamRelay {
    /// With `strip_usage` the chunk that holds nothing but usage is left out: the client did not ask for it.
    pub fn new(strip_usage: bool, event_bytes_max: usize) -> Self {
        Self {
            strip_usage,
            event_bytes_max,
            held: BytesMut::new(),
            searched: 0,
            line_start: 0,
            done: false,
            failed: false,
            finished: false,
            usage: None,
        }
    }

    /// Takes what the provider sent and appends what the client gets.
    ///
    /// # Errors
    /// When an event is larger than allowed; the stream cannot go on.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<Bytes>) -> Result<(), EventTooLarge> {
        self.held.extend_from_slice(chunk);
        while let Some(end) = self.event_end() {
            let event = self.held.split_to(end.min(self.held.len())).freeze();
            (self.searched, self.line_start) = (0, 0);
            if self.passes(&event) {
                out.push(event);
            }
        }
        if self.held.len() > self.event_bytes_max {
            Err(EventTooLarge)
        } else {
            Ok(())
        }
    }

    /// The provider has ended the stream in good order: says how it ended, and appends a last event that lacked its
    /// blank line, if it is the one that completes the stream.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        let rest = std::mem::take(&mut self.held).freeze();
        if !rest.is_empty() {
            let was_complete = self.done || self.finished;
            let passes = self.passes(&rest);
            if passes && (was_complete || self.done || self.finished || self.failed) {
                out.push(rest);
            }
        }
        self.end()
    }

    /// How the stream stands if nothing more comes.
    pub fn end(&self) -> StreamEnd {
        match (self.failed, self.done || self.finished) {
            (true, _) => StreamEnd::ProviderError,
            (false, true) => StreamEnd::Complete,
            (false, false) => StreamEnd::Cut,
        }
    }

    /// The last usage that the provider reported.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The place after the blank line that ends the first event held. Lines end with LF, CRLF or CR; a CR at the very
    /// end is left open, since its LF may come.
    fn event_end(&mut self) -> Option<usize> {
        loop {
            let found = memchr::memchr2(b'\n', b'\r', self.held.get(self.searched..)?);
            let Some(offset) = found else {
                self.searched = self.held.len();
                return None;
            };
            let at = self.searched + offset;
            self.searched = at;
            let next = match (self.held.get(at), self.held.get(at + 1)) {
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

    /// Reads an event and says whether the client gets it.
    fn passes(&mut self, event: &[u8]) -> bool {
        let data = data_of(event);
        if data.as_slice() == b"[DONE]" {
            self.done = true;
            return true;
        }
        let has = |name: &str| memchr::memmem::find(&data, name.as_bytes()).is_some();
        if event.starts_with(b"event: error") || event.starts_with(b"event:error") {
            self.failed = true;
        }
        if !(has("\"usage\"") || has("\"error\"") || has("\"finish_reason\"")) {
            return true;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk>(&data) else {
            return true;
        };
        self.failed |= chunk.error.is_some();
        let choices = chunk.choices.unwrap_or_default();
        self.finished |= choices.iter().any(|choice| choice.finish_reason.is_some());
        let usage = reply_usage(&data);
        self.usage = usage.or(self.usage);
        !(self.strip_usage && usage.is_some() && choices.is_empty())
    }
}

/// The data of an event: what stands after `data:` in its lines, joined by line feeds.
fn data_of(event: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(event.len());
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let Some(value) = line.strip_prefix(b"data:") else {
            continue;
        };
        if !data.is_empty() {
            data.push(b'\n');
        }
        data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
    }
    data
}
