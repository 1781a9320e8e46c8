//! What a stream says of itself while it is relayed: what was used, and how it ended.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::meter::Counts;
use crate::relay::{self, StreamEnd, StreamMeter};
use crate::sse::{self, StreamLimits};
use crate::usage::Usage;

/// A stream of this dialect on its way through.
pub type StreamRelay = relay::StreamRelay<EventMeter>;

/// Reads the events of a stream as they pass.
#[derive(Debug, Clone, Default)]
pub struct EventMeter {
    end: Option<StreamEnd>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    response: Option<Response>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Response {
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
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(&data) else {
            return true;
        };
        let end = match seen.r#type.as_deref() {
            Some("response.completed" | "response.incomplete") => Some(StreamEnd::Complete),
            Some("response.failed" | "error") => Some(StreamEnd::ProviderError),
            None if seen.error.is_some() => Some(StreamEnd::ProviderError),
            _ => None,
        };
        // An error is followed by a response that failed; a failure is not made good by anything.
        self.end = self.end.or(end);
        let counts = seen.response.and_then(|response| response.usage);
        self.usage = counts.and_then(Counts::usage).or(self.usage);
        true
    }

    fn end(&self) -> StreamEnd {
        self.end.unwrap_or(StreamEnd::Cut)
    }

    fn is_done(&self) -> bool {
        self.end == Some(StreamEnd::Complete)
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

/// Whether an event can hold anything that matters: most hold a few letters of text, and are not worth parsing. A quote
/// inside a text is escaped, so a text cannot look like one of these names.
fn may_matter(event: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [
        b"\"response.completed\"",
        b"\"response.incomplete\"",
        b"\"response.failed\"",
        b"\"error\"",
    ];
    NAMES.iter().any(|name| memmem::find(event, name).is_some())
}
