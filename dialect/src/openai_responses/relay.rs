//! What a stream says of itself while it is relayed: what was used, and how it ended.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::meter::Counts;
use super::response;
use super::words::FAILED;
use crate::json::ObjectWriter;
use crate::needle::Needle;
use crate::neutral::Heading;
use crate::refusal::Refusal;
use crate::relay::{self, StreamEnd, StreamMeter};
use crate::sse::{self, StreamLimits};
use crate::tier::{self, TierWord};
use crate::usage::Usage;

/// A stream of this dialect on its way through.
pub type StreamRelay = relay::StreamRelay<EventMeter>;

/// Reads the events of a stream as they pass.
#[derive(Debug, Clone, Default)]
pub struct EventMeter {
    end: Option<StreamEnd>,
    usage: Option<Usage>,
    /// The number of the event that comes next.
    next_number: u64,
    /// Whether the first event with data has been read, and what the response is called in it.
    has_begun: bool,
    begun: Option<Begun>,
}

#[derive(Debug, Clone, Deserialize)]
struct Begun {
    id: String,
    created_at: u64,
    model: String,
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
    #[serde(default, deserialize_with = "tier::read")]
    service_tier: Option<TierWord>,
}

impl relay::StreamRelay<EventMeter> {
    pub fn new(limits: StreamLimits) -> Self {
        Self::over(EventMeter::default(), limits)
    }
}

impl StreamMeter for EventMeter {
    fn read(&mut self, event: &[u8]) -> bool {
        if let Some(number) = number_of(event) {
            self.next_number = number.saturating_add(1);
        }
        if !self.has_begun {
            let data = sse::data(event);
            self.has_begun = !data.is_empty();
            self.begun = begun(&data);
        }
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
        let told = seen.response;
        let usage = told.and_then(|response| response.usage?.usage(response.service_tier));
        self.usage = usage.or(self.usage);
        true
    }

    fn end(&self) -> StreamEnd {
        self.end.unwrap_or(StreamEnd::Cut)
    }

    fn says(&self, event: &[u8]) -> bool {
        relay::has_text(event, std::slice::from_ref(&relay::DELTA))
    }

    fn is_done(&self) -> bool {
        self.end == Some(StreamEnd::Complete)
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// It is told of a response that has ended, and of no other.
    fn has_told_all(&self) -> bool {
        self.usage.is_some()
    }

    fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Clients that put the whole response together, Codex for one, see an end in a response that failed, and in nothing else.
    fn failed(&self, refusal: &Refusal, number: u64) -> Vec<u8> {
        let Some(begun) = &self.begun else {
            return Vec::new();
        };
        let response = response::Response {
            heading: Heading {
                id: &begun.id,
                created_s: begun.created_at,
                model: &begun.model,
            },
            status: FAILED,
            error: Some((refusal.code.as_str(), &refusal.message)),
            native: None,
            output: b"",
            usage: self.usage,
            service_tier: None,
        };
        let mut out = Vec::with_capacity(1_024);
        sse::begin_event(Some("response.failed"), &mut out);
        let mut object = ObjectWriter::new(&mut out);
        object
            .member("type", "response.failed")
            .member("sequence_number", &number);
        response.write(object.begin("response"));
        object.end();
        sse::end_event(&mut out);
        out
    }
}

fn begun(data: &[u8]) -> Option<Begun> {
    #[derive(Deserialize)]
    struct Created {
        r#type: String,
        response: Begun,
    }
    let created: Created = serde_json::from_slice(data).ok()?;
    (created.r#type == "response.created").then_some(created.response)
}

/// The number that an event has, found without parsing it. Inside a text its name would stand behind a backslash.
fn number_of(event: &[u8]) -> Option<u64> {
    static NAME: Needle = Needle::new(b"\"sequence_number\":");
    let at = NAME
        .places_in(event)
        .find(|at| at.checked_sub(1).and_then(|before| event.get(before)) != Some(&b'\\'))?;
    let value = event.get(at + NAME.text().len()..)?.trim_ascii_start();
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(value.get(..digits)?).ok()?.parse().ok()
}

/// Whether an event can hold anything that matters: most hold a few letters of text, and are not worth parsing. A quote
/// inside a text is escaped, so a text cannot look like one of these names.
fn may_matter(event: &[u8]) -> bool {
    static NAMES: [Needle; 4] = [
        Needle::new(b"\"response.completed\""),
        Needle::new(b"\"response.incomplete\""),
        Needle::new(b"\"response.failed\""),
        Needle::new(b"\"error\""),
    ];
    NAMES.iter().any(|name| name.is_in(event))
}
