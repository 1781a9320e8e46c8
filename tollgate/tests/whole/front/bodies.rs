//! Bodies: parts C and D of what may come in.

use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use super::{BODY_BYTES_MAX, CHAT, error_code, exchange, statuses, with, world};
use crate::world::{World, completion};

/// A row of the table: what is sent, and the code of its refusal.
type Case = (&'static str, String, &'static str);

#[test]
fn bodies_that_are_wrong_are_refused_before_they_are_sent() {
    let (world, vendor) = world();
    for (name, body, code) in [json(), sizes(), members(), names()].concat() {
        let answer = world.chat(body.as_bytes());
        assert_eq!(
            (answer.status, error_code(&answer.body)),
            (400, code.to_owned()),
            "{name}"
        );
    }
    let not_text = [
        br#"{"model":"custom/m","messages":[],"user":""#.as_slice(),
        b"\xff\"}",
    ]
    .concat();
    assert_eq!(error_code(&world.chat(&not_text).body), "invalid_json");
    assert!(vendor.seen().is_empty(), "nothing of this reached the vendor");
}

/// What is no JSON, or could be read in two ways.
fn json() -> Vec<Case> {
    let twice = |member: &str| with(&format!("{member},{member}"));
    vec![
        ("45 a number", "1".to_owned(), "invalid_json"),
        ("52 messages twice", with(r#""messages":[]"#), "duplicate_member"),
        (
            "52 max_tokens twice",
            twice(r#""max_tokens":1"#),
            "duplicate_member",
        ),
        ("52 stream twice", twice(r#""stream":true"#), "duplicate_member"),
        ("45 nothing", String::new(), "invalid_json"),
        ("45 null", "null".to_owned(), "invalid_json"),
        ("45 an array", "[]".to_owned(), "invalid_json"),
        ("45 a text", "\"x\"".to_owned(), "invalid_json"),
        ("51 not a number", with(r#""temperature":NaN"#), "invalid_json"),
        ("51 infinite", with(r#""temperature":Infinity"#), "invalid_json"),
        (
            "51 too many digits",
            with(&format!(r#""x":{}"#, "1".repeat(1 << 19))),
            "invalid_json",
        ),
        ("51 too large", with(r#""x":1e400"#), "invalid_json"),
        (
            "52 a member of what is edited twice",
            with(r#""stream":true,"stream_options":{"x":1,"x":2}"#),
            "duplicate_member",
        ),
        (
            "52 a member twice",
            with(r#""model":"custom/other""#),
            "duplicate_member",
        ),
        (
            "52 a member twice, spelled otherwise",
            with(r#""mod\u0065l":"custom/other""#),
            "duplicate_member",
        ),
        ("53 a lone surrogate", with(r#""user":"\ud800""#), "invalid_json"),
        (
            "53 a byte order mark",
            format!("\u{feff}{}", with(r#""n":1"#)),
            "invalid_json",
        ),
        (
            "57 more behind it",
            format!("{} x", with(r#""n":1"#)),
            "invalid_json",
        ),
        (
            "57 a second one",
            format!("{0}{0}", with(r#""n":1"#)),
            "invalid_json",
        ),
        ("57 a comment", with(r#"/* c */"n":1"#), "invalid_json"),
        (
            "57 single quotes",
            "{'model':'custom/m'}".to_owned(),
            "invalid_json",
        ),
    ]
}

/// What is too much of something.
fn sizes() -> Vec<Case> {
    let many = |count: usize| vec!["0"; count].join(",");
    vec![
        ("49 a level too deep", deep(128), "json_too_deep"),
        ("49 very deep", deep(400_000), "json_too_deep"),
        (
            "50 many messages",
            format!(r#"{{"model":"custom/m","messages":[{}]}}"#, many(16_385)),
            "too_many_values",
        ),
        (
            "50 many tools",
            with(&format!(r#""tools":[{}]"#, many(1_025))),
            "too_many_values",
        ),
        (
            "50 many members",
            with(
                &(0..1_025)
                    .map(|number| format!("\"k{number}\":0"))
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            "too_many_values",
        ),
    ]
}

/// Members with values that make no sense to anybody.
fn members() -> Vec<Case> {
    vec![
        (
            "60 tokens beyond all numbers",
            with(r#""max_tokens":18446744073709551616"#),
            "invalid_value",
        ),
        (
            "62 a thousand million answers",
            with(r#""n":1000000000"#),
            "invalid_value",
        ),
        ("62 the same, in short", with(r#""n":1e9"#), "invalid_value"),
        ("54 NUL in the user", with(r#""user":"\u0000""#), "invalid_value"),
        (
            "54 NUL in metadata",
            with(r#""metadata":{"a":"\u0000"}"#),
            "invalid_value",
        ),
        ("60 part of a token", with(r#""max_tokens":1.5"#), "invalid_value"),
        ("60 tokens in words", with(r#""max_tokens":"5""#), "invalid_value"),
        (
            "60 too many tokens",
            with(r#""max_tokens":2147483648"#),
            "invalid_value",
        ),
        ("62 no answers", with(r#""n":0"#), "invalid_value"),
        ("62 many answers", with(r#""n":129"#), "invalid_value"),
        (
            "63 options of no stream",
            with(r#""stream_options":{"include_usage":true}"#),
            "invalid_value",
        ),
        (
            "54 NUL in the model",
            r#"{"model":"custom/m\u0000","messages":[]}"#.to_owned(),
            "invalid_value",
        ),
        (
            "63 a stream in words",
            with(r#""stream":"true""#),
            "invalid_value",
        ),
        (
            "65 an upstream of one's own",
            with(r#""base_url":"http://evil""#),
            "forbidden_member",
        ),
    ]
}

/// Names of models that could lead somewhere else, or look like another.
fn names() -> Vec<Case> {
    let named = |name: &str| format!(r#"{{"model":"{name}","messages":[]}}"#);
    let names = [
        ("56 turned round", "custom/\u{202e}m"),
        ("56 letters that are not seen", "custom/\u{200b}m"),
        ("56 letters like others", "cust\u{43e}m/m"),
        ("66 a fragment", "custom/m#x"),
        ("66 a slash in disguise", "custom/m%2f"),
        ("66 the end of a line", r"custom/m\r\nx: y"),
        ("66 a blank", "custom/m x"),
        ("66 a way up", "custom/../../x"),
        ("66 a query", "custom/m?key=1"),
        ("66 no model", ""),
    ];
    let long = [
        ("66 a letter too long", named(&"m".repeat(257)), "invalid_value"),
        ("66 one of 1 KiB", named(&"m".repeat(1_024)), "invalid_value"),
    ];
    let short = names.map(|(name, model)| (name, named(model), "invalid_value"));
    [&short[..], &long[..]].concat()
}

/// So many levels, the request's own among them.
fn deep(levels: usize) -> String {
    let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
    format!(r#"{{"model":"custom/m","messages":{open}{close}}}"#)
}

/// What looks strange but is right goes through as it is.
///
/// The provider judges, for each has bounds of its own: 60 a maximum of 0 or -1 (no limit, to some), 61 one above the
/// model's, 64 temperatures, 65 members that the gateway does not know, 67 roles and empty messages, 68 long users and
/// much metadata, 69 names of tools.
#[test]
fn what_a_provider_has_to_judge_reaches_it_byte_by_byte() {
    let (world, vendor) = world();
    let messages = |messages: &str| format!(r#"{{"model":"custom/m","messages":{messages}}}"#);
    let metadata: Vec<String> = (0..1_000).map(|number| format!(r#""k{number}":"v""#)).collect();
    for (name, body) in [
        ("49 as deep as may be", deep(127)),
        ("52 twice in what is not acted on", with(r#""z":{"a":1,"a":2}"#)),
        (
            "56 letters that are turned round",
            with("\"user\":\"\u{202e}\u{200b}\""),
        ),
        ("60 no limit", with(r#""max_tokens":-1"#)),
        ("60 no tokens", with(r#""max_tokens":0"#)),
        ("60 null is absent", with(r#""max_tokens":null"#)),
        ("61 more than any model has", with(r#""max_tokens":2147483647"#)),
        ("62 the best of many", with(r#""best_of":1000"#)),
        ("62 many answers", with(r#""n":128"#)),
        ("64 a warm word", with(r#""temperature":"hot""#)),
        (
            "65 a member of tomorrow",
            with(r#""text":"\u0000","x":-0,"y":1.50e+1"#),
        ),
        (
            "66 as long a name as may be",
            messages("[]").replace("custom/m", &format!("custom/{}", "m".repeat(249))),
        ),
        (
            "67 a role of one's own",
            messages(r#"[{"role":"wizard","content":"x"}]"#),
        ),
        (
            "67 an answer of no tool",
            messages(r#"[{"role":"tool","content":"x"}]"#),
        ),
        ("67 no messages", messages("[]")),
        (
            "68 a long user",
            with(&format!(r#""user":"{}""#, "u".repeat(10 << 10))),
        ),
        (
            "68 much metadata",
            with(&format!(r#""metadata":{{{}}}"#, metadata.join(","))),
        ),
        (
            "69 a strange tool",
            with(r#""tools":[{"function":{"name":"__proto__"}}]"#),
        ),
    ] {
        let answer = world.chat(body.as_bytes());
        assert_eq!(answer.status, 200, "{name}: {}", answer.json());
        let sent = body.replacen("custom/", "", 1);
        assert_eq!(String::from_utf8(vendor.last().body).unwrap(), sent, "{name}");
    }
}

/// Between two dialects a message has to be understood, so one that makes no sense does not get as far as its provider.
#[test]
fn what_is_translated_has_to_make_sense() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let body =
        |messages: &str| format!(r#"{{"model":"anthropic/claude-x","max_tokens":5,"messages":{messages}}}"#);
    for (name, body, code) in [
        (
            "67 a role of one's own",
            body(r#"[{"role":"wizard","content":"x"}]"#),
            "cannot_translate",
        ),
        (
            "67 an answer of no tool",
            body(r#"[{"role":"tool","content":"x"}]"#),
            "invalid_value",
        ),
        ("67 no messages", body("[]"), "cannot_translate"),
    ] {
        let answer = world.chat(body.as_bytes());
        assert_eq!(
            (answer.status, error_code(&answer.body)),
            (400, code.to_owned()),
            "{name}"
        );
    }
    assert!(vendor.seen().is_empty(), "nothing of this reached the vendor");
}

#[test]
fn bodies_of_another_kind_or_size_are_refused() {
    let (world, _vendor) = world();
    let url = world.serving.endpoint("/v1/chat/completions");
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = client::open(
            "POST",
            &url,
            &[&[("api-key", world.key.as_str())], headers].concat(),
            body,
        )
        .finish();
        (answer.status, error_code(&answer.body))
    };
    let json = ("content-type", "application/json");
    for content_type in [
        "",
        "text/plain",
        "application/json; charset=utf-16",
        "application/jsonp",
        "application/x-www-form-urlencoded",
    ] {
        assert_eq!(
            send(&[("content-type", content_type)], b"{}").0,
            415,
            "{content_type}"
        );
    }
    for coding in ["gzip", "zstd", "br", "deflate, gzip", "identity, gzip"] {
        assert_eq!(
            send(&[json, ("content-encoding", coding)], b"{}").1,
            "unsupported_content_encoding",
            "{coding}"
        );
    }
    assert_eq!(send(&[], b"{}").0, 415, "no content type");
    assert_eq!(
        send(&[json], &vec![b' '; BODY_BYTES_MAX + 1]),
        (413, "body_too_large".to_owned())
    );
    let chunk = format!(
        "{:x}\r\n{}\r\n",
        BODY_BYTES_MAX + 1,
        " ".repeat(BODY_BYTES_MAX + 1)
    );
    let head = format!(
        "{CHAT}api-key: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        world.key
    );
    assert_eq!(
        statuses(&exchange(&world, format!("{head}{chunk}").as_bytes())),
        [413]
    );
}

/// A client that is still sending when it is refused gets to see why.
#[test]
fn a_refusal_reaches_a_client_with_much_to_say() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let url = world.serving.endpoint("/v1/chat/completions");
    let large = vec![b' '; 8 << 20];
    assert_eq!(client::post(&url, "sk-tg-wrong", &large).status, 401);
    assert_eq!(world.chat(&vec![b' '; 30 << 20]).status, 413);
}

/// 20 MiB, unless set otherwise, to the byte; what is long is as welcome as what is much.
#[test]
fn a_body_may_be_as_large_as_is_allowed() {
    const MOST: usize = 20 << 20;
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let of = |bytes: usize| {
        let small = r#"{"model":"custom/m","messages":[{"role":"user","content":""}]}"#;
        small.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - small.len())))
    };
    assert_eq!(world.chat(of(MOST + 1).as_bytes()).status, 413, "48");
    assert!(vendor.seen().is_empty());
    for bytes in [10 << 20, MOST] {
        assert_eq!(world.chat(of(bytes).as_bytes()).status, 200, "48, 58: {bytes}");
        assert_eq!(vendor.last().body.len(), bytes - "custom/".len());
    }
}
