//! A stream that is translated event by event: each event of the provider's goes on at once, as what it comes to in the
//! client's dialect.

use bytes::Bytes;

use super::{Crossing, refused};
use crate::codec::{InPath, Reader, Writer};
use crate::neutral::{Event, Undo};
use crate::refusal::Refusal;
use crate::relay::StreamEnd;
use crate::sse::{Events, StreamLimits, StreamTooLarge};
use crate::{Envelope, Usage, openai_chat};

/// One stream on its way from one dialect to another.
pub struct Translation {
    events: Events,
    pipe: Pipe,
}

/// What an event goes through.
struct Pipe {
    reader: Reader,
    undo: Undo,
    writer: Writer,
    /// Whether what is written is rewritten for a client that knows of `function_call` alone.
    has_functions: bool,
    /// Room for what one event comes to, kept so that it is not made anew for each.
    read: Vec<Event>,
    undone: Vec<Event>,
    usage: Option<Usage>,
    /// The reason for the end has been told, and that is the usage of all of it.
    finished: bool,
    told_all: bool,
    /// How much the model has said, in bytes of text.
    said_bytes: u64,
    /// What the input may have been, for a client that has to be told something.
    input_tokens: Option<u64>,
    end: StreamEnd,
    /// Whether the provider said anything since this was last asked.
    said: bool,
    /// Events by which the model said something.
    said_events: u64,
}

impl Translation {
    pub(super) fn new(crossing: Crossing, envelope: &Envelope, in_path: InPath<'_>) -> Self {
        let Crossing {
            client,
            provider,
            profile,
            undo,
            heading,
            has_functions,
            input_tokens,
            ..
        } = crossing;
        let pipe = Pipe {
            reader: Reader::new(provider, &profile),
            undo,
            writer: Writer::new(client, heading, envelope, in_path, input_tokens),
            has_functions,
            read: Vec::new(),
            undone: Vec::new(),
            usage: None,
            finished: false,
            told_all: false,
            said_bytes: 0,
            input_tokens,
            end: StreamEnd::Cut,
            said: false,
            said_events: 0,
        };
        Self {
            events: Events::new(StreamLimits::default()),
            pipe,
        }
    }

    /// Takes what the provider sent and appends what the client gets.
    ///
    /// # Errors
    /// When an event or the stream is larger than allowed; the stream cannot go on.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<Bytes>) -> Result<(), StreamTooLarge> {
        self.events.push(chunk)?;
        let mut written = Vec::new();
        while let Some(event) = self.events.next_event() {
            self.pipe.read(event, &mut written);
        }
        send(written, out);
        Ok(())
    }

    /// The provider has ended the stream in good order: says how it ended, and appends what was still to be said.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        let mut written = Vec::new();
        let rest = self.events.rest();
        if !rest.is_empty() {
            let said_events = self.pipe.said_events;
            self.pipe.read(rest, &mut written);
            // An event that has not ended is none.
            self.pipe.said_events = said_events;
        }
        self.pipe.finish(&mut written);
        send(written, out);
        self.pipe.end
    }

    /// How the stream stands if nothing more comes.
    pub fn end(&self) -> StreamEnd {
        self.pipe.end
    }

    /// Whether the client has been told the end: nothing that comes after it concerns the client.
    pub fn is_done(&self) -> bool {
        self.pipe.end != StreamEnd::Cut
    }

    /// Whether the provider has said anything since this was last asked. A sign that it lives says nothing.
    pub fn has_said(&mut self) -> bool {
        std::mem::take(&mut self.pipe.said)
    }

    /// By how many of the provider's events the model said something.
    pub fn said_events(&self) -> u64 {
        self.pipe.said_events
    }

    /// Whether the text was ended at a stop sequence, of which the provider does not know: it need not go on.
    pub fn is_cut(&self) -> bool {
        self.pipe.undo.is_cut()
    }

    /// The last usage that the provider reported.
    pub fn usage(&self) -> Option<Usage> {
        self.pipe.usage
    }

    /// Whether that is what all of it has used.
    pub fn has_told_all(&self) -> bool {
        self.pipe.told_all
    }

    /// How much the model has said so far, in bytes of text.
    pub fn said_bytes(&self) -> u64 {
        self.pipe.said_bytes
    }

    /// Ends the stream with a refusal of ours.
    pub fn refuse(&mut self, refusal: &Refusal) -> Vec<u8> {
        let mut written = Vec::new();
        if self.pipe.end == StreamEnd::Cut && self.pipe.writer.refuse(refusal, &mut written) {
            self.pipe.end = StreamEnd::ProviderError;
        } else {
            self.event(Event::Fault(refused::as_fault(refusal)), &mut written);
        }
        written
    }

    /// Takes an event that is neutral already.
    pub(super) fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.pipe.read.push(event);
        self.pipe.write(out);
    }
}

