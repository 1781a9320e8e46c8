//! What a stream says of itself as it passes: its end, its errors, its usage.

use std::collections::BTreeSet;

use super::event::{Event, Seen};
use crate::needle::Needle;
use crate::relay::{self, StreamEnd, StreamMeter};
use crate::sse::StreamLimits;
use crate::usage::Usage;

/// One stream of this dialect on its way through.
pub type StreamRelay = crate::relay::StreamRelay<ChunkMeter>;

/// What a delta may hold of what the model says, some of it by vendors other than OpenAI.
static SAID: [Needle; 8] = [
    Needle::new(b"\"content\""),
    // Of a part of the content, or of OpenRouter's thoughts.
    Needle::new(b"\"text\""),
    Needle::new(b"\"reasoning_content\""),
    Needle::new(b"\"reasoning\""),
    Needle::new(b"\"refusal\""),
    Needle::new(b"\"arguments\""),
    Needle::new(b"\"transcript\""),
    Needle::new(b"\"data\""),
];

/// Reads the chunks of a stream.
#[derive(Debug, Clone)]
pub struct ChunkMeter {
    strip_usage: bool,
    /// How many choices the client asked for.
    choices: u64,
    done: bool,
    failed: bool,
    /// Choices that have their finish reason.
    finished: BTreeSet<u64>,
    usage: Option<Usage>,
    /// That was told when all choices were finished.
    told_all: bool,
}

impl ChunkMeter {
    /// A meter for a stream of `choices` answers. With `strip_usage` the chunk that holds nothing but usage is left
    /// out: the client did not ask for it.
    pub fn new(strip_usage: bool, choices: u64) -> Self {
        Self {
            strip_usage,
            choices,
            done: false,
            failed: false,
            finished: BTreeSet::new(),
            usage: None,
            told_all: false,
        }
    }

    fn is_finished(&self) -> bool {
        self.finished.len() as u64 >= self.choices.max(1)
    }
}

impl StreamRelay {
    /// A relay over [`ChunkMeter::new`].
    pub fn new(strip_usage: bool, choices: u64, limits: StreamLimits) -> Self {
        Self::over(ChunkMeter::new(strip_usage, choices), limits)
    }
}

impl StreamMeter for ChunkMeter {
    fn read(&mut self, event: &[u8]) -> bool {
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
                self.usage = usage.map(|usage| usage.after(self.usage)).or(self.usage);
                self.told_all |= usage.is_some() && self.is_finished();
                !(self.strip_usage && usage.is_some() && !has_choices)
            }
        }
    }

    /// Complete is what has `[DONE]`, or the finish reason of every choice.
    fn end(&self) -> StreamEnd {
        let complete = self.done || self.is_finished();
        match (self.failed, complete) {
            (true, _) => StreamEnd::ProviderError,
            (false, true) => StreamEnd::Complete,
            (false, false) => StreamEnd::Cut,
        }
    }

    fn says(&self, event: &[u8]) -> bool {
        relay::has_text(event, &SAID)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn has_told_all(&self) -> bool {
        self.told_all
    }
}
