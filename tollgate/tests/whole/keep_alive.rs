//! Signs of life for clients whose provider says nothing for a while: off unless switched on, between events and never in
//! one, and passed over by whoever reads the stream.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Seen, Vendor};
use testkit::vendors::Vendors;

use crate::clients::{self, Run};
use crate::sdk::check;
use crate::world::{DONE, World, chunk, request, usage_chunk};

const EVERY: &str = "40ms";
/// How long the provider says nothing, each time.
const SILENCE: Duration = Duration::from_millis(150);

/// A stream of one dialect: who asks for it, what comes, and what a sign of life is in it.
struct Stream {
    path: &'static str,
    body: &'static str,
    pieces: &'static [&'static str],
    sign: &'static str,
}

/// Each with an event in two pieces, between which nothing may be said.
static STREAMS: [Stream; 4] = [
    Stream {
        path: "/v1/chat/completions",
        body: r#"{"model":"custom/m","stream":true,"messages":[{"role":"user","content":"q"}]}"#,
        pieces: &[
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"index\"",
            ":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: [DONE]\n\n",
        ],
        sign: ": keep-alive\n\n",
    },
    Stream {
        path: "/v1/responses",
        body: r#"{"model":"openai/m","stream":true,"input":"q"}"#,
        pieces: &[
            "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}\n\nevent: resp",
            "onse.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{}}\n\n",
        ],
        sign: ": keep-alive\n\n",
    },
    Stream {
        path: "/v1/messages",
        body: r#"{"model":"anthropic/m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"q"}]}"#,
        pieces: &[
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent:",
            " message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ],
        sign: "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    },
    Stream {
        path: "/v1beta/models/gemini%2Fm:streamGenerateContent?alt=sse",
        body: r#"{"contents":[{"parts":[{"text":"q"}]}]}"#,
        pieces: &[
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\ndata: {\"candi",
            "dates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}\r\n\r\n",
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n",
        ],
        sign: "\r\n",
    },
];

fn world(vendor: &Vendor, early: bool) -> World {
    let base_url = vendor.base_url();
    let providers = ["custom", "openai", "anthropic", "gemini"].map(|provider| (provider, base_url.as_str()));
    World::of(TestDatabase::sqlite(), &providers, |installation| {
        let installation = installation.set("TOLLGATE_KEEP_ALIVE", EVERY);
        if early {
            installation.set("TOLLGATE_KEEP_ALIVE_EARLY", "true")
        } else {
            installation
        }
    })
}

#[test]
fn p55_signs_of_life_stand_between_events_and_change_none() {
    let vendor = Vendor::start(|seen| {
        let of = |stream: &&Stream| {
            let path = stream.path.split('?').next().unwrap();
            let end = path.rsplit(['/', ':']).next().unwrap_or_default();
            seen.path.contains(end)
        };
        let stream = STREAMS.iter().find(of).unwrap();
        Play::stream(stream.pieces.iter().map(|piece| piece.as_bytes().to_vec())).pause(SILENCE)
    });
    let world = world(&vendor, false);
    let quiet = World::of_all(TestDatabase::sqlite(), &vendor);
    for stream in &STREAMS {
        let whole = stream.pieces.concat();
        let without = quiet.post(stream.path, stream.body);
        assert_eq!(
            String::from_utf8(without.body).unwrap(),
            whole,
            "off: {}",
            stream.path
        );
        let answer = world.post(stream.path, stream.body);
        let told = String::from_utf8(answer.body).unwrap();
        // Each event is there as it came; between two stand signs of life, and nothing else.
        let mut rest = told.as_str();
        let mut signs = Vec::new();
        let end = if stream.sign == "\r\n" { "\r\n\r\n" } else { "\n\n" };
        for event in whole.split_inclusive(end) {
            let mut before = 0;
            while !rest.starts_with(event) {
                rest = rest.strip_prefix(stream.sign).unwrap_or_else(|| panic!("{told}"));
                before += 1;
            }
            rest = &rest[event.len()..];
            signs.push(before);
        }
        assert!(rest.is_empty(), "{told}");
        assert_eq!(signs[0], 0, "not before the first event: {told}");
        assert!(signs[1..].iter().all(|signs| *signs > 0), "{signs:?}: {told}");
        assert!(world.ledger(1).values().all(|row| row.outcome == "ok"));
    }
}

/// One JSON array has no place for them while an item is on its way.
#[test]
fn p55_an_array_gets_none() {
    let array = [
        "[{\"candidates\":[{\"content\":",
        "{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}",
        "]",
    ];
    let vendor =
        Vendor::start(move |_| Play::stream(array.map(|piece| piece.as_bytes().to_vec())).pause(SILENCE));
    let world = world(&vendor, true);
    let answer = world.post(
        "/v1beta/models/gemini%2Fm:streamGenerateContent",
        r#"{"contents":[{"parts":[{"text":"q"}]}]}"#,
    );
    assert_eq!(String::from_utf8(answer.body).unwrap(), array.concat());
}

#[test]
fn p55_a_translated_stream_gets_them_too() {
    let vendor = Vendor::start(|_| {
        Play::stream([
            chunk("a", None),
            chunk("b", Some("stop")),
            usage_chunk(),
            DONE.to_vec(),
        ])
        .pause(SILENCE)
    });
    let world = world(&vendor, false);
    let body = json!({"model": "custom/m", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "q"}]});
    let answer = world.post("/v1/messages", &body.to_string());
    let told = String::from_utf8(answer.body).unwrap();
    let kinds: Vec<Value> = told
        .split_terminator("\n\n")
        .map(|event| {
            let (_, data) = event.split_once("data: ").unwrap();
            serde_json::from_str::<Value>(data).unwrap()["type"].clone()
        })
        .collect();
    assert!(kinds.iter().filter(|kind| *kind == "ping").count() >= 2, "{told}");
    assert_eq!(
        kinds
            .into_iter()
            .filter(|kind| kind != "ping")
            .collect::<Vec<_>>(),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
}

/// A vendor that thinks before it says the first word.
fn late(seen: &Seen) -> Play {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    std::thread::sleep(SILENCE);
    match body["model"].as_str().unwrap_or_default() {
        "failing" => Play::json(
            429,
            r#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#,
        ),
        "refusing" => Play::json(401, r#"{"error":{"message":"who?"}}"#),
        "whole" => Play::json(200, r#"{"choices":[]}"#),
        _ => Play::stream([chunk("a", Some("stop")), usage_chunk(), DONE.to_vec()]),
    }
}

#[test]
fn p55_an_answer_may_begin_before_its_provider_does() {
    let vendor = Vendor::start(late);
    let world = world(&vendor, true);
    let sign = ": keep-alive\n\n";
    let told = |model: &str| {
        let answer = world.chat(&request(&format!("custom/{model}"), true));
        assert_eq!(answer.status, 200, "{model}");
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert!(!answer.header("x-request-id").is_empty());
        let told = String::from_utf8(answer.body).unwrap();
        assert!(told.starts_with(sign), "{model}: {told}");
        told.trim_start_matches(sign).to_owned()
    };
    let stream = [chunk("a", Some("stop")), DONE.to_vec()].concat();
    assert_eq!(told("good").into_bytes(), stream);
    for (model, code) in [
        ("failing", "rate_limit_error"),
        ("refusing", "provider_credential_refused"),
        ("whole", "provider_bad_answer"),
    ] {
        let told = told(model);
        assert!(
            told.starts_with("data: {\"error\":") && told.contains(code),
            "{model}: {told}"
        );
        assert_eq!(told.matches("data:").count(), 1, "{model}: {told}");
    }
    // What is refused without asking anybody has its status, and so has what is no stream.
    let unknown = world.chat(&request("nowhere/m", true));
    assert_eq!(unknown.status, 404);
    assert_eq!(world.chat(&request("custom/failing", false)).status, 429);
    let in_messages = json!({"model": "custom/failing", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "q"}]});
    let told = String::from_utf8(world.post("/v1/messages", &in_messages.to_string()).body).unwrap();
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let told = told.trim_start_matches(ping);
    assert!(
        told.starts_with("event: error\n") && told.contains("rate_limit_error"),
        "{told}"
    );
    let left = |rows: &[store::AttemptRow]| rows.iter().filter(|row| row.outcome == "ok").count() >= 1;
    world.attempts_until(left);
}

/// One who leaves while nothing has come but signs of life stops the provider.
#[test]
fn p55_who_leaves_before_the_provider_begins_is_noticed() {
    let vendor = Vendor::start(|_| Play::json(200, "").end(testkit::vendor::End::Silence));
    let world = world(&vendor, true);
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let mut open = testkit::client::open_post(&endpoint, &world.key, &request("custom/m", true));
    assert!(open.read().starts_with(b": keep-alive\n\n"));
    drop(open);
    assert!(vendor.wait_until_gone(1));
    let row = world.ledger(1).into_values().next().unwrap();
    assert_eq!(row.outcome, "client_gone");
}

/// Of the official SDKs, before the first word and between any two, and whatever dialect the provider speaks.
#[test]
fn p55_no_sdk_stumbles_over_them() {
    for file in ["keep_alive.py", "keep_alive.mjs"] {
        let Some(run) = Run::of(file) else { continue };
        let vendors = Vendors::start();
        let world = clients::world(TestDatabase::sqlite(), &vendors, |installation| {
            installation
                .set("TOLLGATE_KEEP_ALIVE", "10ms")
                .set("TOLLGATE_KEEP_ALIVE_EARLY", "true")
        });
        let output = run.command(&world, None).output().unwrap();
        println!("{file}\n{}", String::from_utf8_lossy(&output.stdout));
        check(&output, &world);
    }
}
