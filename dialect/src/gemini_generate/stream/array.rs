//! A stream as one JSON array, which is what `streamGenerateContent` sends without `alt=sse`: its items, each once all of
//! it is there, however the bytes were cut.

use bytes::Bytes;

use super::super::meter::{ChunkMeter, says};
use super::super::refusal::write_refusal;
use crate::refusal::Refusal;
use crate::relay::{StreamEnd, StreamMeter};
use crate::said::said_bytes;
use crate::sse::{StreamLimits, StreamTooLarge};
use crate::usage::Usage;

/// Takes an array in pieces and gives its items whole.
#[derive(Debug, Clone, Default)]
pub struct ArrayItems {
    limits: StreamLimits,
    buffer: Vec<u8>,
    /// Up to where the buffer has been given out.
    read: usize,
    /// Up to where it has been looked at.
    seen: usize,
    /// Where the item begins that has begun.
    start: Option<usize>,
    /// Braces and brackets that are open inside the item.
    depth: usize,
    in_text: bool,
    after_backslash: bool,
    has_ended: bool,
    passed_bytes: usize,
}

impl ArrayItems {
    pub fn new(limits: StreamLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes a piece of the stream, when the items of the last have been taken.
    ///
    /// # Errors
    /// When an item or the stream is larger than allowed; the stream cannot go on.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), StreamTooLarge> {
        let done = self.start.unwrap_or(self.seen).max(self.read);
        self.buffer.drain(..done);
        self.seen = self.seen.saturating_sub(done);
        self.start = self.start.map(|start| start.saturating_sub(done));
        self.read = 0;
        self.passed_bytes = self.passed_bytes.saturating_add(chunk.len());
        if self.buffer.len() > self.limits.event_bytes_max || self.passed_bytes > self.limits.stream_bytes_max
        {
            return Err(StreamTooLarge);
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// The next item, once all of it is there.
    pub fn next_item(&mut self) -> Option<&[u8]> {
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            self.seen += 1;
            if self.step(byte) {
                let start = self.start.take()?;
                self.read = self.seen;
                return self.buffer.get(start..self.seen);
            }
        }
        None
    }

    /// Whether an item has begun that has not ended.
    fn is_inside(&self) -> bool {
        self.start.is_some()
    }

    /// Whether the array has been closed.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Looks at a byte and says whether an item ends with it. Between items stand only commas, white space and the
    /// array's own brackets; an item is an object.
    fn step(&mut self, byte: u8) -> bool {
        if self.start.is_none() {
            match byte {
                b'{' => {
                    self.start = Some(self.seen - 1);
                    self.depth = 1;
                }
                b']' => self.has_ended = true,
                _ => {}
            }
            return false;
        }
        if self.in_text {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' => self.after_backslash = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

/// A stream of this form on its way through: it passes as it came, and is metered.
///
/// A client cannot read half an item, and one that reads items as they come stops at the last whole one; so nothing is
/// held back.
#[derive(Debug, Clone)]
pub struct ArrayRelay {
    items: ArrayItems,
    meter: ChunkMeter,
    said_items: u64,
    said_bytes: u64,
}

impl ArrayRelay {
    pub fn new(limits: StreamLimits) -> Self {
        Self {
            items: ArrayItems::new(limits),
            meter: ChunkMeter::default(),
            said_items: 0,
            said_bytes: 0,
        }
    }

    /// Takes what the provider sent and appends what the client gets.
    ///
    /// # Errors
    /// When an item or the stream is larger than allowed; the stream cannot go on.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamTooLarge> {
        self.items.push(&chunk)?;
        while let Some(item) = self.items.next_item() {
            self.said_items = self.said_items.saturating_add(u64::from(says(item)));
            self.meter.read_chunk(item);
            self.said_bytes += said_bytes(item, self.meter.said_under());
        }
        out.push(chunk);
        Ok(())
    }

    /// How the stream stands if nothing more comes. An array that was not closed was cut, whatever its last item says.
    pub fn end(&self) -> StreamEnd {
        match self.meter.end() {
            StreamEnd::Complete if !self.items.has_ended() => StreamEnd::Cut,
            end => end,
        }
    }

    /// By how many of the items that have passed the model said something.
    pub fn said_items(&self) -> u64 {
        self.said_items
    }

    /// The last usage that the provider reported.
    pub fn usage(&self) -> Option<Usage> {
        self.meter.usage()
    }

    /// Whether that is what all of it has used.
    pub fn has_told_all(&self) -> bool {
        self.meter.has_told_all()
    }

    /// How much the model has said so far, in bytes of text.
    pub fn said_bytes(&self) -> u64 {
        self.said_bytes
    }

    /// What ends the array with a refusal of ours. Inside an item nothing can be said any more: there the array stays open,
    /// which no client takes for a whole answer.
    pub fn refuse(&self, refusal: &Refusal) -> Vec<u8> {
        if self.items.is_inside() || self.items.has_ended() {
            return Vec::new();
        }
        let before: &[u8] = if self.items.passed_bytes == 0 { b"[" } else { b"," };
        [before, &write_refusal(refusal), b"]"].concat()
    }
}
