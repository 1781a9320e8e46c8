//! A provider's errors, in any of the shapes in which they come, and in ours.
//!
//! The same words come with an error status, inside a good one and inside a stream; and what answers is at times a
//! server before the provider, which speaks HTML or another dialect.

use serde_json::value::RawValue;

use super::words::{read_fault_kind, write_fault_kind};
use crate::json::{Members, ObjectWriter};
use crate::neutral::{Fault, FaultKind};
use crate::sse;

/// How much of a message is kept.
const MESSAGE_BYTES_MAX: usize = 2_048;

/// Reads the body of an error, whatever it is.
pub fn read_fault(status: u16, body: &[u8]) -> Fault {
    let json = std::str::from_utf8(body).unwrap_or_default().trim();
    // Gemini's OpenAI endpoint sends an array of one.
    let outer = Members::read(json).or_else(|| {
        let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        Members::read(items.first()?.get())
    });
    match outer {
        Some(mut outer) => match outer.take("error") {
            Some(error) => read_error(status, error),
            None => read_members(status, outer),
        },
        None => Fault {
            kind: read_fault_kind(status, "", ""),
            message: format!("the provider answered with status {status} and no error of its dialect"),
            param: None,
            code: None,
            retry_after_ms: None,
        },
    }
}

/// Reads what stands in `error`: an object, or a text alone.
pub(super) fn read_error(status: u16, error: &RawValue) -> Fault {
    match Members::read(error.get()) {
        Some(members) => read_members(status, members),
        None => {
            let message = serde_json::from_str(error.get()).unwrap_or_else(|_| error.get().to_owned());
            fault(status, message, "", None, None)
        }
    }
}

fn read_members(status: u16, mut members: Members<'_>) -> Fault {
    let code = members.take("code").map(word);
    let numbers = [members.take("status_code"), members.take("status")].map(|json| json.map(word));
    let error_type = members.text("type").ok().flatten().unwrap_or_default();
    // Inside a stream the status is a good one; the error's own number says more, or that the request is to blame.
    let own_status = code.iter().chain(numbers.iter().flatten()).find_map(|number| {
        let number: u16 = number.parse().ok()?;
        (400..=599).contains(&number).then_some(number)
    });
    let status = if status < 400 {
        own_status.unwrap_or(if error_type == "invalid_request_error" {
            400
        } else {
            500
        })
    } else {
        status
    };
    let message = ["message", "detail", "msg"]
        .into_iter()
        .find_map(|name| members.take(name).map(word));
    let code = code.filter(|code| code.parse::<u16>().is_err());
    let param = members.text("param").ok().flatten();
    let mut fault = fault(status, message.unwrap_or_default(), &error_type, code, param);
    let [_, grpc] = numbers;
    if let Some(kind) = grpc.as_deref().and_then(by_grpc) {
        fault.kind = kind;
    }
    if let Some(details) = members.take("details") {
        fault.retry_after_ms = fault
            .retry_after_ms
            .or_else(|| retry_delay(details.get(), "retryDelay\""));
    }
    fault
}

fn fault(
    status: u16,
    message: String,
    error_type: &str,
    code: Option<String>,
    param: Option<String>,
) -> Fault {
    let mut kind = read_fault_kind(status, error_type, code.as_deref().unwrap_or_default());
    if kind == FaultKind::BadRequest && tells_of_length(&message) {
        kind = FaultKind::ContextTooLong;
    }
    let retry_after_ms = matches!(kind, FaultKind::RateLimit | FaultKind::Overloaded)
        .then(|| retry_delay(&message, "try again in"))
        .flatten();
    let mut message = message;
    let end = (0..=MESSAGE_BYTES_MAX.min(message.len()))
        .rev()
        .find(|end| message.is_char_boundary(*end));
    message.truncate(end.unwrap_or(0));
    Fault {
        kind,
        message,
        param,
        code: code.or_else(|| (!error_type.is_empty()).then(|| error_type.to_owned())),
        retry_after_ms,
    }
}

/// A text, or what else stands there as it is written.
fn word(json: &RawValue) -> String {
    serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned())
}

/// Gemini's names of statuses, which its OpenAI endpoint lets through.
fn by_grpc(status: &str) -> Option<FaultKind> {
    Some(match status {
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimit,
        "UNAVAILABLE" => FaultKind::Overloaded,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "UNAUTHENTICATED" => FaultKind::Auth,
        "PERMISSION_DENIED" => FaultKind::Permission,
        "NOT_FOUND" => FaultKind::NotFound,
        _ => return None,
    })
}

/// Not every vendor has a code for a conversation that is too long; all say it.
fn tells_of_length(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "maximum context length",
        "context length exceeded",
        "prompt is too long",
        "context window",
        "input token count",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// The duration that follows these words (`1.5s`, `6m0s`, `120ms`), in milliseconds.
fn retry_delay(text: &str, after: &str) -> Option<u64> {
    let (_, rest) = text.split_once(after)?;
    let rest = rest.trim_start_matches([' ', ':', '"']);
    let mut total_ms = 0.0;
    let mut rest = rest;
    let mut found = false;
    loop {
        let digits = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
            .count();
        let (number, unit) = rest.split_at_checked(digits)?;
        let Ok(number) = number.parse::<f64>() else { break };
        let (unit_ms, length) = match unit.as_bytes() {
            [b'm', b's', ..] => (1.0, 2),
            [b's', ..] => (1_000.0, 1),
            [b'm', ..] => (60_000.0, 1),
            [b'h', ..] => (3_600_000.0, 1),
            _ => break,
        };
        found = true;
        total_ms += number * unit_ms;
        rest = unit.get(length..)?;
    }
    // Negative and unending numbers are no digits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    found.then_some(total_ms as u64)
}

/// Status and body for a client.
pub fn write_fault(fault: &Fault) -> (u16, Vec<u8>) {
    let (status, error_type, code) = write_fault_kind(fault.kind);
    let message = fault.message.as_str();
    let own_code = match fault.kind {
        FaultKind::BadRequest | FaultKind::Internal => fault.openais_code(),
        _ => None,
    };
    let mut body = Vec::with_capacity(message.len() + 128);
    let mut object = ObjectWriter::new(&mut body);
    let mut error = object.object("error");
    error.member("message", message).member("type", error_type);
    error.member("param", &fault.param);
    error.member("code", &code.or(own_code));
    error.end();
    object.end();
    (status, body)
}

/// A fault as the last event of a stream that has begun.
pub fn write_fault_event(fault: &Fault) -> Vec<u8> {
    let mut event = Vec::new();
    sse::write_event(None, &write_fault(fault).1, &mut event);
    event
}
