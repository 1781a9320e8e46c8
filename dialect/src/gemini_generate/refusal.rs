//! Refusals in Google's error shape: our code as the reason of an `ErrorInfo`.

use super::fault::{Details, event, write_status};
use super::words;
use crate::refusal::{Code, Refusal};

/// Whose words the reasons are.
const DOMAIN: &str = "tollgate";

/// The body of a refusal.
pub fn write_refusal(refusal: &Refusal) -> Vec<u8> {
    let status = refusal.code.status();
    let reason = reason(refusal.code);
    let details = Details {
        reason: Some(&reason),
        domain: Some(DOMAIN),
        retry_after_ms: refusal.retry_after_s.map(|seconds| seconds.saturating_mul(1_000)),
    };
    let message = match refusal.param.as_deref() {
        Some(param) if !refusal.message.contains(param) => format!("{} ({param})", refusal.message),
        _ => refusal.message.clone(),
    };
    let mut body = Vec::new();
    write_status(
        status,
        words::word_of_status(status),
        &message,
        &details,
        &mut body,
    );
    body
}

/// A refusal as the last event of a stream that has begun.
pub fn write_refusal_event(refusal: &Refusal) -> Vec<u8> {
    event(&write_refusal(refusal))
}

/// Google's own word where it has one, else our code in capitals, as it spells reasons.
fn reason(code: Code) -> String {
    match code {
        Code::InvalidApiKey => "API_KEY_INVALID".to_owned(),
        code => code.as_str().to_ascii_uppercase(),
    }
}
