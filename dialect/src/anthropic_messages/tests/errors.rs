//! Errors and refusals.

use serde_json::{Value, json};

use crate::anthropic_messages::*;
use crate::neutral::{Fault, FaultKind};
use crate::refusal::{Code, Refusal};
use crate::sse;

fn fault(kind: FaultKind, message: &str) -> Fault {
    Fault {
        kind,
        message: message.to_owned(),
        param: None,
        code: None,
        retry_after_ms: None,
    }
}

#[test]
fn p62_a_fault_is_read_whatever_its_body_is() {
    let table: [(u16, &str, FaultKind, &str); 10] = [
        (
            503,
            "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"a\"}}",
            FaultKind::Overloaded,
            "a",
        ),
        (
            502,
            "<html>Bad Gateway</html>",
            FaultKind::Internal,
            "the provider answered with status 502",
        ),
        (
            529,
            "",
            FaultKind::Overloaded,
            "the provider answered with status 529",
        ),
        (
            429,
            "{\"message\":\"Too many\"}",
            FaultKind::RateLimit,
            "Too many",
        ),
        (
            403,
            "{\"error\":\"forbidden\"}",
            FaultKind::Permission,
            "forbidden",
        ),
        (
            400,
            "{\"error\":{\"message\":\"x\",\"code\":400,\"status\":\"INVALID_ARGUMENT\"}}",
            FaultKind::BadRequest,
            "x",
        ),
        (
            500,
            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"r\"}}",
            FaultKind::RateLimit,
            "r",
        ),
        (
            400,
            "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"input length and `max_tokens` exceed context limit: 1\"}}",
            FaultKind::ContextTooLong,
            "input length and `max_tokens` exceed context limit: 1",
        ),
        (
            418,
            "{\"error\":{\"type\":\"tea_error\",\"message\":\"t\"}}",
            FaultKind::BadRequest,
            "t",
        ),
        (
            504,
            "\u{ff}{",
            FaultKind::Timeout,
            "the provider answered with status 504",
        ),
    ];
    for (status, body, kind, message) in table {
        let fault = read_fault(status, body.as_bytes());
        assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{body}");
    }
    let long = format!("{{\"message\":\"{}\"}}", "\u{e9}".repeat(4_000));
    assert_eq!(read_fault(400, long.as_bytes()).message.len(), 2_048);
}

#[test]
fn faults_are_written_in_anthropics_shape() {
    let (status, body) = write_fault(&fault(FaultKind::Overloaded, "later"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({
        "type": "error",
        "error": { "type": "overloaded_error", "message": "later" },
        "request_id": null,
    });
    assert_eq!((status, body), (529, expected));
    let (status, body) = write_fault(&fault(
        FaultKind::ContextTooLong,
        "maximum context length is 8192",
    ));
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 400);
    assert!(
        text.contains("prompt is too long: maximum context length"),
        "clients shorten by these words"
    );
    let event = write_fault_event(&fault(FaultKind::RateLimit, "slow\ndown"));
    assert_eq!(sse::name(&event), Some(&b"error"[..]));
    assert!(event.ends_with(b"\n\n"));
}

#[test]
fn every_refusal_has_a_type_of_anthropics() {
    let table = [
        (Code::InvalidApiKey, "authentication_error"),
        (Code::ModelNotFound, "not_found_error"),
        (Code::CannotTranslate, "invalid_request_error"),
        (Code::BodyTooLarge, "request_too_large"),
        (Code::TooManyFailures, "rate_limit_error"),
        (Code::Overloaded, "overloaded_error"),
        (Code::ProviderTimeout, "timeout_error"),
        (Code::ProviderAnswerCut, "api_error"),
        (Code::Internal, "api_error"),
    ];
    for (code, kind) in table {
        let body: Value = serde_json::from_slice(&write_refusal(&Refusal::new(code, "why"))).unwrap();
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["type"], kind, "{code:?}");
        assert_eq!(body["error"]["message"], "why");
        assert_eq!(body["error"]["party"], code.party().as_str());
    }
    let event = write_refusal_event(&Refusal::new(Code::Internal, "x"));
    assert!(event.starts_with(b"event: error\ndata: {"));
}
