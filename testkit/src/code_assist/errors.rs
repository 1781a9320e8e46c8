//! Errors as Google writes them.

use serde_json::{Value, json};

use crate::vendor::Play;

pub(super) fn google(code: u16, status: &str, message: &str, details: &[Value]) -> Play {
    let error = json!({"error": {"code": code, "message": message, "status": status, "details": details}});
    Play::json(code, error.to_string())
}

pub(super) fn unauthenticated() -> Play {
    let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                   other valid authentication credential.";
    google(401, "UNAUTHENTICATED", message, &[info("ACCESS_TOKEN_EXPIRED")])
}

/// A detail that says why.
pub(super) fn info(reason: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "cloudcode-pa.googleapis.com",
    })
}

/// A detail that says when to come back.
pub(super) fn retry_info(delay: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
}
