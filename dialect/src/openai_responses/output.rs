//! Items of an answer, as they are written: whole answers and streams share them.

use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::carry::{CarriedSeal, opaque_for, tool_call_id};
use crate::neutral::{Citation, Heading, Seal};
use crate::openai_responses::namespace;

/// What an item's status can be.
pub(super) const IN_PROGRESS: &str = "in_progress";
pub(super) const COMPLETED: &str = "completed";
pub(super) const INCOMPLETE: &str = "incomplete";

/// The id of an item: made of the answer's, so that it is the same wherever it is told.
pub(super) fn item_id(prefix: &str, heading: &Heading<'_>, index: usize) -> String {
    let base = heading.id.strip_prefix("resp_").unwrap_or(heading.id);
    format!("{prefix}_{base}_{index}")
}

/// The id of a call as the client gets it: with the seal that the vendor wants back.
pub(super) fn call_id(id: &str, seal: Option<&Seal>) -> String {
    let carried = seal.map(|seal| CarriedSeal {
        seal: seal.clone(),
        is_reasoning: false,
        redacted: false,
    });
    tool_call_id(id, carried.as_slice())
}

pub(super) fn write_message(id: &str, status: &str, content: &[u8], out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object
        .member("id", id)
        .member("type", "message")
        .member("status", status);
    let list = object.begin("content");
    list.push(b'[');
    list.extend_from_slice(content);
    list.push(b']');
    object.member("role", "assistant");
    object.end();
}

/// A text, with its annotations and log-probabilities written and parted by commas.
pub(super) fn write_text(text: &str, annotations: &[u8], logprobs: &[u8], out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("type", "output_text");
    for (name, list) in [("annotations", annotations), ("logprobs", logprobs)] {
        let value = object.begin(name);
        value.push(b'[');
        value.extend_from_slice(list);
        value.push(b']');
    }
    object.member("text", text);
    object.end();
}

pub(super) fn write_refusal(text: &str, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("type", "refusal").member("refusal", text);
    object.end();
}

/// What is shown of reasoning.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub texts: &'a [String],
    pub is_summary: bool,
    /// Whether there never is a text.
    pub redacted: bool,
}

/// Reasoning. A seal of another vendor is carried in the member that is opaque anyway; what has one but no text, and
/// could have one, has an empty text, by which it is told from what is redacted.
pub(super) fn write_reasoning(id: &str, shown: Shown<'_>, seal: Option<&Seal>, out: &mut Vec<u8>) {
    let empty = [String::new()];
    let is_carried = seal.is_some_and(|seal| seal.origin != Dialect::OpenaiResponses);
    let is_blank = is_carried && shown.texts.is_empty() && !shown.redacted;
    let (summary, content): (&[String], &[String]) = match (is_blank, shown.is_summary) {
        (true, _) => (&empty, &[]),
        (false, true) => (shown.texts, &[]),
        (false, false) => (&[], shown.texts),
    };
    let mut object = ObjectWriter::new(out);
    object.member("id", id).member("type", "reasoning");
    write_array(summary, object.begin("summary"), |text, out| {
        write_typed("summary_text", text, out);
    });
    if !content.is_empty() {
        write_array(content, object.begin("content"), |text, out| {
            write_typed("reasoning_text", text, out);
        });
    }
    let encrypted = seal.map(|seal| opaque_for(seal, Dialect::OpenaiResponses));
    object.member("encrypted_content", &encrypted);
    object.end();
}

pub(super) fn write_typed(kind: &str, text: &str, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("type", kind).member("text", text);
    object.end();
}

/// A call, by the names that the client has for the tool.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub call_id: &'a str,
    pub name: &'a str,
    pub is_free_text: bool,
    /// Arguments, or the free text.
    pub text: &'a str,
}

pub(super) fn write_call(id: &str, status: &str, call: Call<'_>, out: &mut Vec<u8>) {
    let (space, name) = namespace::split(call.name);
    let (kind, member) = if call.is_free_text {
        ("custom_tool_call", "input")
    } else {
        ("function_call", "arguments")
    };
    let mut object = ObjectWriter::new(out);
    object
        .member("id", id)
        .member("type", kind)
        .member("status", status)
        .member(member, call.text)
        .member("call_id", call.call_id)
        .member("name", name)
        .optional("namespace", space);
    object.end();
}

/// An annotation; `false` when it is one of another dialect's, which means nothing here.
pub(super) fn write_citation(citation: &Citation, text: &str, out: &mut Vec<u8>) -> bool {
    match citation {
        Citation::Url {
            url,
            title,
            start,
            end,
        } => {
            let end = end.unwrap_or_else(|| text.chars().count());
            let mut object = ObjectWriter::new(out);
            object
                .member("type", "url_citation")
                .member("start_index", &start.unwrap_or(0))
                .member("end_index", &end)
                .member("url", url)
                .member("title", title.as_deref().unwrap_or_default());
            object.end();
            true
        }
        Citation::Raw(raw) if raw.origin == Dialect::OpenaiResponses => {
            write_line(&raw.json, out);
            true
        }
        Citation::Raw(_) => false,
    }
}

/// Carried JSON, in one line: an event of a stream ends at a blank one.
pub(super) fn write_line(json: &serde_json::value::RawValue, out: &mut Vec<u8>) {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let plain = json
        .get()
        .bytes()
        .map(|byte| if is_break(&byte) { b' ' } else { byte });
    out.extend(plain);
}
