use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::Usage;
use crate::json::Limits;

fn looked(text: &str) -> Result<Envelope, LookError> {
    look(text.as_bytes(), &Limits::default())
}

fn spliced(text: &str, model: &str, ask_usage: bool) -> String {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let pieces = splice(&body, &looked(text).unwrap(), model, ask_usage);
    String::from_utf8(pieces.concat()).unwrap()
}

#[test]
fn an_envelope_holds_what_routing_needs() {
    let envelope = looked(
        r#"{"model":"m\u006fdel","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
    )
    .unwrap();
    assert_eq!(
        (envelope.model.as_str(), envelope.stream, envelope.include_usage),
        ("model", true, true)
    );
    let envelope = looked(r#"{"messages":[],"model":"m","stream":null,"stream_options":null}"#).unwrap();
    assert!(!envelope.stream && !envelope.include_usage);
}

#[test]
fn what_cannot_be_routed_is_refused_by_name() {
    let table = [
        (r#"{"messages":[]}"#, LookError::Missing("model")),
        (r#"{"model":"m"}"#, LookError::Missing("messages")),
        (r#"{"model":1,"messages":[]}"#, LookError::Invalid("model")),
        (r#"{"model":"","messages":[]}"#, LookError::Invalid("model")),
        (
            r#"{"model":"a\u0000b","messages":[]}"#,
            LookError::Invalid("model"),
        ),
        (
            r#"{"model":"a\u202eb","messages":[]}"#,
            LookError::Invalid("model"),
        ),
        (r#"{"model":"m","messages":{}}"#, LookError::Invalid("messages")),
        (
            r#"{"model":"m","messages":[],"stream":"yes"}"#,
            LookError::Invalid("stream"),
        ),
        (
            r#"{"model":"m","messages":[],"api_base":"https://x"}"#,
            LookError::Forbidden("api_base"),
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":true,"include_usage":false}}"#,
            LookError::Invalid("stream_options"),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(looked(text), Err(expected), "{text}");
    }
}

#[test]
fn only_the_named_bytes_change() {
    let text = r#"{ "stream" : true, "model" : "fast" , "temperature": 1.0, "messages":[] } "#;
    assert_eq!(spliced(text, "fast", false), text);
    assert_eq!(
        spliced(text, "a\"b", false),
        text.replace("\"fast\"", r#""a\"b""#)
    );
    let asked = r#"{ "stream" : true, "model" : "m" , "temperature": 1.0, "messages":[] ,"stream_options":{"include_usage":true}} "#;
    assert_eq!(spliced(text, "m", true), asked);
    assert_eq!(spliced(asked, "m", true), asked);
    let given = r#"{"stream":true,"stream_options":{"include_usage":false},"model":"m","messages":[]}"#;
    assert_eq!(spliced(given, "m", true), given.replace("false", "true"));
    let more = r#"{"stream":true,"stream_options":{"include_obfuscation":false},"model":"m","messages":[]}"#;
    assert_eq!(
        spliced(more, "m", true),
        more.replace("false}", r#"false,"include_usage":true}"#)
    );
    let nothing = r#"{"stream":true,"stream_options":null,"model":"m","messages":[]}"#;
    assert_eq!(
        spliced(nothing, "m", true),
        nothing.replace("null", r#"{"include_usage":true}"#)
    );
    let whole = r#"{"model":"m","messages":[]}"#;
    assert_eq!(spliced(whole, "m", true), whole);
}

/// Recorded requests, where they are at hand.
fn recorded() -> Option<PathBuf> {
    let shared = std::env::var_os("TOLLGATE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    Some(shared.unwrap_or(beside).join("fixtures/openai-chat")).filter(|folder| folder.is_dir())
}

#[test]
fn recorded_requests_pass_unchanged() {
    let Some(folder) = recorded() else {
        println!("skipped: no recorded requests here");
        return;
    };
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let requests: Vec<PathBuf> = files
        .filter(|path| path.to_string_lossy().ends_with(".request.json"))
        .collect();
    assert!(!requests.is_empty());
    for path in requests {
        let body = Bytes::from(std::fs::read(&path).unwrap());
        let envelope =
            look(&body, &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            splice(&body, &envelope, &envelope.model, false).concat(),
            body,
            "{}",
            path.display()
        );
    }
}

#[test]
fn usage_is_read_in_every_spelling() {
    let openai = r#"{"usage":{"prompt_tokens":10,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":null}}}"#;
    let expected = Usage {
        input_tokens: 10,
        cached_input_tokens: 4,
        output_tokens: 7,
        reasoning_tokens: 3,
        audio_input_tokens: 1,
        ..Usage::default()
    };
    assert_eq!(reply_usage(openai.as_bytes()), Some(expected));
    let groq = br#"{"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":2,"completion_tokens":1}}}"#;
    assert_eq!(
        reply_usage(groq),
        Some(Usage {
            input_tokens: 2,
            output_tokens: 1,
            ..Usage::default()
        })
    );
    let deepseek = br#"{"usage":{"prompt_tokens":9,"completion_tokens":0,"prompt_cache_hit_tokens":8}}"#;
    assert_eq!(
        reply_usage(deepseek),
        Some(Usage {
            input_tokens: 9,
            cached_input_tokens: 8,
            ..Usage::default()
        })
    );
    for nothing in ["{}", r#"{"usage":null}"#, r#"{"error":{}}"#, "no json"] {
        assert_eq!(reply_usage(nothing.as_bytes()), None, "{nothing}");
    }
}

#[test]
fn recorded_answers_give_the_usage_that_they_report() {
    let Some(folder) = recorded() else {
        println!("skipped: no recorded answers here");
        return;
    };
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.to_string_lossy().ends_with(".response.json")) {
        let body = std::fs::read(&path).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let reported = value["usage"]["prompt_tokens"]
            .as_u64()
            .zip(value["usage"]["completion_tokens"].as_u64());
        let read = reply_usage(&body).map(|usage| (usage.input_tokens, usage.output_tokens));
        assert_eq!(read, reported, "{}", path.display());
    }
}

/// What a client gets of a stream that arrives in these pieces.
fn relayed<'a>(pieces: impl Iterator<Item = &'a [u8]>, strip: bool) -> (Vec<u8>, StreamEnd, Option<Usage>) {
    let mut relay = StreamRelay::new(strip, 4 << 20);
    let mut out = Vec::new();
    for piece in pieces {
        relay.push(piece, &mut out).unwrap();
    }
    let end = relay.finish(&mut out);
    (out.concat(), end, relay.usage())
}

const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"\u{e9}\"},\"finish_reason\":null}]}\r\n\r\n: still here\n\n\
                      data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                      data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";

#[test]
fn a_stream_cut_anywhere_is_the_same_stream() {
    let bytes = STREAM.as_bytes();
    let usage = Some(Usage {
        input_tokens: 3,
        output_tokens: 1,
        ..Usage::default()
    });
    let stripped = STREAM.replace(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n",
        "",
    );
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(
            relayed([head, tail].into_iter(), false),
            (bytes.to_vec(), StreamEnd::Complete, usage),
            "cut at {at}"
        );
        assert_eq!(
            relayed([head, tail].into_iter(), true).0,
            stripped.as_bytes(),
            "cut at {at}"
        );
    }
}

#[test]
fn a_broken_stream_is_not_called_complete_and_leaves_no_half_event() {
    let first = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}]}\n\n";
    let broken = format!("{first}data: {{\"cho");
    let (out, end, _) = relayed([broken.as_bytes()].into_iter(), false);
    assert_eq!((out.as_slice(), end), (first.as_bytes(), StreamEnd::Cut));
    let error = format!("{first}data: {{\"error\":{{\"message\":\"m\"}}}}\n\n");
    let (out, end, _) = relayed([error.as_bytes()].into_iter(), false);
    assert_eq!(
        (out.as_slice(), end),
        (error.as_bytes(), StreamEnd::ProviderError)
    );
}

#[test]
fn recorded_streams_pass_unchanged_however_they_are_cut() {
    let Some(folder) = recorded() else {
        println!("skipped: no recorded streams here");
        return;
    };
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.to_string_lossy().ends_with(".stream.sse")) {
        let bytes = std::fs::read(&path).unwrap();
        let whole = relayed([bytes.as_slice()].into_iter(), false);
        assert_eq!(whole.0, bytes, "{}", path.display());
        assert_ne!(whole.1, StreamEnd::Cut, "{}", path.display());
        for size in [1, 2, 3, 7, 4096] {
            assert_eq!(
                relayed(bytes.chunks(size), false),
                whole,
                "{} in pieces of {size}",
                path.display()
            );
        }
    }
}
