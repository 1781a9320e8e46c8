//! Heads and framing: part A of what may come in.

use super::{BODY_BYTES_MAX, CHAT, LIVE, exchange, statuses, world, world_with};

/// A row of the table: what is sent, and the one status that is answered before the connection is closed.
type Case = (&'static str, String, u16);

/// The connection is closed after each of them, also where the request does not ask for it, and what comes behind is not
/// answered.
#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    let (world, vendor) = world();
    let chat = format!("{CHAT}authorization: Bearer {}\r\n", world.key);
    let behind = format!("{LIVE}\r\n");
    for (name, bytes, expected) in [lengths(&chat), codings(&chat), hosts_and_names(), sizes()].concat() {
        let answers = exchange(&world, format!("{bytes}{behind}").as_bytes());
        assert_eq!(statuses(&answers), [expected], "{name}: {answers}");
        assert!(
            !answers.contains("model"),
            "{name}: it came as far as its body: {answers}"
        );
    }
    assert!(vendor.seen().is_empty(), "nothing of this reached the vendor");
    assert_eq!(
        statuses(&exchange(
            &world,
            format!("{LIVE}connection: close\r\n\r\n").as_bytes()
        )),
        [200],
        "a good one"
    );
}

fn lengths(chat: &str) -> Vec<Case> {
    vec![
        (
            "3 two lengths",
            format!("{chat}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
            400,
        ),
        (
            "5 a list of lengths",
            format!("{chat}content-length: 2, 2\r\n\r\n{{}}"),
            400,
        ),
        (
            "6 a signed length",
            format!("{chat}content-length: +2\r\n\r\n{{}}"),
            400,
        ),
        (
            "6 a negative length",
            format!("{chat}content-length: -2\r\n\r\n{{}}"),
            400,
        ),
        (
            "6 a huge length",
            format!("{chat}content-length: {}\r\n\r\n{{}}", "9".repeat(23)),
            400,
        ),
        (
            "6 a length in hex",
            format!("{chat}content-length: 0x2\r\n\r\n{{}}"),
            400,
        ),
        (
            "7 more than allowed",
            format!("{chat}content-length: 10000000000\r\n\r\n"),
            413,
        ),
    ]
}

fn codings(chat: &str) -> Vec<Case> {
    let chunked = format!("{chat}transfer-encoding: chunked\r\n\r\n");
    vec![
        (
            "8 identity",
            format!("{chat}transfer-encoding: identity\r\n\r\n"),
            400,
        ),
        (
            "8 a coding like chunked",
            format!("{chat}transfer-encoding: xchunked\r\n\r\n"),
            400,
        ),
        (
            "9 another coding",
            format!("{chat}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            501,
        ),
        (
            "10 chunked twice",
            format!("{chat}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "11 a space before the colon",
            format!("{chat}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "12 chunked in HTTP/1.0",
            chunked.replace("HTTP/1.1", "HTTP/1.0"),
            400,
        ),
        (
            "13 a long chunk extension",
            format!("{chunked}2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20_000)),
            400,
        ),
        (
            "14 a huge chunk",
            format!("{chunked}fffffffffffffffff\r\n{{}}\r\n0\r\n\r\n"),
            400,
        ),
        ("15 bare LF in chunks", format!("{chunked}2\n{{}}\n0\n\n"), 400),
        (
            "16 long trailers",
            format!("{chunked}2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", "x".repeat(20_000)),
            400,
        ),
    ]
}

fn hosts_and_names() -> Vec<Case> {
    vec![
        ("17 a folded header", format!("{LIVE}x: a\r\n b\r\n\r\n"), 400),
        ("19 NUL in a header", format!("{LIVE}x: a\0b\r\n\r\n"), 400),
        ("19 CR in a header", format!("{LIVE}x: a\rb\r\n\r\n"), 400),
        ("20 no host", "GET /livez HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("20 two hosts", format!("{LIVE}host: other\r\n\r\n"), 400),
        (
            "20 a host with a path",
            "GET /livez HTTP/1.1\r\nhost: a/?x=\r\n\r\n".to_owned(),
            400,
        ),
        (
            "20 a host with a fragment",
            "GET /livez HTTP/1.1\r\nhost: a#\r\n\r\n".to_owned(),
            400,
        ),
        (
            "20 a host with a space",
            "GET /livez HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(),
            400,
        ),
        (
            "20 a host with a user",
            "GET /livez HTTP/1.1\r\nhost: u@a\r\n\r\n".to_owned(),
            400,
        ),
        (
            "22 the absolute form",
            "GET http://evil/livez HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned(),
            400,
        ),
        (
            "24 an unknown expectation",
            format!("{LIVE}expect: 200-ok\r\n\r\n"),
            417,
        ),
        (
            "25 an unknown method letter",
            "G@T /livez HTTP/1.1\r\nhost: gateway\r\n\r\n".to_owned(),
            400,
        ),
        (
            "25 another version",
            "GET /livez HTTP/9.0\r\nhost: gateway\r\n\r\n".to_owned(),
            400,
        ),
        (
            "25 a TLS hello",
            "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\u{3}\r\n\r\n".to_owned(),
            400,
        ),
        ("25 HTTP/0.9", "GET /livez\r\n\r\n".to_owned(), 400),
        (
            "25 HTTP/2.0 without its preface",
            "GET /livez HTTP/2.0\r\nhost: gateway\r\n\r\n".to_owned(),
            400,
        ),
        (
            "29 a long method",
            format!("{} /livez HTTP/1.1\r\nhost: gateway\r\n\r\n", "A".repeat(33)),
            400,
        ),
    ]
}

/// What is a byte too long.
fn sizes() -> Vec<Case> {
    vec![
        ("27 a long path", target("/", 8_193), 414),
        ("27 a long query", target("/livez?", 8_194), 414),
        // Longer than a head may be.
        ("27 a longer path", target("/", 70_000), 431),
        ("28 a long header", headers(&[(32 << 10) + 1]), 431),
        ("28 a long head", headers(&[30 << 10, 30 << 10, 6 << 10]), 431),
        ("28 many headers", headers(&[1; 100]), 431),
    ]
}

/// What is just as long as it may be is served.
#[test]
fn heads_may_be_as_large_as_is_allowed() {
    let (world, _vendor) = world();
    for (name, bytes, expected) in [
        ("27 a path", target("/", 8_192), 404),
        // The question mark between path and query is not counted.
        ("27 a query", target("/livez?", 8_193), 200),
        ("28 a header", headers(&[32 << 10]), 200),
        ("28 a head", headers(&[30 << 10, 30 << 10, 3 << 10]), 200),
        // With the host there are a hundred.
        ("28 many headers", headers(&[1; 98]), 200),
        (
            "29 a method",
            format!("{} /livez HTTP/1.1\r\nhost: gateway\r\n\r\n", "A".repeat(32)),
            405,
        ),
    ] {
        let closing = bytes.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        assert_eq!(
            statuses(&exchange(&world, closing.as_bytes())),
            [expected],
            "{name}"
        );
    }
}

/// A request for something that is so long, from its first slash on.
fn target(begin: &str, bytes: usize) -> String {
    let rest = "a".repeat(bytes - begin.len());
    format!("GET {begin}{rest} HTTP/1.1\r\nhost: gateway\r\n\r\n")
}

/// A request with headers of so many bytes, beside its host.
fn headers(values: &[usize]) -> String {
    let headers = values
        .iter()
        .map(|bytes| format!("x: {}\r\n", "a".repeat(*bytes)));
    format!("{LIVE}{}\r\n", headers.collect::<String>())
}

/// Who waits to be asked for the body is asked only where it will be read.
#[test]
fn a_body_that_is_not_wanted_is_not_asked_for() {
    let (world, vendor) = world_with(|installation| installation.set("TOLLGATE_BODY_TIMEOUT", "1s"));
    let ask = |key: &str, length: usize| {
        let head = format!(
            "{CHAT}authorization: Bearer {key}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        exchange(&world, head.as_bytes())
    };
    assert_eq!(statuses(&ask("sk-tg-wrong", 100)), [401]);
    assert_eq!(statuses(&ask(&world.key, BODY_BYTES_MAX * 2)), [413]);
    assert_eq!(
        statuses(&ask(&world.key, 100)),
        [100, 408],
        "it is asked for, and does not come"
    );
    assert!(vendor.seen().is_empty());
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
    let (world, _vendor) = world_with(|installation| {
        installation
            .set("TOLLGATE_HEAD_TIMEOUT", "500ms")
            .set("TOLLGATE_IDLE_TIMEOUT", "500ms")
            .set("TOLLGATE_BODY_TIMEOUT", "1s")
    });
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
