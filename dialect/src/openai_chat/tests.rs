use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::Usage;
use crate::json::{JsonError, Limits};

fn usage_of(answer: &[u8]) -> Option<Usage> {
    Metered::look(answer)?.usage
}

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
fn members_that_are_acted_on_have_to_make_sense() {
    let with = |member: &str| looked(&format!(r#"{{"model":"m","messages":[],{member}}}"#));
    let nul = r"\u0000";
    let table: [(&'static str, &[&str], &[&str]); 6] = [
        (
            "max_tokens",
            &["null", "5", "-1", "0"],
            &["1.5", "1.0", "\"5\"", "2147483648", "-2", "18446744073709551616"],
        ),
        ("max_completion_tokens", &["null", "2147483647"], &["[]", "1e3"]),
        ("n", &["null", "1", "128"], &["0", "-1", "129", "1e9", "\"1\""]),
        (
            "stream_options",
            &["null"],
            &["{}", "[]", "1", "{\"include_usage\":true}"],
        ),
        (
            "user",
            &["\"\\\\u0000\"", "\"a\""],
            &[&format!("\"{nul}\""), &format!("\"{}{nul}\"", r"\\")],
        ),
        (
            "metadata",
            &["{\"a\":\"b\"}"],
            &[&format!("{{\"a\":\"x{nul}\"}}")],
        ),
    ];
    for (name, right, wrong) in table {
        for value in right {
            assert!(with(&format!("\"{name}\":{value}")).is_ok(), "{name}: {value}");
        }
        for value in wrong {
            assert_eq!(
                with(&format!("\"{name}\":{value}")),
                Err(LookError::Invalid(name)),
                "{name}: {value}"
            );
        }
    }
    let twice = r#""stream":true,"stream_options":{"x":1,"x":2}"#;
    assert!(matches!(
        with(twice),
        Err(LookError::Json(JsonError::Duplicate { .. }))
    ));
    for model in [
        "a b",
        "../../x",
        "a/./b",
        "..",
        "m?key=1",
        "m#x",
        "m%2f",
        r"m\r\nx",
        "\u{e9}",
        &"m".repeat(1_024),
    ] {
        let text = format!(r#"{{"model":"{model}","messages":[]}}"#);
        assert_eq!(looked(&text), Err(LookError::Invalid("model")), "{model}");
    }
    for model in ["ft:gpt-4o:org::id", "@cf/meta/llama_3.1", "a..b", "x+y~z"] {
        assert!(
            looked(&format!(r#"{{"model":"{model}","messages":[]}}"#)).is_ok(),
            "{model}"
        );
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
    assert_eq!(usage_of(openai.as_bytes()), Some(expected));
    let xai = br#"{"usage":{"prompt_tokens":12,"completion_tokens":2,"total_tokens":332,"completion_tokens_details":{"reasoning_tokens":318}}}"#;
    assert_eq!(
        usage_of(xai).map(|usage| (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)),
        Some((12, 320, 318))
    );
    let groq = br#"{"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":2,"completion_tokens":1}}}"#;
    assert_eq!(
        usage_of(groq),
        Some(Usage {
            input_tokens: 2,
            output_tokens: 1,
            ..Usage::default()
        })
    );
    let deepseek = br#"{"usage":{"prompt_tokens":9,"completion_tokens":0,"prompt_cache_hit_tokens":8}}"#;
    assert_eq!(
        usage_of(deepseek),
        Some(Usage {
            input_tokens: 9,
            cached_input_tokens: 8,
            ..Usage::default()
        })
    );
    for nothing in ["{}", r#"{"usage":null}"#, r#"{"error":{}}"#, "no json"] {
        assert_eq!(usage_of(nothing.as_bytes()), None, "{nothing}");
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
        let told = |name: &str| value["usage"][name].as_u64();
        let written = |input: u64| {
            let beside = told("total_tokens").map_or(0, |total| total.saturating_sub(input));
            Some((input, told("completion_tokens")?.max(beside)))
        };
        let reported = told("prompt_tokens").and_then(written);
        let read = usage_of(&body).map(|usage| (usage.input_tokens, usage.output_tokens));
        assert_eq!(read, reported, "{}", path.display());
    }
}

/// What a client gets of a stream that arrives in these pieces.
fn relayed<'a>(pieces: impl Iterator<Item = &'a [u8]>, strip: bool) -> (Vec<u8>, StreamEnd, Option<Usage>) {
    let mut relay = StreamRelay::new(strip, 1, StreamLimits::default());
    let mut out = Vec::new();
    for piece in pieces {
        relay.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
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
fn blank_lines_that_end_nothing_are_left_out_and_what_follows_the_end_too() {
    let event = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let stream = format!("\n\r\n: wait\n\n\n\n\r\r{event}\n\ndata: [DONE]\n\n\n{event}");
    let expected = format!(": wait\n\n{event}data: [DONE]\n\n");
    for size in [1, 2, 3, 1000] {
        let (out, end, _) = relayed(stream.as_bytes().chunks(size), false);
        assert_eq!(
            (String::from_utf8(out).unwrap(), end),
            (expected.clone(), StreamEnd::Complete),
            "in pieces of {size}"
        );
    }
}

#[test]
fn comments_say_nothing_and_a_stream_goes_on_only_by_what_says_something() {
    let mut relay = StreamRelay::new(false, 1, StreamLimits::default());
    let push = |relay: &mut StreamRelay, text: &'static str| {
        relay
            .push(Bytes::from_static(text.as_bytes()), &mut Vec::new())
            .unwrap();
        (relay.has_said(), relay.goes_on())
    };
    for (text, said) in [
        (": wait\n\n", false),
        ("id: 1\n: data\n\n\n", false),
        ("data: {}", false),
        ("\n\n: wait\n\n", true),
        (": wait\ndata: {}\n\n", true),
    ] {
        assert_eq!(push(&mut relay, text), (said, false), "{text:?}");
    }
    assert_eq!(push(&mut relay, "data: [DONE]\n\n\r\n"), (true, false));
    assert_eq!(push(&mut relay, ": more\n\n"), (false, true));
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
        assert_each_cut_is_harmless(&bytes, &path.to_string_lossy());
    }
}

/// Cuts a stream at every one of its bytes, one at a time. What comes long before and after a cut cannot matter, so
/// only the event that is cut and the one after it are relayed again for each: all of it would take minutes.
fn assert_each_cut_is_harmless(stream: &[u8], name: &str) {
    let mut before = StreamRelay::new(true, 1, StreamLimits::default());
    let mut rest = Bytes::copy_from_slice(stream);
    while !rest.is_empty() {
        let event = event_bytes(&rest);
        let window = rest.slice(..event + event_bytes(&rest[event..]));
        let relayed = |at: usize| {
            let (mut relay, mut out) = (before.clone(), Vec::new());
            relay.push(window.slice(..at), &mut out).unwrap();
            relay.push(window.slice(at..), &mut out).unwrap();
            (out.concat(), relay.end(), relay.usage())
        };
        let uncut = relayed(0);
        for at in 1..=event {
            assert!(relayed(at) == uncut, "{name} cut {at} bytes into an event");
        }
        before.push(rest.split_to(event), &mut Vec::new()).unwrap();
    }
}

/// The length of the first event.
fn event_bytes(stream: &[u8]) -> usize {
    let ends = ["\n\n", "\r\n\r\n"].map(|end| (memchr::memmem::find(stream, end.as_bytes()), end.len()));
    ends.iter()
        .filter_map(|(at, len)| at.map(|at| at + len))
        .min()
        .unwrap_or(stream.len())
}

#[test]
fn spacing_and_order_inside_stream_options_stay() {
    let text = r#"{"stream":true,"stream_options":{ "x" : 1.0e0, "include_usage" : null , "a":[ ] },"model":"m","messages":[]}"#;
    assert_eq!(spliced(text, "m", true), text.replace(": null ,", ": true ,"));
    let empty = r#"{"stream":true,"stream_options":{ },"model":"m","messages":[]}"#;
    assert_eq!(
        spliced(empty, "m", true),
        empty.replace("{ }", r#"{ "include_usage":true}"#)
    );
}

#[test]
fn too_many_messages_or_tools_are_refused() {
    let with = |messages: usize, tools: usize| {
        let many = |count: usize| vec!["{}"; count].join(",");
        looked(&format!(
            r#"{{"model":"m","messages":[{}],"tools":[{}]}}"#,
            many(messages),
            many(tools)
        ))
    };
    assert!(with(16_384, 1_024).is_ok());
    assert_eq!(
        with(16_385, 0),
        Err(LookError::TooMany {
            name: "messages",
            max: 16_384
        })
    );
    assert_eq!(
        with(1, 1_025),
        Err(LookError::TooMany {
            name: "tools",
            max: 1_024
        })
    );
}

#[test]
fn a_stream_of_several_choices_is_complete_when_all_have_finished() {
    let finish = |index: u64| {
        Bytes::from(format!(
            "data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\n\n"
        ))
    };
    let mut relay = StreamRelay::new(false, 2, StreamLimits::default());
    let mut out = Vec::new();
    for (index, expected) in [(0, StreamEnd::Cut), (0, StreamEnd::Cut), (1, StreamEnd::Complete)] {
        relay.push(finish(index), &mut out).unwrap();
        assert_eq!(relay.end(), expected);
    }
}

#[test]
fn whole_events_pass_without_being_copied() {
    let chunk = Bytes::from_static(STREAM.as_bytes());
    let mut out = Vec::new();
    StreamRelay::new(false, 1, StreamLimits::default())
        .push(chunk.clone(), &mut out)
        .unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].as_ptr(), chunk.as_ptr());
}

#[test]
fn an_error_event_is_seen_wherever_its_lines_stand() {
    for text in [
        "event: error\ndata: {}\n\n",
        ": a\nid: 1\nevent:error\ndata: x\n\n",
        "data: {\"error\":\ndata: {}}\n\n",
    ] {
        let (out, end, _) = relayed([text.as_bytes()].into_iter(), true);
        assert_eq!(
            (out.as_slice(), end),
            (text.as_bytes(), StreamEnd::ProviderError),
            "{text}"
        );
    }
    // A text that speaks of an error is none.
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\": 1\"}}]}\n\n";
    assert_eq!(relayed([text.as_bytes()].into_iter(), true).1, StreamEnd::Cut);
}

#[test]
fn a_stream_has_a_limit_and_so_has_an_event() {
    let limits = StreamLimits {
        line_bytes_max: 12,
        event_bytes_max: 16,
        stream_bytes_max: 64,
    };
    let push = |text: &'static str, times: usize| {
        let mut relay = StreamRelay::new(false, 1, limits);
        (0..times).try_for_each(|_| relay.push(Bytes::from_static(text.as_bytes()), &mut Vec::new()))
    };
    assert_eq!(push("data: 1\n\n", 7), Ok(()));
    assert_eq!(push("data: 1\n\n", 8), Err(StreamTooLarge));
    assert_eq!(push("data: 1", 2), Err(StreamTooLarge), "a line");
    assert_eq!(push("data: 1\n", 2), Ok(()));
    assert_eq!(push("data: 1\n", 3), Err(StreamTooLarge), "an event");
}

#[test]
fn a_refusal_has_openais_shape_and_says_who_has_to_act() {
    use crate::refusal::{Code, Refusal};
    let refusal = Refusal::new(Code::ModelNotFound, "No \"m\" here.").param("model");
    let expected = r#"{"error":{"message":"No \"m\" here.","type":"invalid_request_error","code":"model_not_found","param":"model","party":"policy"}}"#;
    assert_eq!(String::from_utf8(write_refusal(&refusal)).unwrap(), expected);
    assert_eq!(
        String::from_utf8(write_refusal_event(&refusal)).unwrap(),
        format!("data: {expected}\n\n")
    );
    let refusal = Refusal::from(looked(r#"{"model":"m"}"#).unwrap_err());
    assert_eq!(
        (refusal.code, refusal.named()),
        (Code::MissingMember, Some("messages"))
    );
}

#[test]
fn model_lists_are_read_as_vendors_send_them_and_written_as_openai_does() {
    let entry = |id: &str, created_at_s| ModelEntry {
        id: id.to_owned(),
        created_at_s,
        owned_by: "groq".to_owned(),
    };
    let list = br#"{"object":"list","data":[{"id":"a","created":7,"x":1},{"id":"b","created":null},{"id":"c","created":"1"}]}"#;
    let expected = vec![entry("a", 7), entry("b", 0), entry("c", 0)];
    assert_eq!(read_model_list(list, "groq"), Some(expected));
    assert_eq!(
        read_model_list(br#"[{"id":"a"}]"#, "groq"),
        Some(vec![entry("a", 0)])
    );
    assert_eq!(read_model_list(b"<html>", "groq"), None);
    let written = r#"{"object":"list","data":[{"id":"a","object":"model","created":7,"owned_by":"groq"}]}"#;
    assert_eq!(
        String::from_utf8(write_model_list(&[entry("a", 7)])).unwrap(),
        written
    );
}

pub(crate) mod checker;
mod crossed;
mod messages;
mod properties;
mod recordings;
mod streams;
