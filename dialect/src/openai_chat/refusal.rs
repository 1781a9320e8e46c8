//! Refusals in OpenAI's error shape: `{"error": {"message", "type", "code", "param"}}`, with `party` beside them.

use serde::Serialize;

use crate::refusal::{Code, Party, Refusal};

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorMembers<'a>,
}

#[derive(Serialize)]
struct ErrorMembers<'a> {
    message: &'a str,
    r#type: &'static str,
    code: &'static str,
    param: Option<&'a str>,
    /// Who has to act: `caller`, `policy`, `provider` or `gateway`. OpenAI has no such member; SDKs pass over it.
    party: &'static str,
}

/// The body of a refusal.
pub fn write_refusal(refusal: &Refusal) -> Vec<u8> {
    let body = ErrorBody {
        error: ErrorMembers {
            message: &refusal.message,
            r#type: type_of(refusal.code),
            code: refusal.code.as_str(),
            param: refusal.param.as_deref(),
            party: refusal.code.party().as_str(),
        },
    };
    // Strings and static text have no way of not being written.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// A refusal as the last event of a stream that has begun.
pub fn write_refusal_event(refusal: &Refusal) -> Vec<u8> {
    let mut event = b"data: ".to_vec();
    event.extend(write_refusal(refusal));
    event.extend_from_slice(b"\n\n");
    event
}

/// OpenAI's coarse classes of errors.
fn type_of(code: Code) -> &'static str {
    match (code, code.party()) {
        (Code::MissingApiKey | Code::InvalidApiKey, _) => "authentication_error",
        (Code::LimitReached | Code::TooManyFailures, _) => "rate_limit_error",
        (_, Party::Caller | Party::Policy) => "invalid_request_error",
        (_, Party::Provider) => "provider_error",
        (_, Party::Gateway) => "server_error",
    }
}
