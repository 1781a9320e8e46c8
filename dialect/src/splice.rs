//! The named edits of a request that is otherwise forwarded as it came.

use std::ops::Range;

use bytes::Bytes;

use crate::cap::Cap;
use crate::envelope::Envelope;
use crate::json::{Limits, scan};
use crate::neutral::{Losses, Target};
use crate::refusal::Refusal;
use crate::{Dialect, given_back};

const OPTIONS: &str = r#"{"include_usage":true}"#;

/// The body to send, in pieces: `model` in place of the model name and, with `ask_usage` on a stream whose client did
/// not ask, `stream_options` that ask for usage. A model that is named outside the body is not this function's business.
/// Every other byte is the client's; pieces share the client's buffer.
///
/// `stream_options` that the client gave keep their other members as they are written.
pub fn splice(body: &Bytes, envelope: &Envelope, model: &str, ask_usage: bool) -> Vec<Bytes> {
    edit(body, edits(body, envelope, model, ask_usage))
}

/// All that is edited in a request to a provider of its client's dialect.
#[derive(Debug, Clone, Copy)]
pub struct Splicing<'a> {
    pub dialect: Dialect,
    pub target: Target<'a>,
    /// Whether a stream is asked for its usage.
    pub ask_usage: bool,
    /// The most tokens that the answer shall have, where the client did not say so.
    pub cap: Option<u64>,
    /// Whether nothing may be lost.
    pub strict: bool,
}

/// What is sent.
#[derive(Debug)]
pub struct Spliced {
    /// They share the client's buffer.
    pub pieces: Vec<Bytes>,
    /// What `x-tollgate-lossy` tells.
    pub lossy: Option<String>,
}

impl Splicing<'_> {
    /// The request with the target's model, the cap, and without what only the gateway understands of the answers that the
    /// client gives back. Every other byte is the client's.
    ///
    /// # Errors
    /// When thoughts would be lost of which nothing may be.
    pub fn of(self, body: &Bytes, envelope: &Envelope) -> Result<Spliced, Refusal> {
        let Target { model, profile } = self.target;
        let mut losses = Losses::new(self.strict);
        let mut edits = edits(body, envelope, model, self.ask_usage);
        edits.extend(given_back::edits(self.dialect, body, &self.target, &mut losses)?);
        if let Some(tokens) = self.cap.filter(|_| envelope.max_tokens.is_none()) {
            let name = profile.max_tokens_name;
            edits.extend(Cap { tokens, name }.edits(self.dialect, body, envelope.end_at));
        }
        Ok(Spliced {
            pieces: edit(body, edits),
            lossy: losses.header(),
        })
    }
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
