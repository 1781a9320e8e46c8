//! Relaying a stream event by event, as it was sent, while its dialect's meter reads what it used and how it ended.
//!
//! Whole events go on at once, as slices of the chunk in which they came. Only an unfinished event is held back, so
//! that a stream that breaks never leaves half an event with the client.

use bytes::{Buf, Bytes, BytesMut};

use crate::needle::Needle;
use crate::refusal::Refusal;
use crate::said::said_bytes;
use crate::sse::{self, EventSearch, StreamLimits, StreamTooLarge};
use crate::usage::Usage;

/// Reads a stream that passes: each dialect has its own.
pub trait StreamMeter {
    /// Reads an event, from its first line to the blank line that ends it, and says whether the client gets it.
    fn read(&mut self, event: &[u8]) -> bool;

    /// How the stream stands if nothing more comes.
    fn end(&self) -> StreamEnd;

    /// Whether the stream's own last event has been read: nothing that comes after it concerns the client.
    fn is_done(&self) -> bool;

    /// The last usage that the provider reported.
    fn usage(&self) -> Option<Usage>;

    /// Whether that is what all of it has used, as it is told at the end: and not what was told at the beginning, or so far.
    fn has_told_all(&self) -> bool;

    /// Whether the model says something by this event: a token at least. Beginnings, ends and signs of life say nothing.
    fn says(&self, event: &[u8]) -> bool;

    /// The number of the next event, in the dialect that numbers them.
    fn next_number(&self) -> u64 {
        0
    }

    /// What follows on an error that ends the stream, which has this number, in the dialect that tells a failure twice.
    fn failed(&self, _refusal: &Refusal, _number: u64) -> Vec<u8> {
        Vec::new()
    }

    /// The member of an event, with its quotes, under which what the model says stands.
    fn said_under(&self) -> &'static Needle {
        &DELTA
    }
}

pub(crate) static DELTA: Needle = Needle::new(b"\"delta\"");

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The dialect's own sign of the end was there, or every answer had its reason for ending.
    Complete,
    /// The provider told of an error inside the stream.
    ProviderError,
    /// It broke off.
    Cut,
}

/// One stream on its way through.
#[derive(Clone)]
pub struct StreamRelay<M> {
    meter: M,
    limits: StreamLimits,
    /// The event that has not ended yet, and how far it has been searched for its end.
    held: BytesMut,
    search: EventSearch,
    passed_bytes: usize,
    /// Whether there was an event with data since this was last asked.
    said: bool,
    /// Events by which the model said something.
    said_events: u64,
    /// Bytes of text in all events.
    said_bytes: u64,
    /// Whether something came after the end.
    goes_on: bool,
}

impl<M: StreamMeter> StreamRelay<M> {
    pub fn over(meter: M, limits: StreamLimits) -> Self {
        Self {
            meter,
            limits,
            held: BytesMut::new(),
            search: EventSearch::default(),
            passed_bytes: 0,
            said: false,
            said_events: 0,
            said_bytes: 0,
            goes_on: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn meter_mut(&mut self) -> &mut M {
        &mut self.meter
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
            if !self.takes(chunk.get(read..end).unwrap_or_default()) {
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
        let said_events = self.said_events;
        if !rest.is_empty() && self.takes(&rest) && self.end() != StreamEnd::Cut {
            out.push(rest);
        } else {
            // Nobody gets it.
            self.said_events = said_events;
        }
        self.end()
    }

    /// How the stream stands if nothing more comes.
    pub fn end(&self) -> StreamEnd {
        self.meter.end()
    }

    pub(crate) fn meter(&self) -> &M {
        &self.meter
    }

    /// Whether the stream's own last event has been passed on: nothing that comes after it concerns the client.
    pub fn is_done(&self) -> bool {
        self.meter.is_done()
    }

    /// Whether the provider says more after that.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Whether an event with data has ended since this was last asked. Comments keep a connection busy, and say nothing.
    pub fn has_said(&mut self) -> bool {
        std::mem::take(&mut self.said)
    }

    /// By how many of the events that have passed the model said something.
    pub fn said_events(&self) -> u64 {
        self.said_events
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
        if self.takes(&event) {
            out.push(event);
        }
        true
    }

    /// Whether the client gets this event. One that begins with a blank line is that line and no more: it follows on the
    /// one that has ended the event before.
    fn takes(&mut self, event: &[u8]) -> bool {
        if matches!(event.first(), Some(b'\n' | b'\r')) {
            return false;
        }
        if self.meter.is_done() {
            self.goes_on = true;
            return false;
        }
        self.said |= has_data(event);
        self.said_events = self.said_events.saturating_add(u64::from(self.meter.says(event)));
        self.said_bytes += said_bytes(event, self.meter.said_under());
        self.meter.read(event)
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
}

/// Whether a member of one of these names is a string, and not an empty one. It is looked for without parsing: a quote inside
/// a text is escaped, so a text cannot look like a name.
pub(crate) fn has_text(event: &[u8], names: &[Needle]) -> bool {
    names.iter().any(|name| {
        name.behind_each_in(event).any(|after| {
            let value = after
                .trim_ascii_start()
                .strip_prefix(b":")
                .map(<[u8]>::trim_ascii_start);
            matches!(value, Some([b'"', first, ..]) if *first != b'"')
        })
    })
}

fn has_data(event: &[u8]) -> bool {
    // Most begin with it.
    event.starts_with(b"data") || sse::lines(event).any(|line| line.starts_with(b"data"))
}

fn send(chunk: &Bytes, from: usize, to: usize, out: &mut Vec<Bytes>) {
    if from < to {
        out.push(chunk.slice(from..to));
    }
}
