//! What one event of a stream says about the stream as a whole.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::meter::Metered;
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
        let data = data_of(event);
        if data.as_ref() == b"[DONE]" {
            return Self::Done;
        }
        let mut seen = Seen {
            error: is_named_error(event),
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
    memmem::find(event, b"[DONE]").is_some()
        || memmem::find(event, b"error").is_some()
        || has_value(event, b"\"usage\"")
        || has_value(event, b"\"finish_reason\"")
}

/// Whether a member of this name is there with any value but null.
fn has_value(event: &[u8], name: &[u8]) -> bool {
    memmem::find_iter(event, name).any(|at| {
        let rest = event.get(at + name.len()..).unwrap_or_default();
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b':');
        let value = rest
            .iter()
            .position(|byte| !blank(byte))
            .and_then(|start| rest.get(start..));
        !value.is_some_and(|value| value.starts_with(b"null"))
    })
}

/// Whether the event's type is `error`.
fn is_named_error(event: &[u8]) -> bool {
    lines(event).any(|line| {
        line.strip_prefix(b"event:")
            .is_some_and(|name| name.trim_ascii() == b"error")
    })
}

/// The data of an event: what stands after `data:` in its lines, joined by line feeds (WHATWG HTML, 9.2.6).
fn data_of(event: &[u8]) -> Cow<'_, [u8]> {
    let values = lines(event).filter_map(|line| {
        let value = line.strip_prefix(b"data:")?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    });
    values.fold(Cow::Borrowed(&[]), |data, value| {
        if data.is_empty() {
            return Cow::Borrowed(value);
        }
        let mut joined = data.into_owned();
        joined.push(b'\n');
        joined.extend_from_slice(value);
        Cow::Owned(joined)
    })
}

/// The lines of an event without their ends; a byte order mark at the beginning of the stream is no part of one.
fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    let event = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    event.split(|byte| matches!(byte, b'\n' | b'\r'))
}
