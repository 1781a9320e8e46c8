//! Reading usage from an answer that passes untranslated, whole or as a stream.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::usage::Counts;
use crate::json::scan_answer;
use crate::relay::{StreamEnd, StreamMeter};
use crate::sse;
use crate::usage::Usage;

/// An answer, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// `None` when it reports none.
    pub usage: Option<Usage>,
}

/// Meters one stream: its counts are told in pieces, each of which replaces what was told before.
#[derive(Debug, Clone, Default)]
pub struct EventMeter {
    counts: Counts,
    done: bool,
    failed: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    message: Option<Message>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Counts>,
}

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let object = scan_answer(body).ok()?;
        let member = object.members.iter().rev().find(|member| member.name == "usage");
        let counts = member.and_then(|member| read::<Counts>(body.get(member.value.clone())?));
        Some(Self {
            usage: counts.and_then(Counts::usage),
        })
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
            Some("message_delta") => self.count(found.usage),
            Some("message_stop") => self.done = true,
            Some("error") => self.failed = true,
            _ => {}
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

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.counts.usage()
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
    memmem::find(event, b"\"message_").is_some() || memmem::find(event, b"\"error\"").is_some()
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice::<Option<T>>(json).ok()?
}