impl Pipe {
    fn read(&mut self, event: &[u8], out: &mut Vec<u8>) {
        self.reader.read(event, &mut self.read);
        let says = self.read.iter().any(Event::says);
        self.said_events = self.said_events.saturating_add(u64::from(says));
        self.write(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.reader.finish(&mut self.read);
        self.write(out);
    }

    /// Writes what was read, turned back. What comes after the end concerns nobody but the ledger: the client is told the
    /// same whether it came in the same chunk or later.
    fn write(&mut self, out: &mut Vec<u8>) {
        let before = out.len();
        self.write_all(out);
        if self.has_functions && out.len() > before {
            let written = openai_chat::functions::turn_back_events(out.get(before..).unwrap_or_default());
            out.truncate(before);
            out.extend(written);
        }
    }

    fn write_all(&mut self, out: &mut Vec<u8>) {
        for event in self.read.drain(..) {
            self.said |= event != Event::KeepAlive;
            self.said_bytes += event.said_bytes();
            self.undo.events(event, &mut self.undone);
        }
        let mut is_just_told = false;
        for mut event in self.undone.drain(..) {
            if let Event::Fault(fault) = event {
                event = Event::Fault(super::told(fault));
            }
            let is_done = self.end != StreamEnd::Cut;
            match &event {
                Event::Usage(usage) => {
                    self.usage = Some(*usage);
                    is_just_told = true;
                }
                Event::Start(start) => self.usage = start.usage.or(self.usage),
                Event::Finish(_) => self.finished = true,
                Event::Fault(_) if self.end == StreamEnd::Cut => self.end = StreamEnd::ProviderError,
                Event::End if self.end == StreamEnd::Cut => self.end = StreamEnd::Complete,
                _ => {}
            }
            // With the reason for the end or after it, or with the failure.
            self.told_all |= is_just_told && (self.finished || matches!(event, Event::Fault(_)));
            if !is_done {
                if event == Event::End
                    && let Some(guess) = guess(self.usage, self.input_tokens, self.said_bytes)
                {
                    self.writer.write(&guess, out);
                }
                self.writer.write(&event, out);
            }
        }
        self.end_where_cut(out);
    }

    /// Tells the client the end where the text was ended at a stop sequence: what the provider would still say is not for it.
    fn end_where_cut(&mut self, out: &mut Vec<u8>) {
        if self.undo.is_cut() && self.end == StreamEnd::Cut {
            self.end = StreamEnd::Complete;
            if let Some(guess) = guess(self.usage, self.input_tokens, self.said_bytes) {
                self.writer.write(&guess, out);
            }
            self.writer.write(&Event::End, out);
        }
    }
}

/// What a client that cannot do without it is told of what was used, where the provider has not said a word of it.
fn guess(told: Option<Usage>, input_tokens: Option<u64>, said_bytes: u64) -> Option<Event> {
    let guessed = || Some(Event::Usage(Usage::guess(input_tokens?, said_bytes)));
    told.map_or_else(guessed, |_| None)
}

fn send(written: Vec<u8>, out: &mut Vec<Bytes>) {
    if !written.is_empty() {
        out.push(Bytes::from(written));
    }
}
