//! What must be known of a request before it can be routed; all else passes unseen.

use serde::Deserialize;

use crate::envelope::Envelope;
use crate::json::{Limits, Object, scan};
use crate::look::{LookError, hold_to_limits, model_name, optional, refuse_unstorable, tier};

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
    let max_tokens = [
        answer_tokens(body, &object, "max_tokens")?,
        answer_tokens(body, &object, "max_completion_tokens")?,
    ];
    let choices = optional(body, &object, "n")?.unwrap_or(1);
    if !(1..=CHOICES_MAX).contains(&choices) {
        return Err(LookError::Invalid("n"));
    }
    let stream = optional(body, &object, "stream")?.unwrap_or(false);
    Ok(Envelope {
        stream,
        include_usage: asks_usage(body, &object, stream)?,
        choices,
        // Which of the two counts is the provider's to say.
        max_tokens: max_tokens.into_iter().flatten().max(),
        tier: tier(body, &object),
        stream_options_at: object.get("stream_options"),
        ..Envelope::new(body, model, Some(model_at))
    })
}

/// The limit that a member sets to the answer; `None` where it sets none.
fn answer_tokens(body: &[u8], object: &Object<'_>, name: &'static str) -> Result<Option<u64>, LookError> {
    let tokens: Option<i64> = optional(body, object, name)?;
    if tokens.is_some_and(|tokens| !ANSWER_TOKENS.contains(&tokens)) {
        return Err(LookError::Invalid(name));
    }
    let limit = tokens.and_then(|tokens| u64::try_from(tokens).ok());
    Ok(limit.filter(|tokens| *tokens > 0))
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
