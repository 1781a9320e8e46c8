//! What is looked at before a request is routed, and what is read of an answer that passes.

use bytes::Bytes;

use crate::anthropic_messages::{Metered, StreamRelay, look, look_count};
use crate::json::Limits;
use crate::sse::StreamLimits;
use crate::{LookError, StreamEnd, Usage, splice};

#[test]
fn an_envelope_holds_what_routing_needs() {
    let text = r#"{"max_tokens":5,"messages":[],"stream":true,"model":"cl\u0061ude"}"#;
    let envelope = look(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(
        (
            envelope.model.as_str(),
            envelope.stream,
            envelope.max_tokens,
            envelope.choices
        ),
        ("claude", true, Some(5), 1)
    );
    let spliced = splice(&Bytes::from_static(text.as_bytes()), &envelope, "other", true).concat();
    assert_eq!(
        spliced,
        text.replace(r"cl\u0061ude", "other").as_bytes(),
        "only the name changes"
    );
    assert!(
        look(
            br#"{"model":"m","messages":[],"max_tokens":0}"#,
            &Limits::default()
        )
        .is_ok()
    );
}

#[test]
fn what_cannot_be_routed_is_refused_by_name() {
    let table = [
        (r#"{"messages":[],"max_tokens":1}"#, LookError::Missing("model")),
        (r#"{"model":"m","max_tokens":1}"#, LookError::Missing("messages")),
        (r#"{"model":"m","messages":[]}"#, LookError::Missing("max_tokens")),
        (
            r#"{"model":"m","messages":[],"max_tokens":null}"#,
            LookError::Missing("max_tokens"),
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":-1}"#,
            LookError::Invalid("max_tokens"),
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":2147483648}"#,
            LookError::Invalid("max_tokens"),
        ),
        (
            r#"{"model":"m","messages":"x","max_tokens":1}"#,
            LookError::Invalid("messages"),
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":1,"stream":1}"#,
            LookError::Invalid("stream"),
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":1,"base_url":"x"}"#,
            LookError::Forbidden("base_url"),
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":1,"metadata":{"user_id":"\u0000"}}"#,
            LookError::Invalid("metadata"),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(look(text.as_bytes(), &Limits::default()), Err(expected), "{text}");
    }
    let count = r#"{"model":"m","messages":[]}"#;
    assert_eq!(
        look_count(count.as_bytes(), &Limits::default())
            .unwrap()
            .max_tokens,
        None
    );
}

#[test]
fn p23_p24_usage_is_counted_as_all_dialects_do() {
    let body = br#"{"usage":{"input_tokens":10,"cache_read_input_tokens":20,"cache_creation_input_tokens":7,
        "cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4},
        "output_tokens":5,"output_tokens_details":{"thinking_tokens":2}}}"#;
    let expected = Usage {
        input_tokens: 37,
        cached_input_tokens: 20,
        cache_write_tokens: 7,
        cache_write_1h_tokens: 4,
        output_tokens: 5,
        reasoning_tokens: 2,
        ..Usage::default()
    };
    assert_eq!(Metered::look(body).unwrap().usage, Some(expected));
    assert_eq!(Metered::look(br#"{"usage":null}"#).unwrap().usage, None);
    assert_eq!(
        Metered::look(br#"{"usage":{"input_tokens":-1}}"#).unwrap().usage,
        None
    );
    assert_eq!(Metered::look(b"<html>"), None);
}

#[test]
fn a_stream_passes_as_it_came_and_later_counts_replace_earlier_ones() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":1,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\\"message_stop\\\"\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":8}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    for at in 0..stream.len() {
        let mut relay = StreamRelay::new(StreamLimits::default());
        let mut out = Vec::new();
        let (first, second) = stream.as_bytes().split_at(at);
        relay.push(Bytes::copy_from_slice(first), &mut out).unwrap();
        assert_eq!(relay.end(), StreamEnd::Cut);
        relay.push(Bytes::copy_from_slice(second), &mut out).unwrap();
        assert_eq!(relay.finish(&mut out), StreamEnd::Complete);
        assert_eq!(out.concat(), stream.as_bytes());
        let usage = relay.usage().unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (10, 8));
    }
    for error in [
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"\"}}\n\n",
        "data: {\"error\":{\"message\":\"\"}}\n\n",
    ] {
        let mut relay = StreamRelay::new(StreamLimits::default());
        relay
            .push(Bytes::from_static(error.as_bytes()), &mut Vec::new())
            .unwrap();
        assert_eq!(relay.end(), StreamEnd::ProviderError);
    }
}
