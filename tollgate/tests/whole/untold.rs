//! Providers that do not tell what was used, or not to the end: then the gateway guesses, and the ledger says so.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use store::AttemptRow;
use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{End, Play, Seen, Vendor};

use crate::raw::connect;
use crate::world::{DONE, World, chunk, completion, request, usage_chunk};

/// 64 bytes, as 16 tokens.
const SAID: &str = "It is a long way to the sea, and the road there is a bad one now";
const SAID_TOKENS: i64 = 16;

/// A vendor that does what the model's name says, of which none is told what it took.
fn play(seen: &Seen) -> Play {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let said = || chunk(SAID, None);
    let ended = || [said(), chunk("", Some("stop")), DONE.to_vec()];
    match body["model"].as_str().unwrap_or_default() {
        "whole" => Play::json(200, without_usage(&completion())),
        "zero" => Play::json(200, with_zero(&completion())),
        "stream" => Play::stream(ended()),
        "stream-zero" => Play::stream([said(), chunk("", Some("stop")), zero_chunk(), DONE.to_vec()]),
        "stream-cut" => Play::stream([said()]).end(End::Cut),
        "stream-hangs" => Play::stream([said()]).end(End::Hang),
        "stream-fails" => Play::stream([said(), failed_chunk()]),
        "stream-told-fails" => Play::stream([said(), usage_chunk(), said(), said(), failed_chunk()]),
        "stream-told-all-fails" => {
            Play::stream([said(), chunk("", Some("stop")), usage_chunk(), failed_chunk()])
        }
        // It has told how much was sent, and no more.
        "stream-told-cut" => Play::stream([said(), usage_chunk(), said(), said()]).end(End::Cut),
        _ => Play::json(200, r#"{"embeddings":[{"values":[1.0]}]}"#),
    }
}

fn without_usage(answer: &str) -> String {
    let mut answer: Value = serde_json::from_str(answer).unwrap();
    answer["choices"][0]["message"]["content"] = json!(SAID);
    answer.as_object_mut().unwrap().remove("usage");
    answer.to_string()
}

fn with_zero(answer: &str) -> String {
    let mut answer: Value = serde_json::from_str(answer).unwrap();
    answer["usage"] = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    answer.to_string()
}

/// An error in the middle of a stream.
fn failed_chunk() -> Vec<u8> {
    let error = json!({"message": "the server is overloaded", "type": "server_error", "code": "overloaded"});
    format!("data: {}\n\n", json!({"error": error})).into_bytes()
}

fn zero_chunk() -> Vec<u8> {
    let usage = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    format!("data: {}\n\n", json!({"choices": [], "usage": usage})).into_bytes()
}

/// How the row of a call is: how it ended, where its usage is known from, and output.
fn booked(row: &AttemptRow) -> (&str, &str, Option<i64>) {
    let output = row.usage.map(|usage| usage.output_tokens);
    (row.outcome.as_str(), row.usage_source.as_str(), output)
}

#[test]
fn p51_what_no_provider_tells_is_guessed_and_said_to_be() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(play);
        let world = World::of_all(database, &vendor);
        let mut calls = Vec::new();
        for (model, stream, outcome, source, output) in [
            ("whole", false, "ok", "estimated", Some(SAID_TOKENS)),
            ("zero", false, "ok", "provider", Some(0)),
            ("stream", true, "ok", "estimated", Some(SAID_TOKENS)),
            ("stream-zero", true, "ok", "provider", Some(0)),
            ("stream-cut", true, "cut", "estimated", Some(SAID_TOKENS)),
            ("stream-told-cut", true, "cut", "estimated", Some(3 * SAID_TOKENS)),
            (
                "stream-fails",
                true,
                "provider_error",
                "estimated",
                Some(SAID_TOKENS),
            ),
            (
                "stream-told-fails",
                true,
                "provider_error",
                "estimated",
                Some(3 * SAID_TOKENS),
            ),
            (
                "stream-told-all-fails",
                true,
                "provider_error",
                "provider",
                Some(2),
            ),
        ] {
            let body = request(&format!("custom/{model}"), stream);
            let answer = world.chat(&body);
            let is_guess = source == "estimated" && !stream;
            let told = if is_guess { "true" } else { "" };
            assert_eq!(answer.header("x-tollgate-estimated"), told, "{model}");
            let input = match source {
                _ if model.starts_with("stream-told") => 3,
                "estimated" => i64::try_from(body.len().div_ceil(4)).unwrap(),
                _ => 0,
            };
            let call_id = answer.header("x-request-id").to_owned();
            calls.push((model, call_id, (outcome, source, output), input));
        }
        let ledger = world.ledger(calls.len());
        for (model, call_id, expected, input) in calls {
            let row = &ledger[&call_id];
            assert_eq!(booked(row), expected, "{model}");
            assert_eq!(row.usage.unwrap().input_tokens, input, "{model}");
        }
    }
}

