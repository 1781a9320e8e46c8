//! The named edits of a request that is otherwise forwarded as it came.

use std::ops::Range;

use bytes::Bytes;

use crate::Dialect;
use crate::cap::Cap;
use crate::envelope::Envelope;
use crate::json::{Limits, scan};

const OPTIONS: &str = r#"{"include_usage":true}"#;

/// The body to send, in pieces: `model` in place of the model name and, with `ask_usage` on a stream whose client did
/// not ask, `stream_options` that ask for usage. A model that is named outside the body is not this function's business.
/// Every other byte is the client's; pieces share the client's buffer.
///
/// `stream_options` that the client gave keep their other members as they are written.
pub fn splice(body: &Bytes, envelope: &Envelope, model: &str, ask_usage: bool) -> Vec<Bytes> {
    edit(body, edits(body, envelope, model, ask_usage))
}

/// The same, with a cap for the answer where the client set none.
pub fn splice_capped(
    body: &Bytes,
    envelope: &Envelope,
    model: &str,
    ask_usage: bool,
    dialect: Dialect,
    cap: Option<Cap>,
) -> Vec<Bytes> {
    let mut edits = edits(body, envelope, model, ask_usage);
    if let Some(cap) = cap
        && envelope.max_tokens.is_none()
    {
        edits.extend(cap.edits(dialect, body, envelope.end_at));
    }
    edit(body, edits)
}

fn edits(body: &Bytes, envelope: &Envelope, model: &str, ask_usage: bool) -> Vec<(Range<usize>, String)> {
    let mut edits = Vec::with_capacity(2);
    if let Some(at) = &envelope.model_at
        && model != envelope.model
    {
        edits.push((at.clone(), serde_json::Value::from(model).to_string()));
    }
    if ask_usage && envelope.stream && !envelope.include_usage {
        edits.push(match &envelope.stream_options_at {
            Some(at) => asking(body, at),
            None => (
                envelope.end_at..envelope.end_at,
                format!(r#","stream_options":{OPTIONS}"#),
            ),
        });
    }
    edits
}

/// The body in pieces, with these texts in place of what stands there. No two places overlap; of
/// what comes to stand in one place, the first is written first.
pub(crate) fn edit(body: &Bytes, mut edits: Vec<(Range<usize>, String)>) -> Vec<Bytes> {
    edits.sort_by_key(|(at, _)| at.start);
    let mut pieces = Vec::with_capacity(edits.len().saturating_mul(2).saturating_add(1));
    let mut rest = body.clone();
    let mut passed = 0;
    for (at, text) in edits {
        let mut tail = rest.split_off(at.start.saturating_sub(passed).min(rest.len()));
        pieces.push(rest);
        pieces.push(Bytes::from(text));
        rest = tail.split_off((at.end - at.start).min(tail.len()));
        passed = at.end;
    }
    pieces.push(rest);
    pieces
}

/// Where and how the client's `stream_options`, which do not ask for usage, are made to ask.
fn asking(body: &[u8], at: &Range<usize>) -> (Range<usize>, String) {
    let Ok(options) = scan(body.get(at.clone()).unwrap_or_default(), &Limits::default()) else {
        // Not an object: null, the only other value that was let through.
        return (at.clone(), OPTIONS.to_owned());
    };
    match options.get("include_usage") {
        Some(value) => (at.start + value.start..at.start + value.end, "true".to_owned()),
        None => {
            let comma = if options.members.is_empty() { "" } else { "," };
            let end = at.end.saturating_sub(1);
            (end..end, format!(r#"{comma}"include_usage":true"#))
        }
    }
}
