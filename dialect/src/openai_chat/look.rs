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
    let options: Option<StreamOptions> = optional(body, &object, "stream_options")?;
    Ok(Envelope {
        model,
        stream: optional(body, &object, "stream")?.unwrap_or(false),
        include_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
        // A count that makes no sense is the provider's to refuse.
        choices: optional(body, &object, "n").ok().flatten().unwrap_or(1),
        model_at,
        stream_options_at: object.get("stream_options"),
        end_at: body.iter().rposition(|byte| *byte == b'}').unwrap_or(body.len()),
    })
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

/// Whether a text can be a model name. Controls and letters that are not seen are refused: in logs and lists such a
/// name would look like another, and a database may not hold it.
fn is_a_name(text: &str) -> bool {
    let unseen = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty() && text.len() <= MODEL_BYTES_MAX && !text.contains(unseen)
}
