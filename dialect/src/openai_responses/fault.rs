//! What went wrong at a provider, read from its answer and told in this dialect.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::words;
use crate::json::{Members, ObjectWriter};
use crate::neutral::{Fault, FaultKind};
use crate::sse;

/// How much of an error's text is kept.
const MESSAGE_BYTES_MAX: usize = 2_048;
/// Where messages tell how long to wait.
const TRY_AGAIN: &str = "try again in ";

/// Reads an error answer, whatever it is.
pub fn read_fault(status: u16, body: &[u8]) -> Fault {
    let kind = FaultKind::of_status(status);
    let Ok(json) = serde_json::from_slice::<&RawValue>(body) else {
        return Fault {
            kind,
            message: format!("the provider answered with the status {status} and no error that can be read"),
            param: None,
            code: None,
            retry_after_ms: None,
        };
    };
    // Google's dialect has the object in an array.
    let list: Option<Vec<&RawValue>> = serde_json::from_str(json.get()).ok();
    let json = list.and_then(|list| list.first().copied()).unwrap_or(json);
    let error = Members::read(json.get()).and_then(|mut members| members.take("error"));
    read_error(Some(status), error.unwrap_or(json))
}

/// Reads an error object, or the text that some vendors have in its place. Without a status it stands in an answer that
/// began well.
pub(super) fn read_error(status: Option<u16>, error: &RawValue) -> Fault {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        detail: Option<&'a RawValue>,
        #[serde(borrow)]
        r#type: Option<&'a RawValue>,
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(borrow)]
        status: Option<&'a RawValue>,
        #[serde(borrow)]
        param: Option<&'a RawValue>,
    }
    let object: Option<Object<'_>> = serde_json::from_str(error.get()).ok();
    let (message, code, kinds, param) = match object {
        Some(object) => (
            text(object.message).or(text(object.detail)),
            text(object.code),
            [text(object.code), text(object.status), text(object.r#type)],
            text(object.param),
        ),
        None => (text(Some(error)), None, [None, None, None], None),
    };
    let message = message.unwrap_or_else(|| "the provider told of an error without a message".to_owned());
    let told = kinds.iter().flatten().find_map(|word| words::read_kind(word));
    let by_number = code.as_deref().and_then(|code| code.parse().ok());
    let by_status = status.or(by_number).map(FaultKind::of_status);
    Fault {
        kind: kind(told, by_status, &message),
        retry_after_ms: retry_after_ms(&message),
        message: shortened(message),
        param,
        code: code.or_else(|| kinds.into_iter().flatten().last()),
    }
}

/// The kind by the vendor's word and by the status. What only a message tells is looked for in a bad request.
fn kind(told: Option<FaultKind>, by_status: Option<FaultKind>, message: &str) -> FaultKind {
    let kind = match (told, by_status) {
        // The broad words say less than the status.
        (Some(FaultKind::BadRequest | FaultKind::Internal) | None, Some(by_status)) => by_status,
        (Some(told), _) => told,
        (None, None) => FaultKind::Internal,
    };
    let is_too_long = [
        "maximum context length",
        "context window",
        "prompt is too long",
        "context_length_exceeded",
    ]
    .iter()
    .any(|words| message.contains(words));
    if kind == FaultKind::BadRequest && is_too_long {
        FaultKind::ContextTooLong
    } else {
        kind
    }
}

/// A text, or a number as one.
fn text(json: Option<&RawValue>) -> Option<String> {
    let json = json?.get();
    if json.starts_with('"') {
        return serde_json::from_str(json).ok();
    }
    json.starts_with(|first: char| first.is_ascii_digit())
        .then(|| json.to_owned())
}

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    }
    message
}

/// "Please try again in 1.5s", "… in 6m0s", "… in 120ms"
fn retry_after_ms(message: &str) -> Option<u64> {
    let at = message.find(TRY_AGAIN)?;
    let mut rest = message.get(at + TRY_AGAIN.len()..)?;
    let mut total = None;
    while let Some(length) = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.') {
        let (number, after) = rest.split_at(length);
        let units = [("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0), ("h", 3_600_000.0)];
        let Some((unit, factor)) = units.into_iter().find(|(unit, _)| after.starts_with(unit)) else {
            break;
        };
        let Ok(number) = number.parse::<f64>() else {
            break;
        };
        total = Some(total.unwrap_or(0.0) + number * factor);
        rest = after.get(unit.len()..)?;
    }
    super::reply::seconds(total?.ceil())
}

/// An error answer: its status and its body.
pub fn write_fault(fault: &Fault) -> (u16, Vec<u8>) {
    let (status, kind, _) = words::fault(fault.kind);
    let mut out = Vec::with_capacity(256);
    let mut object = ObjectWriter::new(&mut out);
    write_error(fault, kind, object.object("error"));
    object.end();
    (status, out)
}

/// A fault as the last event of a stream that has begun.
pub fn write_fault_event(fault: &Fault) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_event(fault, 0, &mut out);
    out
}

/// The `error` event. The document has its members beside the type, real traffic in an object, by which SDKs go: so
/// they stand in both places.
pub(super) fn write_event(fault: &Fault, sequence: u64, out: &mut Vec<u8>) {
    let (_, kind, _) = words::fault(fault.kind);
    sse::begin_event(Some("error"), out);
    let mut object = ObjectWriter::new(out);
    object
        .member("type", "error")
        .member("sequence_number", &sequence)
        .member("code", code_of(fault))
        .member("message", &fault.message)
        .member("param", &fault.param);
    write_error(fault, kind, object.object("error"));
    object.end();
    sse::end_event(out);
}

/// The code by which clients act. A vendor's own is told where it says more than the kind does.
pub(super) fn code_of(fault: &Fault) -> &str {
    let (_, _, code) = words::fault(fault.kind);
    match fault.kind {
        FaultKind::BadRequest | FaultKind::ContentBlocked | FaultKind::TooLarge | FaultKind::Internal => {
            fault.openais_code().unwrap_or(code)
        }
        _ => code,
    }
}

fn write_error(fault: &Fault, kind: &str, mut error: ObjectWriter<'_>) {
    error
        .member("message", &fault.message)
        .member("type", kind)
        .member("param", &fault.param)
        .member("code", code_of(fault));
    error.end();
}
