//! What comes in from outside, byte by byte: heads, framing, keys and bodies that are wrong, and what is answered.

use std::io::Write as _;

use serde_json::Value;
use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::raw::{connect, read_to_end};
use crate::world::{World, completion};

/// A world whose vendor answers, and whose clients have to be quick.
fn world() -> (World, Vendor) {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_HEAD_TIMEOUT", "500ms")
            .set("TOLLGATE_IDLE_TIMEOUT", "500ms")
            .set("TOLLGATE_BODY_TIMEOUT", "1s")
            .set("TOLLGATE_BODY_BYTES_MAX", "1000000")
    });
    (world, vendor)
}

/// Sends bytes on a connection of their own and reads until it is closed.
fn exchange(world: &World, bytes: &[u8]) -> String {
    let mut connection = connect(world);
    // A refusal may close the connection before all of it is written.
    let _refused = connection.write_all(bytes);
    read_to_end(&mut connection)
}

/// The statuses of all answers.
fn statuses(answers: &str) -> Vec<u16> {
    let heads = answers.split("HTTP/1.").skip(1);
    heads
        .map(|head| head.get(2..5).and_then(|status| status.parse().ok()).unwrap_or(0))
        .collect()
}

const CHAT: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n";
const LIVE: &str = "GET /livez HTTP/1.1\r\nhost: gateway\r\n";

