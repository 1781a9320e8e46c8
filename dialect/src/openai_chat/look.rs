//! What must be known of a request before it can be routed; all else passes unseen.

use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::json::{JsonError, Limits, Object, scan};

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

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("the member `{0}` is missing")]
    Missing(&'static str),
    #[error("the member `{0}` has a wrong type or value")]
    Invalid(&'static str),
    #[error("the member `{name}` holds more than {max} items")]
    TooMany { name: &'static str, max: usize },
    /// Where a call goes and with which credential is not the client's to say.
    #[error("the member `{0}` is not allowed here")]
    Forbidden(&'static str),
}

/// Members with which clients of other gateways name the upstream.
const FORBIDDEN: [&str; 9] = [
    "api_base",
    "base_url",
    "api_key",
    "api_version",
    "custom_llm_provider",
    "extra_headers",
    "headers",
    "proxy",
    "organization",
];
const MODEL_BYTES_MAX: usize = 256;
const MESSAGES_MAX: usize = 16_384;
const TOOLS_MAX: usize = 1_024;

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
    if let Some(name) = FORBIDDEN.into_iter().find(|name| object.get(name).is_some()) {
        return Err(LookError::Forbidden(name));
    }
    let model_at = object.get("model").ok_or(LookError::Missing("model"))?;
    let model: String = read(body, model_at.clone(), "model")?;
    if !is_a_name(&model) {
        return Err(LookError::Invalid("model"));
    }
    let messages = object.member("messages").ok_or(LookError::Missing("messages"))?;
    if body.get(messages.value.start) != Some(&b'[') {
        return Err(LookError::Invalid("messages"));
    }
    for (name, max) in [("messages", MESSAGES_MAX), ("tools", TOOLS_MAX)] {
        if object.member(name).is_some_and(|member| member.items > max) {
            return Err(LookError::TooMany { name, max });
        }
    }
    refuse_unstorable(body, &object)?;
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

/// Refuses NUL in texts by which callers name things: a database cannot hold it, and a row with it would be refused
/// long after the call. In texts for the model it passes.
fn refuse_unstorable(body: &[u8], object: &Object<'_>) -> Result<(), LookError> {
    for name in ["user", "metadata"] {
        let value = object.get(name).and_then(|at| body.get(at)).unwrap_or_default();
        // Behind a second backslash these letters are just letters.
        let is_nul = |at: usize| {
            let before = value.get(..at).unwrap_or_default();
            before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
        };
        if memchr::memmem::find_iter(value, br"\u0000").any(is_nul) {
            return Err(LookError::Invalid(name));
        }
    }
    Ok(())
}

/// The member's value; null counts as absent.
fn optional<T: DeserializeOwned>(
    body: &[u8],
    object: &Object<'_>,
    name: &'static str,
) -> Result<Option<T>, LookError> {
    object.get(name).map_or(Ok(None), |at| read(body, at, name))
}

fn read<T: DeserializeOwned>(body: &[u8], at: Range<usize>, name: &'static str) -> Result<T, LookError> {
    serde_json::from_slice(body.get(at).unwrap_or_default()).map_err(|_| LookError::Invalid(name))
}

/// Whether a text can be a model name. Names of other letters are refused: in logs and lists they could look like
/// another, and some day a name may be part of a path, where `..`, `?` or `%` would lead elsewhere.
fn is_a_name(text: &str) -> bool {
    let is_known = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'/' | b'@' | b'-' | b'+' | b'~')
    };
    let is_way = |part: &str| part == "." || part == "..";
    !text.is_empty()
        && text.len() <= MODEL_BYTES_MAX
        && text.bytes().all(is_known)
        && !text.split('/').any(is_way)
}
