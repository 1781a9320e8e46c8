//! Errors in Google's shape, `google.rpc.Status`: `{"error": {"code", "message", "status", "details"}}`.
//!
//! A bad key is told as a bad request with a reason, and when to come back stands in a detail, not in a header.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::wire::{Str, object};
use super::words;
use crate::json::ObjectWriter;
use crate::neutral::{Fault, FaultKind};

object! {
    struct Body<'a> {
        error: &'a RawValue = "error",
    }
}

object! {
    struct Status<'a> {
        code: u16 = "code",
        message: Str<'a> = "message",
        status: Str<'a> = "status",
        details: Vec<Detail<'a>> = "details",
        kind: Str<'a> = "type",
    }
}

object! {
    /// `ErrorInfo`, `RetryInfo`, `QuotaFailure` and `BadRequest`, told apart by what they hold.
    struct Detail<'a> {
        reason: Str<'a> = "reason",
        retry: Str<'a> = "retryDelay",
        violations: Vec<Violation<'a>> = "violations",
        fields: Vec<Field<'a>> = "fieldViolations",
    }
}

object! {
    struct Violation<'a> {
        quota: Str<'a> = "quotaId",
    }
}

object! {
    struct Field<'a> {
        name: Str<'a> = "field",
    }
}

/// What an error answer says, whatever it is: Google's own shape, alone or in an array, another's, or no JSON at all.
pub fn read_fault(status: u16, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body);
    let one = |text: &str| {
        let body: Body<'_> = serde_json::from_str(text).ok()?;
        Some(fault_of(status, body.error?.get()))
    };
    let first = |text: &str| {
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        one(items.first()?.get())
    };
    one(&text).or_else(|| first(&text)).unwrap_or_else(|| Fault {
        kind: words::read_status(status, ""),
        message: format!("the provider answered with status {status}"),
        param: None,
        code: None,
        retry_after_ms: None,
    })
}

/// The fault that the member `error` tells of. Inside an answer the status is that of the answer, and says nothing.
pub(super) fn fault_of(status: u16, error: &str) -> Fault {
    let error: Status<'_> = serde_json::from_str(error).unwrap_or_else(|_| Status {
        message: serde_json::from_str(error).ok(),
        ..Status::default()
    });
    let status = if status < 400 {
        error.code.unwrap_or(500)
    } else {
        status
    };
    let word = error
        .status
        .as_ref()
        .or(error.kind.as_ref())
        .map_or("", Str::as_str);
    let details = error.details.as_deref().unwrap_or_default();
    let message = error.message.map(Str::into_owned);
    let message = message.unwrap_or_else(|| format!("the provider answered with status {status}"));
    let reasons = details.iter().filter_map(|detail| detail.reason.as_ref());
    let reasons: Vec<_> = reasons.map(Str::as_str).collect();
    let kind = kind_of(words::read_status(status, word), &reasons, &message);
    let is_for_long = details
        .iter()
        .flat_map(|detail| detail.violations.iter().flatten())
        .any(is_of_the_day);
    let retry = details
        .iter()
        .find_map(|detail| milliseconds(detail.retry.as_ref()?.as_str()));
    Fault {
        kind: if is_for_long && kind == FaultKind::RateLimit {
            FaultKind::Billing
        } else {
            kind
        },
        param: details.iter().find_map(|detail| {
            Some(
                detail
                    .fields
                    .as_ref()?
                    .first()?
                    .name
                    .as_ref()?
                    .as_str()
                    .to_owned(),
            )
        }),
        code: reasons
            .first()
            .map(|reason| (*reason).to_owned())
            .or_else(|| Some(word.to_owned()).filter(|word| !word.is_empty())),
        // A quota of the day does not heal in the time that is told for the minute's.
        retry_after_ms: retry.filter(|_| !is_for_long),
        message,
    }
}

