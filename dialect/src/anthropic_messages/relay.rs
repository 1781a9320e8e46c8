//! What a stream says of itself while it is relayed: what was used, and how it ended.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::usage::Counts;
use crate::needle::Needle;
use crate::relay::{self, StreamEnd, StreamMeter};
use crate::sse::{self, StreamLimits};
use crate::usage::Usage;

/// A stream of this dialect on its way through.
pub type StreamRelay = relay::StreamRelay<EventMeter>;

/// Reads the events of a stream as they pass. Counts are told in pieces, each of which replaces what was told before.
#[derive(Debug, Clone, Default)]
pub struct EventMeter {
    counts: Counts,
    /// They are those of the end.
    told_all: bool,
    done: bool,
    failed: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    message: Option<Message>,
    usage: Option<Counts>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Counts>,
}

impl relay::StreamRelay<EventMeter> {
    pub fn new(limits: StreamLimits) -> Self {
        Self::over(EventMeter::default(), limits)
    }
}

impl StreamMeter for EventMeter {
    fn read(&mut self, event: &[u8]) -> bool {
        if !may_matter(event) {
            return true;
        }
        let data = sse::data(event);
        let Ok(found) = serde_json::from_slice::<Event<'_>>(&data) else {
            return true;
        };
        match found.r#type.as_deref() {
            Some("message_start") => self.count(found.message.and_then(|message| message.usage)),
            Some("message_delta") => {
                self.told_all |= found.usage.is_some();
                self.count(found.usage);
            }
            Some("message_stop") => self.done = true,
            Some("error") => self.failed = true,
            None => self.failed |= found.error.is_some(),
            Some(_) => {}
        }
        true
    }

    fn end(&self) -> StreamEnd {
        match (self.failed, self.done) {
            (true, _) => StreamEnd::ProviderError,
            (false, true) => StreamEnd::Complete,
            (false, false) => StreamEnd::Cut,
        }
    }

    fn says(&self, event: &[u8]) -> bool {
        static PIECE: Needle = Needle::new(b"\"content_block_delta\"");
        static SAID: [Needle; 3] = [
            Needle::new(b"\"text\""),
            Needle::new(b"\"thinking\""),
            Needle::new(b"\"partial_json\""),
        ];
        PIECE.is_in(event) && relay::has_text(event, &SAID)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }

    fn has_told_all(&self) -> bool {
        self.told_all
    }
}

impl EventMeter {
    fn count(&mut self, counts: Option<Counts>) {
        self.counts = self.counts.then(counts.unwrap_or_default());
    }
}

/// Whether an event can hold anything that matters: most hold a few letters of text, and are not worth parsing. A quote
/// inside a text is escaped, so a text cannot look like one of these names.
fn may_matter(event: &[u8]) -> bool {
    static NAMES: [Needle; 2] = [Needle::new(b"\"message_"), Needle::new(b"\"error\"")];
    NAMES.iter().any(|name| name.is_in(event))
}