/// Who waits to be asked for the body is asked only where it will be read.
#[test]
fn a_body_that_is_not_wanted_is_not_asked_for() {
    let (world, vendor) = world();
    let ask = |key: &str, length: usize| {
        let head = format!(
            "{CHAT}authorization: Bearer {key}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        exchange(&world, head.as_bytes())
    };
    assert_eq!(statuses(&ask("sk-tg-wrong", 100)), [401]);
    assert_eq!(statuses(&ask(&world.key, 2_000_000)), [413]);
    assert_eq!(
        statuses(&ask(&world.key, 100)),
        [100, 408],
        "it is asked for, and does not come"
    );
    assert!(vendor.seen().is_empty());
}

/// Heads and framing. The connection is closed after each of them, also where the request does not ask for it.
#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    let (world, vendor) = world();
    let chat = format!("{CHAT}authorization: Bearer {}\r\n", world.key);
    let long = |letter: &str, count: usize| letter.repeat(count);
    let chunked = format!("{chat}transfer-encoding: chunked\r\n\r\n");
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("a good one", format!("{LIVE}connection: close\r\n\r\n"), &[200]),
        (
            "3 two lengths",
            format!("{chat}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
            &[400],
        ),
        (
            "5 a list of lengths",
            format!("{chat}content-length: 2, 2\r\n\r\n{{}}"),
            &[400],
        ),
        (
            "6 a signed length",
            format!("{chat}content-length: +2\r\n\r\n{{}}"),
            &[400],
        ),
        (
            "6 a negative length",
            format!("{chat}content-length: -2\r\n\r\n{{}}"),
            &[400],
        ),
        (
            "6 a huge length",
            format!("{chat}content-length: {}\r\n\r\n{{}}", long("9", 23)),
            &[400],
        ),
        (
            "6 a length in hex",
            format!("{chat}content-length: 0x2\r\n\r\n{{}}"),
            &[400],
        ),
        (
            "7 more than allowed",
            format!("{chat}content-length: 10000000000\r\n\r\n"),
            &[413],
        ),
        (
            "8 identity",
            format!("{chat}transfer-encoding: identity\r\n\r\n"),
            &[400, 501],
        ),
        (
            "8 a coding like chunked",
            format!("{chat}transfer-encoding: xchunked\r\n\r\n"),
            &[400, 501],
        ),
        (
            "9 another coding",
            format!("{chat}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            &[501],
        ),
        (
            "10 chunked twice",
            format!("{chat}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "11 a space before the colon",
            format!("{chat}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "12 chunked in HTTP/1.0",
            chunked.replace("HTTP/1.1", "HTTP/1.0"),
            &[400],
        ),
        (
            "13 a long chunk extension",
            format!("{chunked}2;{}\r\n{{}}\r\n0\r\n\r\n", long("x", 20_000)),
            &[400],
        ),
        (
            "14 a huge chunk",
            format!("{chunked}fffffffffffffffff\r\n{{}}\r\n0\r\n\r\n"),
            &[400],
        ),
        ("15 bare LF in chunks", format!("{chunked}2\n{{}}\n0\n\n"), &[400]),
        (
            "16 long trailers",
            format!("{chunked}2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", long("x", 20_000)),
            &[400],
        ),
        ("17 a folded header", format!("{LIVE}x: a\r\n b\r\n\r\n"), &[400]),
        ("19 NUL in a header", format!("{LIVE}x: a\0b\r\n\r\n"), &[400]),
        ("19 CR in a header", format!("{LIVE}x: a\rb\r\n\r\n"), &[400]),
        ("20 no host", "GET /livez HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("20 two hosts", format!("{LIVE}host: other\r\n\r\n"), &[400]),
        (
            "20 a host with a path",
            "GET /livez HTTP/1.1\r\nhost: a/?x=\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "20 a host with a fragment",
            "GET /livez HTTP/1.1\r\nhost: a#\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "20 a host with a space",
            "GET /livez HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "20 a host with a user",
            "GET /livez HTTP/1.1\r\nhost: u@a\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "22 the absolute form",
            "GET http://evil/livez HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "24 an unknown expectation",
            format!("{LIVE}expect: 200-ok\r\n\r\n"),
            &[417],
        ),
        (
            "25 an unknown method letter",
            "G@T /livez HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "25 another version",
            "GET /livez HTTP/9.0\r\nhost: gateway\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "25 a TLS hello",
            "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\u{3}\r\n\r\n".to_owned(),
            &[400],
        ),
        ("25 HTTP/0.9", "GET /livez\r\n\r\n".to_owned(), &[400]),
        (
            "25 HTTP/2.0 without its preface",
            "GET /livez HTTP/2.0\r\nhost: gateway\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            "27 a long path",
            format!("GET /{} HTTP/1.1\r\nhost: gateway\r\n\r\n", long("a", 8_193)),
            &[414],
        ),
        (
            "27 a longer path",
            format!("GET /{} HTTP/1.1\r\nhost: gateway\r\n\r\n", long("a", 70_000)),
            &[414, 431],
        ),
        (
            "28 a long header",
            format!("{LIVE}x: {}\r\n\r\n", long("a", 33 << 10)),
            &[431],
        ),
        (
            "28 a long head",
            format!("{LIVE}x: {0}\r\ny: {0}\r\nz: {0}\r\n\r\n", long("a", 30 << 10)),
            &[431],
        ),
        (
            "28 many headers",
            format!("{LIVE}{}\r\n", "x: a\r\n".repeat(101)),
            &[431],
        ),
        (
            "29 a long method",
            format!("{} /livez HTTP/1.1\r\nhost: gateway\r\n\r\n", long("A", 33)),
            &[400],
        ),
    ];
    for (name, bytes, expected) in cases {
        let answers = exchange(&world, bytes.as_bytes());
        let statuses = statuses(&answers);
        assert!(
            statuses.len() == 1 && expected.contains(&statuses[0]),
            "{name}: {expected:?}, not {statuses:?}: {answers}"
        );
        assert!(
            !answers.contains("model"),
            "{name}: it came as far as its body: {answers}"
        );
    }
    assert!(vendor.seen().is_empty(), "nothing of this reached the vendor");
}

/// What may be read in one way only is read so, or refused.
#[test]
fn heads_that_are_odd_but_clear_get_one_answer() {
    let (world, _vendor) = world();
    let ended = |head: &str| head.replace("\r\n", "\n") + "connection: close\n\n";
    assert!(
        matches!(
            statuses(&exchange(&world, ended(LIVE).as_bytes()))[..],
            [200 | 400]
        ),
        "18 bare LF"
    );
    let path = b"GET /\xff\xfe HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    assert!(
        matches!(statuses(&exchange(&world, path))[..], [400 | 404]),
        "26 bytes in the path"
    );
    // One length told twice is one length (RFC 9112, section 6.3): the HTTP library takes the second for said already.
    let body = r#"{"model":"custom/m","messages":[]}"#;
    let twice = format!("content-length: {}\r\n", body.len()).repeat(2);
    let good = format!(
        "{CHAT}api-key: {}\r\n{twice}connection: close\r\n\r\n{body}",
        world.key
    );
    assert_eq!(statuses(&exchange(&world, good.as_bytes())), [200], "4");
    // An upgrade is not heard: what follows is a request of its own, with a key of its own.
    let upgrade = format!("{LIVE}upgrade: foo\r\nconnection: upgrade\r\n\r\n");
    let behind = "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    let answers = exchange(&world, format!("{upgrade}{behind}").as_bytes());
    assert_eq!(statuses(&answers), [200, 401], "23 {answers}");
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let (world, _vendor) = world();
    let mut bytes = format!("{LIVE}\r\n").repeat(999);
    bytes.push_str("GET /none HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
    let mut expected = vec![200; 999];
    expected.push(404);
    assert_eq!(statuses(&exchange(&world, bytes.as_bytes())), expected);
}

/// A second request that hides behind the first one's framing is not answered.
#[test]
fn a_request_in_the_shadow_of_another_is_not_served() {
    let (world, _vendor) = world();
    let behind = format!("{LIVE}\r\n");
    for lengths in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    ] {
        let bytes = format!("{CHAT}{lengths}\r\n\r\n0\r\n\r\n{behind}");
        assert_eq!(
            statuses(&exchange(&world, bytes.as_bytes())).len(),
            1,
            "{lengths}"
        );
    }
}

#[test]
fn methods_that_are_not_served_are_refused() {
    let (world, _vendor) = world();
    for (method, target) in [
        ("TRACE", "/livez"),
        ("CONNECT", "a:1"),
        ("OPTIONS", "/v1/models"),
        ("POST", "/livez"),
    ] {
        let bytes = format!("{method} {target} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
        assert_eq!(statuses(&exchange(&world, bytes.as_bytes())), [405], "{method}");
    }
}

#[test]
fn half_a_request_does_not_hold_a_connection() {
    let (world, _vendor) = world();
    let chat = format!("{CHAT}authorization: Bearer {}\r\n", world.key);
    // Nothing is closed without a word, half a head with one.
    for bytes in ["", "P", "GET /livez HTT", "GET /livez HTTP/1.1\r\nhost: ga"] {
        let answers = exchange(&world, bytes.as_bytes());
        assert!(
            (bytes.is_empty() && answers.is_empty()) || statuses(&answers) == [408],
            "{bytes}: {answers}"
        );
    }
    // One that says no more after its first request is closed too.
    assert_eq!(
        statuses(&exchange(&world, format!("{LIVE}\r\n").as_bytes())),
        [200]
    );
    let half = format!("{chat}content-length: 100\r\n\r\n{{\"model\"");
    assert_eq!(statuses(&exchange(&world, half.as_bytes())), [408]);
    let half = format!("{chat}transfer-encoding: chunked\r\n\r\n5\r\n{{\"mod");
    assert_eq!(statuses(&exchange(&world, half.as_bytes())), [408]);
}

#[test]
fn paths_are_taken_as_they_are() {
    let (world, _vendor) = world();
    for path in [
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/x/../v1/models",
        "/x/%2e%2e/v1/models",
        "/v1%2Fmodels",
        "/v1/models%00",
        "/v1/models;a=b",
        "/V1/MODELS",
        "/v1/models/",
        "/",
    ] {
        let bytes = format!(
            "GET {path} HTTP/1.1\r\nhost: gateway\r\napi-key: {}\r\nconnection: close\r\n\r\n",
            world.key
        );
        assert_eq!(statuses(&exchange(&world, bytes.as_bytes())), [404], "{path}");
    }
}

#[test]
fn keys_that_are_none_are_refused_alike() {
    let (world, _vendor) = world();
    let models = world.serving.endpoint("/v1/models");
    let long = "k".repeat(20_000);
    for value in [
        "",
        "Bearer",
        "Bearer  ",
        "Basic x",
        "Bearer ключ",
        "Bearer a\tb",
        long.as_str(),
    ] {
        let head = format!(
            "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nauthorization: {value}\r\nconnection: close\r\n\r\n"
        );
        let answer = exchange(&world, head.as_bytes());
        assert_eq!(statuses(&answer), [401], "{value:.20}");
        assert!(answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
    }
    let in_query = format!("{models}?api_key={0}&key={0}", world.key);
    assert_eq!(client::open("GET", &in_query, &[], b"").finish().status, 401);
    assert!(!world.serving.log().contains(&world.key), "a query is not logged");
    let headers = [
        ("api-key", world.key.as_str()),
        ("x-tenant-id", "other"),
        ("openai-organization", "other"),
    ];
    assert_eq!(
        client::open("GET", &models, &headers, b"").finish().status,
        200,
        "who calls is said by the key alone"
    );
}

#[test]
fn bodies_that_are_wrong_are_refused_before_they_are_sent() {
    let (world, vendor) = world();
    let deep = |depth: usize| {
        format!(
            r#"{{"model":"custom/m","messages":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let with = |member: &str| format!(r#"{{"model":"custom/m","messages":[],{member}}}"#);
    let many = |count: usize| vec!["0"; count].join(",");
    let cases = [
        ("45 nothing", String::new(), "invalid_json"),
        ("45 null", "null".to_owned(), "invalid_json"),
        ("45 an array", "[]".to_owned(), "invalid_json"),
        ("45 a text", "\"x\"".to_owned(), "invalid_json"),
        ("49 deep", deep(128), "json_too_deep"),
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
        ("51 not a number", with(r#""temperature":NaN"#), "invalid_json"),
        ("51 infinite", with(r#""temperature":Infinity"#), "invalid_json"),
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
            "66 a way up",
            r#"{"model":"custom/../../x","messages":[]}"#.to_owned(),
            "invalid_value",
        ),
        (
            "66 a query",
            r#"{"model":"custom/m?key=1","messages":[]}"#.to_owned(),
            "invalid_value",
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
            "54 NUL in the model",
            r#"{"model":"custom/m\u0000","messages":[]}"#.to_owned(),
            "invalid_value",
        ),
        (
            "56 a direction in the model",
            "{\"model\":\"custom/m\u{202e}\",\"messages\":[]}".to_owned(),
            "invalid_value",
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
        (
            "66 no model",
            r#"{"model":"","messages":[]}"#.to_owned(),
            "invalid_value",
        ),
    ];
    for (name, body, code) in cases {
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
    // What looks strange but is right goes through as it is.
    // The provider judges, for each has bounds of its own: 60 a maximum of 0 or -1 (no limit, to some), 61 one above the
    // model's, 64 temperatures, 65 members that the gateway does not know, 67 roles and empty messages, 68 long users and
    // much metadata, 69 names of tools.
    for member in [
        r#""max_tokens":-1"#,
        r#""max_tokens":2147483647"#,
        r#""temperature":"hot""#,
        r#""best_of":1000"#,
        r#""messages ":[{"role":"wizard"}]"#,
        r#""tools":[{"function":{"name":"__proto__"}}]"#,
    ] {
        assert_eq!(world.chat(with(member).as_bytes()).status, 200, "{member}");
        let sent = with(member).replace("custom/m", "m");
        assert_eq!(String::from_utf8(vendor.last().body).unwrap(), sent);
    }
    let strange = with(r#""user":"\u202e","text":"\u0000","x":-0,"y":1.50e+1,"z":{"a":1,"a":2}"#);
    assert_eq!(world.chat(strange.as_bytes()).status, 200);
    let sent = strange.replace("custom/m", "m");
    assert_eq!(String::from_utf8(vendor.last().body).unwrap(), sent);
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
        send(&[json], &[b' '; 1_000_001]),
        (413, "body_too_large".to_owned())
    );
    let chunk = format!("{:x}\r\n{}\r\n", 1_000_001, " ".repeat(1_000_001));
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

fn error_code(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}