/// Google calls much a bad request that others have a word for.
fn kind_of(kind: FaultKind, reasons: &[&str], message: &str) -> FaultKind {
    let has = |words: &str| message.contains(words);
    match kind {
        FaultKind::BadRequest if reasons.iter().any(|reason| reason.starts_with("API_KEY_")) => {
            FaultKind::Auth
        }
        FaultKind::BadRequest if has("API key not valid") || has("API key expired") => FaultKind::Auth,
        FaultKind::BadRequest if has("input token count") && has("exceed") => FaultKind::ContextTooLong,
        FaultKind::BadRequest if has("payload size exceeds") => FaultKind::TooLarge,
        FaultKind::Permission if reasons.contains(&"BILLING_DISABLED") => FaultKind::Billing,
        kind => kind,
    }
}

/// Whether it will be a long time until a quota is there again.
fn is_of_the_day(violation: &Violation<'_>) -> bool {
    violation
        .quota
        .as_ref()
        .is_some_and(|quota| quota.as_str().contains("PerDay"))
}

/// A duration as protocol buffers spell it: `27s`, `34.4s`, `0.5s`.
fn milliseconds(duration: &str) -> Option<u64> {
    const DAY_S: f64 = 86_400.0;
    let seconds: f64 = duration.strip_suffix('s')?.parse().ok()?;
    let is_sane = (0.0..=DAY_S).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    is_sane.then_some((seconds * 1_000.0).round() as u64)
}

/// The status and the body of an error answer.
pub fn write_fault(fault: &Fault) -> (u16, Vec<u8>) {
    let (status, word) = words::write_status(fault.kind);
    let mut body = Vec::new();
    let details = Details {
        reason: None,
        domain: None,
        retry_after_ms: fault.retry_after_ms,
    };
    write_status(status, word, &message(fault), &details, &mut body);
    (status, body)
}

/// The words by which Google's clients know what they have to shorten, before those of the provider.
fn message(fault: &Fault) -> Cow<'_, str> {
    let (known, before) = match fault.kind {
        FaultKind::ContextTooLong => (
            "input token count",
            "The input token count exceeds the maximum number of tokens allowed",
        ),
        FaultKind::TooLarge => ("payload size exceeds", "Request payload size exceeds the limit"),
        _ => return Cow::Borrowed(&fault.message),
    };
    if fault.message.contains(known) {
        return Cow::Borrowed(&fault.message);
    }
    Cow::Owned(format!("{before}: {}", fault.message))
}

/// A fault as the last event of a stream.
pub fn write_fault_event(fault: &Fault) -> Vec<u8> {
    let (_, body) = write_fault(fault);
    event(&body)
}

/// An event as Google writes one.
pub(super) fn event(body: &[u8]) -> Vec<u8> {
    [b"data: ", body, b"\r\n\r\n"].concat()
}

/// What stands in `details`.
#[derive(Default)]
pub(super) struct Details<'a> {
    pub(super) reason: Option<&'a str>,
    /// Whose word the reason is.
    pub(super) domain: Option<&'a str>,
    pub(super) retry_after_ms: Option<u64>,
}

#[derive(Serialize)]
struct ErrorInfo<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

#[derive(Serialize)]
struct RetryInfo {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "retryDelay")]
    delay: String,
}

/// Writes `{"error": …}`.
pub(super) fn write_status(status: u16, word: &str, message: &str, details: &Details<'_>, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    let mut error = object.object("error");
    error
        .member("code", &status)
        .member("message", message)
        .member("status", word);
    let info = details.reason.map(|reason| ErrorInfo {
        kind: "type.googleapis.com/google.rpc.ErrorInfo",
        reason,
        domain: details.domain,
    });
    let retry = details.retry_after_ms.map(|milliseconds| RetryInfo {
        kind: "type.googleapis.com/google.rpc.RetryInfo",
        delay: delay(milliseconds),
    });
    if info.is_some() || retry.is_some() {
        let out = error.begin("details");
        out.push(b'[');
        if let Some(info) = &info {
            crate::json::write(info, out);
        }
        if let Some(retry) = &retry {
            if info.is_some() {
                out.push(b',');
            }
            crate::json::write(retry, out);
        }
        out.push(b']');
    }
    error.end();
    object.end();
}

fn delay(milliseconds: u64) -> String {
    match (milliseconds / 1_000, milliseconds % 1_000) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, rest) => format!("{seconds}.{rest:03}s"),
    }
}
