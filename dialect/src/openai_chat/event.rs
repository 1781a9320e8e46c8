//! What one event of a stream says about the stream as a whole.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::meter::Metered;
use crate::needle::Needle;
use crate::sse;
use crate::usage::Usage;

/// One event, as far as it matters to whoever relays it.
pub(super) enum Event {
    /// It holds nothing that matters; its JSON was not looked at.
    Unread,
    /// `[DONE]`
    Done,
    Seen(Seen),
}

/// What was found in an event.
#[derive(Default)]
pub(super) struct Seen {
    pub error: bool,
    /// The choices that have their finish reason in it.
    pub finished: Vec<u64>,
    pub usage: Option<Usage>,
    pub has_choices: bool,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    finish_reason: Option<IgnoredAny>,
}

impl Event {
    /// Reads an event, from its first line to the blank line that ends it.
    pub(super) fn read(event: &[u8]) -> Self {
        if !may_matter(event) {
            return Self::Unread;
        }
        let data = sse::data(event);
        if data.as_ref() == b"[DONE]" {
            return Self::Done;
        }
        let mut seen = Seen {
            error: sse::name(event) == Some(b"error"),
            has_choices: true,
            ..Seen::default()
        };
        if let Ok(chunk) = serde_json::from_slice::<Chunk>(&data) {
            let choices = chunk.choices.unwrap_or_default();
            seen.error |= chunk.error.is_some();
            seen.has_choices = !choices.is_empty();
            seen.usage = Metered::look(&data).and_then(|metered| metered.usage);
            let finished = choices.iter().filter(|choice| choice.finish_reason.is_some());
            seen.finished = finished.map(|choice| choice.index).collect();
        }
        Self::Seen(seen)
    }
}

/// Whether an event can hold anything that matters: most hold a few letters of text, and are not worth parsing.
///
/// Vendors write `"usage":null` and `"finish_reason":null` into every chunk, so the values are looked at too. A quote
/// inside a text is escaped, so a text cannot look like one of these names.
fn may_matter(event: &[u8]) -> bool {
    static WORDS: [Needle; 2] = [Needle::new(b"[DONE]"), Needle::new(b"error")];
    static MEMBERS: [Needle; 2] = [Needle::new(b"\"usage\""), Needle::new(b"\"finish_reason\"")];
    WORDS.iter().any(|word| word.is_in(event)) || MEMBERS.iter().any(|name| has_value(event, name))
}

/// Whether a member of this name is there with any value but null.
fn has_value(event: &[u8], name: &Needle) -> bool {
    name.behind_each_in(event).any(|rest| {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b':');
        let value = rest
            .iter()
            .position(|byte| !blank(byte))
            .and_then(|start| rest.get(start..));
        !value.is_some_and(|value| value.starts_with(b"null"))
    })
}
