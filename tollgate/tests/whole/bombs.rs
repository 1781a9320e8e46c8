//! What is small on the wire and wants to be large, from either side: memory is what the bytes take, and no more.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client;
use testkit::database::TestDatabase;
use testkit::process::Serving;
use testkit::vendor::{Play, Vendor};

use crate::raw::provider;
use crate::world::{World, completion, request};

const CODINGS: [&str; 7] = [
    "gzip",
    "x-gzip",
    "deflate",
    "br",
    "zstd",
    "compress",
    "identity, gzip",
];

/// What the gateway may take for its own business during a test.
const SOME_KIB: u64 = 16 << 10;

/// What a body that is too deep takes of a processor, from its first byte until it is refused.
const DEEP_TOLD: Duration = Duration::from_millis(50);

/// 64 KiB that would be 2 GiB: a frame of Zstandard (RFC 8878) with nothing but runs of 128 KiB of one letter.
fn bomb() -> Vec<u8> {
    const RUN: u32 = 128 << 10;
    let magic_and_window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    let block = |is_last: u32| {
        let head = (RUN << 3 | 1 << 1 | is_last).to_le_bytes();
        [&head[..3], b" "].concat()
    };
    [&magic_and_window[..], &block(0).repeat((64 << 10) / 4), &block(1)].concat()
}

/// How much more memory the gateway has had in the meantime than it has at the beginning.
fn grown_kib(serving: &Serving, meanwhile: impl FnOnce()) -> u64 {
    serving.forget_most_resident();
    let before = serving.most_resident_kib();
    meanwhile();
    serving.most_resident_kib().saturating_sub(before)
}

/// We ask for answers as they are, and nothing else is read: so nothing can grow on the way.
#[test]
fn an_answer_that_is_compressed_is_not_unpacked() {
    let vendor = Vendor::start(|seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let coding = CODINGS[body["model"].as_str().unwrap().parse::<usize>().unwrap()];
        let play = if body["stream"] == true {
            Play::stream([bomb()])
        } else {
            Play::json(200, bomb())
        };
        play.header("content-encoding", coding)
    });
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let grown = grown_kib(&world.serving, || {
        for (number, coding) in CODINGS.iter().enumerate() {
            for stream in [false, true] {
                let answer = world.chat(&request(&format!("custom/{number}"), stream));
                assert_eq!(
                    (answer.status, answer.json()["error"]["code"].clone()),
                    (502, "provider_bad_answer".into()),
                    "{coding}"
                );
            }
        }
    });
    let accepted = vendor.last().headers;
    let accepted = accepted.iter().find(|(name, _)| name == "accept-encoding");
    assert_eq!(accepted.unwrap().1, "identity");
    assert!(grown < SOME_KIB, "{grown} KiB more");
}

#[test]
fn a_request_that_is_compressed_is_not_unpacked() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let grown = grown_kib(&world.serving, || {
        for coding in CODINGS {
            let headers = [
                ("api-key", world.key.as_str()),
                ("content-type", "application/json"),
                ("content-encoding", coding),
            ];
            let answer = client::open("POST", &endpoint, &headers, &bomb()).finish();
            assert_eq!(
                (answer.status, answer.json()["error"]["code"].clone()),
                (415, "unsupported_content_encoding".into()),
                "{coding}"
            );
        }
    });
    assert!(vendor.seen().is_empty());
    assert!(grown < SOME_KIB, "{grown} KiB more");
}