/// A client of Anthropic's is always told something: about as much as was sent, from the beginning.
#[test]
fn p51_a_client_that_must_be_told_is_told_the_guess() {
    let vendor = Vendor::start(play);
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let body = |model: &str, stream: bool| {
        let messages = json!([{"role": "user", "content": "How far is it?"}]);
        json!({"model": format!("custom/{model}"), "max_tokens": 99, "stream": stream, "messages": messages})
            .to_string()
    };
    let asked = body("whole", false);
    let sent_tokens = asked.len().div_ceil(4);
    let answer = world.post("/v1/messages", &asked);
    let usage = &answer.json()["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(sent_tokens), &json!(SAID_TOKENS))
    );
    let streamed = world.post("/v1/messages", &body("stream", true));
    let events = String::from_utf8(streamed.body).unwrap();
    let sent_tokens = body("stream", true).len().div_ceil(4);
    let datas = events.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = datas.map(|data| serde_json::from_str(data).unwrap()).collect();
    let begun = &events[0]["message"]["usage"]["input_tokens"];
    assert_eq!(begun, &json!(sent_tokens), "{}", events[0]);
    let last = events
        .iter()
        .find(|event| event["type"] == "message_delta")
        .unwrap();
    assert_eq!(last["usage"]["output_tokens"], SAID_TOKENS, "{last}");
    assert_eq!(last["usage"]["input_tokens"], json!(sent_tokens), "{last}");
    for row in world.ledger(2).values() {
        assert_eq!(booked(row), ("ok", "estimated", Some(SAID_TOKENS)));
    }
}

/// A long answer is fetched as a stream though its client wants none.
#[test]
fn p51_p59_a_gathered_answer_that_breaks_off_is_booked_by_what_was_heard_of_it() {
    let vendor = Vendor::start(play);
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let body = |model: &str| {
        let messages = json!([{"role": "user", "content": "How far is it?"}]);
        json!({"model": format!("custom/{model}"), "max_tokens": 30_000, "messages": messages}).to_string()
    };
    for (model, status, outcome, output, input) in [
        ("stream-cut", 502, "cut", SAID_TOKENS, None),
        ("stream-told-cut", 502, "cut", 3 * SAID_TOKENS, Some(3)),
        (
            "stream-told-fails",
            500,
            "provider_error",
            3 * SAID_TOKENS,
            Some(3),
        ),
    ] {
        let answer = world.post("/v1/messages", &body(model));
        assert_eq!(answer.status, status, "{model}: {}", answer.json());
        let asked: Value = serde_json::from_slice(&vendor.last().body).unwrap();
        assert_eq!(asked["stream"], true, "{model}");
        let rows = world.attempts_until(|rows| rows.iter().any(|row| row.model == model));
        let row = rows.iter().find(|row| row.model == model).unwrap();
        assert_eq!(booked(row), (outcome, "estimated", Some(output)), "{model}");
        let guessed = i64::try_from(body(model).len().div_ceil(4)).unwrap();
        assert_eq!(
            row.usage.unwrap().input_tokens,
            input.unwrap_or(guessed),
            "{model}"
        );
    }
}

/// So is one whose client did not wait for it.
#[test]
fn p51_p59_a_gathered_answer_whose_client_leaves_is_booked_by_what_was_heard_of_it() {
    let vendor = Vendor::start(play);
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let messages = json!([{"role": "user", "content": "How far is it?"}]);
    let body =
        json!({"model": "custom/stream-hangs", "max_tokens": 30_000, "messages": messages}).to_string();
    let asked = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        world.key,
        body.len()
    );
    // Nothing shows from outside that the gateway has heard the first words: who leaves late enough will have waited for that.
    let heard = (0..10).find_map(|times: u32| {
        let mut client = connect(&world);
        client.write_all(asked.as_bytes()).unwrap();
        let calls = usize::try_from(times).unwrap() + 1;
        assert!(vendor.wait_until_asked(calls));
        thread::sleep(Duration::from_millis(10 << times));
        drop(client);
        assert!(vendor.wait_until_gone(calls));
        let mut rows = world.attempts_until(|rows| rows.len() == calls);
        rows.sort_by_key(|row| row.started_at_ms);
        rows.pop().filter(|row| row.usage.is_some())
    });
    let row = heard.unwrap();
    assert_eq!(booked(&row), ("client_gone", "estimated", Some(SAID_TOKENS)));
}

#[test]
fn p51_vectors_that_come_without_usage_are_guessed() {
    let vendor = Vendor::start(play);
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let body = json!({"model": "gemini/e", "input": SAID}).to_string();
    let answer = world.post("/v1/embeddings", &body);
    assert_eq!(answer.status, 200, "{}", answer.json());
    let row = world.ledger(1).into_values().next().unwrap();
    assert_eq!(booked(&row), ("ok", "estimated", Some(0)));
    assert_eq!(
        row.usage.unwrap().input_tokens,
        i64::try_from(body.len().div_ceil(4)).unwrap()
    );
    // Nobody pays for what is only counted.
    let count = json!({"model": "custom/e", "messages": [{"role": "user", "content": SAID}]}).to_string();
    let counted = client::post(
        &world.serving.endpoint("/v1/messages/count_tokens"),
        &world.key,
        count.as_bytes(),
    );
    assert_eq!(counted.header("x-tollgate-estimated"), "true");
}
