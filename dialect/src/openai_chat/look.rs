//! What must be known of a request before it can be routed; all else passes unseen.

use std::ops::Range;

use serde::Deserialize;

use crate::json::{Limits, Object, scan};
use crate::look::{LookError, hold_to_limits, model_name, optional, refuse_unstorable};

/// A request as the gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The model name that the client asked for.
    pub model: String,
    pub stream: bool,
    /// Whether the client itself asked for usage at the end of the stream.
    pub include_usage: bool,
    /// How many answers were asked for (`n`).
    pub choices: u64,
    pub(super) model_at: Range<usize>,
    pub(super) stream_options_at: Option<Range<usize>>,
    /// The place of the brace that closes the request.
    pub(super) end_at: usize,
}

/// OpenAI's bound of `n`; no vendor has a higher one.
const CHOICES_MAX: u64 = 128;
/// What an answer may be limited to, in tokens. Some servers take -1 for no limit, so that and 0 are theirs to judge.
const ANSWER_TOKENS: std::ops::RangeInclusive<i64> = -1..=i32::MAX as i64;

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// Looks at a request.
///
/// # Errors
/// When it is no JSON object within the limits, has no model or no messages, or a member that is not allowed.
pub fn look(body: &[u8], limits: &Limits) -> Result<Envelope, LookError> {
    let object = scan(body, limits)?;
    let (model, model_at) = model_name(body, &object)?;
    hold_to_limits(body, &object, "messages")?;
    refuse_unstorable(body, &object, &["user", "metadata"])?;
    for name in ["max_tokens", "max_completion_tokens"] {
        let tokens: Option<i64> = optional(body, &object, name)?;
        if tokens.is_some_and(|tokens| !ANSWER_TOKENS.contains(&tokens)) {
            return Err(LookError::Invalid(name));
        }
    }
    let choices = optional(body, &object, "n")?.unwrap_or(1);
    if !(1..=CHOICES_MAX).contains(&choices) {
        return Err(LookError::Invalid("n"));
    }
    let stream = optional(body, &object, "stream")?.unwrap_or(false);
    Ok(Envelope {
        model,
        stream,
        include_usage: asks_usage(body, &object, stream)?,
        choices,
        model_at,
        stream_options_at: object.get("stream_options"),
        end_at: body.iter().rposition(|byte| *byte == b'}').unwrap_or(body.len()),
    })
}

/// Whether the client's `stream_options` ask for usage. They are edited, so they are held to what the whole request is
/// held to; and they belong to a stream.
fn asks_usage(body: &[u8], object: &Object<'_>, stream: bool) -> Result<bool, LookError> {
    let name = "stream_options";
    let options: Option<StreamOptions> = optional(body, object, name)?;
    let (Some(options), Some(at)) = (options, object.get(name)) else {
        return Ok(false);
    };
    if !stream {
        return Err(LookError::Invalid(name));
    }
    scan(body.get(at).unwrap_or_default(), &Limits::default())?;
    Ok(options.include_usage.unwrap_or(false))
}
