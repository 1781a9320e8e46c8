//! Refusals in Anthropic's error shape: `{"type": "error", "error": {"type", "message"}, "request_id"}`, with `code`,
//! `param` and `party` beside the message.

use serde::Serialize;

use crate::refusal::{Code, Refusal};
use crate::sse;

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: ErrorMembers<'a>,
    /// The gateway's own id of the call stands in a header.
    request_id: Option<&'static str>,
}

/// Anthropic has the first two of these; SDKs pass over the others.
#[derive(Serialize)]
struct ErrorMembers<'a> {
    r#type: &'static str,
    message: &'a str,
    code: &'static str,
    param: Option<&'a str>,
    /// Who has to act: `caller`, `policy`, `provider` or `gateway`.
    party: &'static str,
}

/// The body of a refusal.
pub fn write_refusal(refusal: &Refusal) -> Vec<u8> {
    let body = ErrorBody {
        r#type: "error",
        error: ErrorMembers {
            r#type: type_of(refusal.code),
            message: &refusal.message,
            code: refusal.code.as_str(),
            param: refusal.param.as_deref(),
            party: refusal.code.party().as_str(),
        },
        request_id: None,
    };
    // Strings and static text have no way of not being written.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// A refusal as the last event of a stream that has begun.
pub fn write_refusal_event(refusal: &Refusal) -> Vec<u8> {
    let mut event = Vec::new();
    sse::write_event(Some("error"), &write_refusal(refusal), &mut event);
    event
}

/// Anthropic's type for the status that a refusal has.
fn type_of(code: Code) -> &'static str {
    match code.status() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
