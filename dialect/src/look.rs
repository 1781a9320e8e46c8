//! Looking at a request before it can be routed: what is the same in every dialect.

use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::json::{JsonError, Object, WrongType};
use crate::refusal::{Code, Refusal};

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

const MODEL_BYTES_MAX: usize = 256;
const TURNS_MAX: usize = 16_384;
const TOOLS_MAX: usize = 1_024;

/// The model name that the client asked for, and where it stands. Refuses members that no client may send.
pub(crate) fn model_name(body: &[u8], object: &Object<'_>) -> Result<(String, Range<usize>), LookError> {
    refuse_forbidden(object)?;
    let at = object.get("model").ok_or(LookError::Missing("model"))?;
    let model: String = read(body, at.clone(), "model")?;
    if is_a_name(&model) {
        Ok((model, at))
    } else {
        Err(LookError::Invalid("model"))
    }
}

pub(crate) fn refuse_forbidden(object: &Object<'_>) -> Result<(), LookError> {
    match object.members.iter().find_map(|member| forbidden(&member.name)) {
        Some(name) => Err(LookError::Forbidden(name)),
        None => Ok(()),
    }
}

/// A member with which clients of other gateways name the upstream.
fn forbidden(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"api_base" => "api_base",
        b"base_url" => "base_url",
        b"api_key" => "api_key",
        b"api_version" => "api_version",
        b"custom_llm_provider" => "custom_llm_provider",
        b"extra_headers" => "extra_headers",
        b"headers" => "headers",
        b"proxy" => "proxy",
        b"organization" => "organization",
        _ => return None,
    })
}

/// Checks that the member `turns` is there and an array, and that neither it nor the tools are too many.
pub(crate) fn hold_to_limits(body: &[u8], object: &Object<'_>, turns: &'static str) -> Result<(), LookError> {
    let member = object.member(turns).ok_or(LookError::Missing(turns))?;
    if body.get(member.value.start) != Some(&b'[') {
        return Err(LookError::Invalid(turns));
    }
    for (name, max) in [(turns, TURNS_MAX), ("tools", TOOLS_MAX)] {
        if object.member(name).is_some_and(|member| member.items > max) {
            return Err(LookError::TooMany { name, max });
        }
    }
    Ok(())
}

/// Refuses NUL in texts by which callers name things: a database cannot hold it, and a row with it would be refused
/// long after the call. In texts for the model it passes.
pub(crate) fn refuse_unstorable(
    body: &[u8],
    object: &Object<'_>,
    names: &[&'static str],
) -> Result<(), LookError> {
    for name in names {
        let Some(value) = object.get(name).and_then(|at| body.get(at)) else {
            continue;
        };
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
pub(crate) fn optional<T: DeserializeOwned>(
    body: &[u8],
    object: &Object<'_>,
    name: &'static str,
) -> Result<Option<T>, LookError> {
    object.get(name).map_or(Ok(None), |at| read(body, at, name))
}

fn read<T: DeserializeOwned>(body: &[u8], at: Range<usize>, name: &'static str) -> Result<T, LookError> {
    serde_json::from_slice(body.get(at).unwrap_or_default()).map_err(|_| LookError::Invalid(name))
}

/// The tier of service that a request asks for, in any dialect's spelling. A speed is one more tier, and `standard` says
/// nothing about the other. What is no text is for the provider to judge.
pub(crate) fn tier(body: &[u8], object: &Object<'_>) -> Option<String> {
    let word = |name| optional::<String>(body, object, name).ok().flatten();
    let speed = word("speed").filter(|speed| speed == "fast");
    speed
        .or_else(|| word("service_tier"))
        .or_else(|| word("serviceTier"))
}

/// Whether a text can be a model name. Names of other letters are refused: in logs and lists they could look like
/// another, and some day a name may be part of a path, where `..`, `?` or `%` would lead elsewhere.
pub(crate) fn is_a_name(text: &str) -> bool {
    let is_known = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'/' | b'@' | b'-' | b'+' | b'~')
    };
    let is_way = |part: &str| part == "." || part == "..";
    !text.is_empty()
        && text.len() <= MODEL_BYTES_MAX
        && text.bytes().all(is_known)
        && !text.split('/').any(is_way)
}

impl From<LookError> for Refusal {
    fn from(error: LookError) -> Self {
        let message = error.to_string();
        match error {
            LookError::Json(error) => Self::new(code_of(&error), message),
            LookError::Missing(name) => Self::new(Code::MissingMember, message).param(name),
            LookError::Invalid(name) => Self::new(Code::InvalidValue, message).param(name),
            LookError::TooMany { name, .. } => Self::new(Code::TooManyValues, message).param(name),
            LookError::Forbidden(name) => Self::new(Code::ForbiddenMember, message).param(name),
        }
    }
}

impl From<WrongType> for Refusal {
    fn from(error: WrongType) -> Self {
        Self::new(Code::InvalidValue, error.to_string()).param(error.0)
    }
}

fn code_of(error: &JsonError) -> Code {
    match error {
        JsonError::Malformed { .. } | JsonError::NotUtf8 { .. } | JsonError::NotAnObject => Code::InvalidJson,
        JsonError::TooDeep { .. } => Code::JsonTooDeep,
        JsonError::TooManyNodes { .. } => Code::TooManyValues,
        JsonError::Duplicate { .. } => Code::DuplicateMember,
    }
}