/// No tree is built of a body, however deep or wide it is: it is held once, and scanned in a time that its length allows.
#[test]
fn a_body_that_is_deep_or_wide_takes_what_its_bytes_take() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let with = |member: &str| format!(r#"{{"model":"custom/m","messages":[],{member}}}"#);
    let many = |part: &str, count: usize| [&format!("{part},").repeat(count - 1), part].concat();
    let keys = |count: usize| many(r#""k":0"#, count);
    let cases = [
        (
            "49 deep",
            with(&format!(
                r#""x":{}{}"#,
                "[".repeat(1_000_000),
                "]".repeat(1_000_000)
            )),
            "json_too_deep",
        ),
        (
            "49 deep, by objects, and cut",
            with(&format!(r#""x":{}"#, r#"{"x":"#.repeat(500_000))),
            "json_too_deep",
        ),
        (
            "50 many members",
            with(&format!(r#""x":{{{}}}"#, keys(1_000_000))),
            "",
        ),
        (
            "50 many members of what is acted on",
            with(&keys(1_000_000)),
            "too_many_values",
        ),
        (
            "50 many messages",
            format!(r#"{{"model":"custom/m","messages":[{}]}}"#, many("{}", 1_000_000)),
            "too_many_values",
        ),
        (
            "50 many tools",
            with(&format!(r#""tools":[{}]"#, many("{}", 100_000))),
            "too_many_values",
        ),
        (
            "50 many values",
            with(&format!(r#""x":[{}]"#, many("0", 5_000_000))),
            "too_many_values",
        ),
        (
            "50 the most there may be",
            with(&format!(r#""x":[{}]"#, many("0", 4_000_000))),
            "",
        ),
    ];
    for (name, body, code) in cases {
        if code == "json_too_deep" {
            // However deep it is, nothing is looked at behind its first level too many.
            let before = world.serving.processor_time();
            assert_eq!(world.chat(body.as_bytes()).status, 400, "{name}");
            let took = world.serving.processor_time() - before;
            println!("{name}: refused in {took:?}");
            assert!(took < DEEP_TOLD, "{name}: {took:?}");
        }
        let before = Instant::now();
        let grown = grown_kib(&world.serving, || {
            let answer = world.chat(body.as_bytes());
            let expected = if code.is_empty() { 200 } else { 400 };
            assert_eq!(answer.status, expected, "{name}: {:.300}", answer.json());
            assert_eq!(
                answer.json()["error"]["code"].as_str().unwrap_or_default(),
                code,
                "{name}"
            );
        });
        // The build is not an optimised one.
        assert!(
            before.elapsed() < Duration::from_secs(5),
            "{name}: {:?}",
            before.elapsed()
        );
        let allowed = SOME_KIB + 3 * body.len() as u64 / 1024;
        println!(
            "{name}: {} KiB, {grown} KiB more, {:?}",
            body.len() / 1024,
            before.elapsed()
        );
        assert!(
            grown < allowed,
            "{name}: {grown} KiB more for {} bytes",
            body.len()
        );
    }
}

/// Interim answers (RFC 9110, section 15.2) are for the gateway alone, which makes nothing of a few. More of them than a
/// provider can need make its answer a bad one; one after the other without end is a provider that does not answer.
#[test]
fn a_flood_of_interim_answers_is_a_bad_answer_or_none() {
    const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
    let many = |out: &mut std::net::TcpStream| {
        use std::io::Write as _;
        out.write_all(&INTERIM.repeat(100))?;
        let body = completion();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        out.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
    };
    let world = World::with(TestDatabase::sqlite(), &provider(many), |installation| {
        installation
    });
    let answer = world.chat(&request("custom/any", false));
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].clone()),
        (502, "provider_bad_answer".into())
    );
    assert_eq!(answer.header("link"), "");

    let endless = |out: &mut std::net::TcpStream| {
        use std::io::Write as _;
        let many = INTERIM.repeat(1_000);
        loop {
            out.write_all(&many)?;
        }
    };
    let world = World::with(TestDatabase::sqlite(), &provider(endless), |installation| {
        installation
            .set("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT", "1s")
            .set("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT", "1s")
    });
    for stream in [false, true] {
        let asked = Instant::now();
        let grown = grown_kib(&world.serving, || {
            let answer = world.chat(&request("custom/any", stream));
            assert_eq!(
                (answer.status, answer.json()["error"]["code"].clone()),
                (504, "provider_timeout".into())
            );
        });
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert!(grown < SOME_KIB, "{grown} KiB more");
    }
}
