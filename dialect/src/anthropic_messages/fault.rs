//! Errors: a provider's in whatever shape they come, and ours in Anthropic's.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::words;
use crate::json::{Members, ObjectWriter};
use crate::neutral::{Fault, FaultKind};
use crate::sse;

/// `error` of the envelope.
#[derive(Deserialize, Default)]
struct Error {
    r#type: Option<String>,
    message: Option<String>,
}

/// How much of a message is kept.
const MESSAGE_BYTES_MAX: usize = 2_048;

/// By what Anthropic's messages say more than its types do.
#[rustfmt::skip]
const BY_MESSAGE: [(&str, FaultKind); 5] = [
    ("prompt is too long",           FaultKind::ContextTooLong),
    ("exceed context limit",         FaultKind::ContextTooLong),
    ("credit balance is too low",    FaultKind::Billing),
    ("content filtering policy",     FaultKind::ContentBlocked),
    ("Overloaded",                   FaultKind::Overloaded),
];

/// The words by which clients know that their conversation has to be shortened.
const TOO_LONG: &str = "prompt is too long";

/// What an error answer says. Its body may be anything: a page of a proxy, nothing, JSON of another dialect.
pub fn read_fault(status: u16, body: &[u8]) -> Fault {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let error = Members::read(text).and_then(|mut envelope| {
        let error = envelope.take("error").map(read_error);
        // Proxies and Bedrock have the message outermost.
        error.or_else(|| envelope.text("message").ok().flatten().map(said))
    });
    fault(status, error.unwrap_or_default())
}

/// What an error event inside a stream says, by its `error` member.
pub(super) fn read_event_fault(error: &RawValue) -> Fault {
    fault(500, read_error(error))
}

/// Status and body for a client.
pub fn write_fault(fault: &Fault) -> (u16, Vec<u8>) {
    let (status, word) = words::fault_kind(fault.kind);
    let mut body = Vec::new();
    let mut envelope = ObjectWriter::new(&mut body);
    envelope.member("type", "error");
    let mut error = envelope.object("error");
    error.member("type", word);
    if fault.kind == FaultKind::ContextTooLong && !fault.message.contains(TOO_LONG) {
        error.member("message", &format!("{TOO_LONG}: {}", fault.message));
    } else {
        error.member("message", &fault.message);
    }
    error.end();
    envelope.member("request_id", &None::<&str>);
    envelope.end();
    (status, body)
}

/// The event with which a stream ends that has failed.
pub fn write_fault_event(fault: &Fault) -> Vec<u8> {
    let mut event = Vec::new();
    sse::write_event(Some("error"), &write_fault(fault).1, &mut event);
    event
}

/// An error is an object, or with some proxies its message alone.
fn read_error(json: &RawValue) -> Error {
    let text = || serde_json::from_str(json.get()).ok().map(said);
    serde_json::from_str(json.get())
        .ok()
        .or_else(text)
        .unwrap_or_default()
}

fn said(message: String) -> Error {
    Error {
        r#type: None,
        message: Some(message),
    }
}

fn fault(status: u16, error: Error) -> Fault {
    let told = error.r#type.as_deref().and_then(words::read_fault_kind);
    let kind = match (told, FaultKind::of_status(status)) {
        // `api_error` says less than such a status.
        (Some(FaultKind::Internal), said_more @ (FaultKind::Overloaded | FaultKind::Timeout)) => said_more,
        (told, by_status) => told.unwrap_or(by_status),
    };
    let message = error.message.map_or_else(
        || format!("the provider answered with status {status}"),
        |message| cut(message, MESSAGE_BYTES_MAX),
    );
    let is_coarse = matches!(kind, FaultKind::BadRequest | FaultKind::Internal);
    let said_more = BY_MESSAGE
        .iter()
        .find(|(words, _)| is_coarse && message.contains(words));
    Fault {
        kind: said_more.map_or(kind, |(_, kind)| *kind),
        message,
        param: None,
        code: error.r#type,
        retry_after_ms: None,
    }
}

/// The text's beginning, cut between letters.
fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}
