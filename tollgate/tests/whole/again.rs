//! Further attempts: what follows a provider's failure, how far that goes, and that each attempt is booked for itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use store::AttemptRow;
use testkit::client::Answer;
use testkit::database::TestDatabase;
use testkit::process::Installation;
use testkit::vendor::{End, Play, Seen, Vendor};

use crate::world::{DONE, TENANT, VENDOR_SECRET, World, chunk, completion, request, usage_chunk};

const PATIENCE: Duration = Duration::from_secs(30);

fn model_of(seen: &Seen) -> String {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
    body["model"].as_str().unwrap_or_default().to_owned()
}

fn is_streamed(seen: &Seen) -> bool {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
    body["stream"].as_bool().unwrap_or(false)
}

fn good(seen: &Seen) -> Play {
    if is_streamed(seen) {
        Play::stream([chunk("hi", Some("stop")), usage_chunk(), DONE.to_vec()])
    } else {
        Play::json(200, completion())
    }
}

fn error(status: u16, message: &str) -> Play {
    Play::json(
        status,
        json!({"error": {"message": message, "type": "t"}}).to_string(),
    )
}

/// A stream that says nothing else.
fn error_event(kind: &str) -> Vec<u8> {
    format!(
        "data: {}\n\n",
        json!({"error": {"message": "not now", "type": kind}})
    )
    .into_bytes()
}

/// What the first credential's vendor makes of a model. For `heal` it is well.
fn first(seen: &Seen) -> Play {
    match model_of(seen).as_str() {
        "busy" => error(503, "busy"),
        "overloaded" => error(529, "overloaded"),
        "wrong" => error(500, "wrong"),
        "page" => Play::json(502, "<html>bad gateway</html>").header("content-type", "text/html"),
        "limited" => error(429, "slow down").header("retry-after", "1"),
        "unknown-key" => error(401, "no such key"),
        "forbidden" => error(403, "not you"),
        "no-answer" => Play::json(200, "").end(End::NoAnswer),
        "cut" if is_streamed(seen) => Play::stream([]).end(End::Cut),
        "cut" => Play::json(200, completion()).end(End::Cut),
        "cut-later" => Play::stream([chunk("one", None)]).end(End::Cut),
        "begins-overloaded" => Play::stream([error_event("overloaded_error")]),
        "begins-invalid" => Play::stream([error_event("invalid_request_error")]),
        "malformed" => error(400, "malformed"),
        "missing" => error(404, "missing"),
        "invalid" => error(422, "invalid"),
        "redirect" => Play::json(302, "{}").header("location", "http://127.0.0.1:1/"),
        "not-json" => Play::json(200, "<html>hello</html>").header("content-type", "text/html"),
        "silent" => Play::json(200, "").end(End::Silence),
        _ => good(seen),
    }
}

fn second(seen: &Seen) -> Play {
    if model_of(seen) == "heal" {
        error(503, "busy too")
    } else {
        good(seen)
    }
}

/// Two credentials of one provider; `first` comes first.
fn two(
    database: TestDatabase,
    urls: [&str; 2],
    settings: impl FnOnce(Installation) -> Installation,
) -> World {
    let world = World::of(database, &[], settings);
    add(&world, "custom", "first", urls[0], "2");
    add(&world, "custom", "second", urls[1], "1");
    until_served(&world, "custom/ready");
    world
}

fn add(world: &World, provider: &str, name: &str, base_url: &str, weight: &str) {
    let add = ["credential", "add", "--tenant", TENANT, "--provider", provider];
    let how = ["--name", name, "--base-url", base_url, "--weight", weight];
    world
        .installation
        .ask_with(&[&add[..], &how].concat(), VENDOR_SECRET);
}

/// What was set up takes effect within a second.
fn until_served(world: &World, model: &str) {
    let deadline = Instant::now() + PATIENCE;
    while world.chat(&request(model, false)).status != 200 {
        assert!(Instant::now() < deadline, "{model} is never served");
    }
}

/// The first credential is well again, and the second one is not asked first.
fn heal(world: &World) {
    let answer = world.chat(&request("custom/heal", false));
    assert_eq!(
        (answer.status, answer.header("x-tollgate-credential")),
        (200, "first")
    );
}

fn attempts(answer: &Answer) -> u32 {
    answer.header("x-tollgate-attempts").parse().unwrap()
}

fn of_call<'a>(rows: &'a [AttemptRow], call_id: &str) -> Vec<&'a AttemptRow> {
    let mut rows: Vec<&AttemptRow> = rows.iter().filter(|row| row.call_id == call_id).collect();
    rows.sort_by_key(|row| row.attempt_number);
    rows
}

#[test]
fn a_failure_is_made_good_by_the_next_credential_and_both_attempts_are_booked() {
    // With the outcome of the first attempt, its status, and where its usage is known from.
    let table = [
        ("busy", "provider_error", 503, "none"),
        ("overloaded", "provider_error", 529, "none"),
        ("wrong", "provider_error", 500, "none"),
        ("page", "provider_error", 502, "none"),
        ("limited", "provider_error", 429, "none"),
        ("unknown-key", "provider_error", 401, "none"),
        ("forbidden", "provider_error", 403, "none"),
        ("no-answer", "unreachable", 0, "unknown"),
        ("cut", "cut", 200, "unknown"),
    ];
    for database in TestDatabase::each() {
        let (a, b) = (Vendor::start(first), Vendor::start(second));
        let world = two(database, [&a.base_url(), &b.base_url()], |installation| {
            installation
        });
        let mut calls = Vec::new();
        for (model, outcome, status, source) in table {
            for stream in [false, true] {
                let answer = world.chat(&request(&format!("custom/{model}"), stream));
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                assert_eq!((answer.status, attempts(&answer)), (200, 2), "{model}: {text}");
                assert_eq!(answer.header("x-tollgate-credential"), "second", "{model}");
                assert_eq!(text.contains("[DONE]"), stream, "{model}: {text}");
                calls.push((
                    answer.header("x-request-id").to_owned(),
                    model,
                    outcome,
                    status,
                    source,
                ));
                heal(&world);
            }
        }
        let rows = world.attempts_until(|rows| {
            calls
                .iter()
                .all(|(call_id, ..)| of_call(rows, call_id).len() == 2)
        });
        for (call_id, model, outcome, status, source) in &calls {
            let [one, two] = of_call(&rows, call_id)[..] else {
                panic!("{model}")
            };
            assert_eq!(
                [&one.attempt_id, &two.attempt_id],
                [&format!("{call_id}-1"), &format!("{call_id}-2")]
            );
            assert_eq!(
                (
                    one.outcome.as_str(),
                    one.status,
                    one.usage_source.as_str(),
                    one.usage
                ),
                (*outcome, *status, *source, None),
                "{model}"
            );
            assert_eq!(
                (two.outcome.as_str(), two.usage_source.as_str()),
                ("ok", "provider"),
                "{model}"
            );
            assert_ne!(one.credential_id, two.credential_id);
        }
        // The provider knows each by its own id, and there is none that it does not know.
        let mut asked: Vec<String> = [a.seen(), b.seen()]
            .iter()
            .flatten()
            .flat_map(|seen| seen.headers.iter().filter(|(name, _)| name == "x-request-id"))
            .map(|(_, id)| id.clone())
            .collect();
        let mut booked: Vec<String> = world
            .attempts_until(|rows| rows.len() >= asked.len())
            .into_iter()
            .map(|row| row.attempt_id)
            .collect();
        asked.sort();
        booked.sort();
        assert_eq!(asked, booked);
    }
}

/// Nothing has gone to the client when all that a stream says is that there is none.
#[test]
fn a_stream_that_begins_with_an_error_is_made_good_like_any_other() {
    let (a, b) = (Vendor::start(first), Vendor::start(second));
    let world = two(
        TestDatabase::sqlite(),
        [&a.base_url(), &b.base_url()],
        |installation| installation,
    );
    let call = |model: &str| {
        let answer = world.chat(&request(model, true));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let credential = answer.header("x-tollgate-credential").to_owned();
        (answer.status, attempts(&answer), credential, text)
    };
    let (status, made, credential, text) = call("custom/begins-overloaded");
    assert_eq!((status, made, &*credential), (200, 2, "second"), "{text}");
    assert!(text.contains("[DONE]") && !text.contains("not now"), "{text}");
    // It has failed like any other, and is not asked first.
    assert_eq!(call("custom/well").2, "second");
    heal(&world);
    // What is wrong with the request is told by the first.
    let (status, made, credential, text) = call("custom/begins-invalid");
    assert_eq!((status, made, &*credential), (200, 1, "first"), "{text}");
    assert!(text.contains("not now"), "{text}");
    // And where nobody else is left, the error is passed on.
    let alone = World::of(TestDatabase::sqlite(), &[], |installation| installation);
    add(&alone, "custom", "first", &a.base_url(), "1");
    until_served(&alone, "custom/ready");
    let answer = alone.chat(&request("custom/begins-overloaded", true));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, attempts(&answer)), (200, 1), "{text}");
    assert!(text.contains("not now"), "{text}");
    assert!(answer.header("content-type").starts_with("text/event-stream"));
}

#[test]
fn what_is_wrong_with_the_request_or_has_reached_the_client_is_not_tried_again() {
    let (a, b) = (Vendor::start(first), Vendor::start(second));
    let settings = |installation: Installation| {
        installation
            .set("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT", "1s")
            .set("TOLLGATE_UPSTREAM_GAP_TIMEOUT", "1s")
    };
    let world = two(TestDatabase::sqlite(), [&a.base_url(), &b.base_url()], settings);
    let table = [
        ("malformed", false, 400),
        ("missing", false, 404),
        ("invalid", true, 422),
        ("redirect", false, 502),
        ("not-json", false, 502),
        ("cut-later", true, 200),
        // It takes as long as the second one rests after it has failed so that the first one was well again.
        ("silent", false, 504),
    ];
    for (model, stream, status) in table {
        let answer = world.chat(&request(&format!("custom/{model}"), stream));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!((answer.status, attempts(&answer)), (status, 1), "{model}: {text}");
        assert!(!text.contains("[DONE]"), "{model}: {text}");
        // A provider that took too long, or broke off, is not asked first by the next call all the same.
        if ["silent", "cut-later"].contains(&model) {
            let next = world.chat(&request("custom/well", false));
            assert_eq!(next.header("x-tollgate-credential"), "second", "{model}");
            heal(&world);
        }
    }
    let asked: Vec<String> = b.seen().iter().map(model_of).collect();
    for (model, ..) in table {
        assert!(!asked.iter().any(|asked| asked == model), "{model}");
    }
}

#[test]
fn a_call_makes_no_more_attempts_than_it_may_and_tells_of_the_last() {
    let vendors: Vec<Vendor> = (1..=4)
        .map(|number| {
            Vendor::start(move |seen| match model_of(seen).as_str() {
                "down" => error(503, &format!("vendor {number} is down")),
                _ => good(seen),
            })
        })
        .collect();
    for (most, expected) in [("1", 1), ("3", 3), ("9", 4)] {
        let world = World::of(TestDatabase::sqlite(), &[], |installation| {
            installation.set("TOLLGATE_ATTEMPTS_MAX", most)
        });
        for (number, vendor) in vendors.iter().enumerate() {
            let (name, weight) = (format!("c{number}"), (9 - number).to_string());
            add(&world, "custom", &name, &vendor.base_url(), &weight);
        }
        until_served(&world, "custom/ready");
        let until = Instant::now() + PATIENCE;
        // Until all of them are known here.
        let answer = loop {
            let answer = world.chat(&request("custom/down", false));
            if attempts(&answer) == expected {
                break answer;
            }
            assert!(
                Instant::now() < until,
                "{} attempts of {expected}",
                attempts(&answer)
            );
        };
        assert_eq!(answer.status, 503);
        let told = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            told.starts_with("vendor ") && told.ends_with(" is down"),
            "{told}"
        );
        let call_id = answer.header("x-request-id").to_owned();
        let rows = world.attempts_until(|rows| of_call(rows, &call_id).len() == expected as usize);
        let used: Vec<_> = of_call(&rows, &call_id)
            .iter()
            .map(|row| row.credential_id.clone())
            .collect();
        assert_eq!(
            used.len(),
            used.iter().collect::<std::collections::BTreeSet<_>>().len()
        );
    }
    let world = two(
        TestDatabase::sqlite(),
        [&vendors[0].base_url(), &vendors[1].base_url()],
        |installation| installation.set("TOLLGATE_ATTEMPTS_TIMEOUT", "0s"),
    );
    assert_eq!(attempts(&world.chat(&request("custom/down", false))), 1);
}

#[test]
fn the_next_target_stands_in_for_a_provider_that_is_not_there() {
    let anthropic = Vendor::start(|seen| {
        match model_of(seen).as_str() {
        "claude-down" => Play::json(
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        ),
        _ => Play::json(
            200,
            json!({
                "id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
                "stop_sequence": null, "content": [{"type": "text", "text": "hello"}],
                "usage": {"input_tokens": 5, "output_tokens": 7},
            })
            .to_string(),
        ),
    }
    });
    for database in TestDatabase::each() {
        let providers = [
            ("custom", "http://127.0.0.1:1/v1"),
            ("anthropic", &anthropic.base_url()),
        ];
        let world = World::of(database, &providers, |installation| installation);
        let ask = |arguments: &[&str]| world.installation.ask(arguments);
        ask(&["prices", "set", "custom", "m", "input 1000, output 1000"]);
        ask(&["prices", "set", "anthropic", "claude-up", "input 1, output 10"]);
        world.limit_requests_a_day(100);
        ask(&["route", "set", "up", "--to", "custom/m,anthropic/claude-up"]);
        ask(&["route", "set", "down", "--to", "custom/m,anthropic/claude-down"]);
        until_served(&world, "up");
        // The first target is passed over for a moment after it has failed.
        let deadline = Instant::now() + PATIENCE;
        let answer = loop {
            let answer = world.chat(&request("up", false));
            if attempts(&answer) == 2 || Instant::now() > deadline {
                break answer;
            }
        };
        assert_eq!(
            (answer.status, answer.json()["object"].clone()),
            (200, json!("chat.completion"))
        );
        assert_eq!(answer.header("x-tollgate-provider"), "anthropic");
        assert_eq!(answer.header("x-tollgate-cost-usd"), "0.000075000");
        let down = world.chat(&request("down", false));
        assert_eq!((down.status, attempts(&down)), (503, 2), "{:?}", down.json());
        assert_eq!(down.json()["error"]["message"], "Overloaded");

        let call_id = answer.header("x-request-id").to_owned();
        let rows = world.attempts_until(|rows| of_call(rows, &call_id).len() == 2);
        let [one, two] = of_call(&rows, &call_id)[..] else {
            panic!("two rows")
        };
        assert_eq!(
            (one.outcome.as_str(), one.usage_source.as_str(), one.cost_nano),
            ("unreachable", "none", None)
        );
        assert_eq!(
            (
                two.model.as_str(),
                two.cost_nano,
                two.price_version.as_deref().unwrap().contains("output 10")
            ),
            ("claude-up", Some(75_000), true)
        );
        // One line for the call, of all its attempts.
        let usage = ask(&["usage", "--tenant", TENANT, "--by", "call"]);
        let mut lines = usage.as_array().unwrap().iter();
        let line = lines.find(|line| line["call"] == call_id).unwrap();
        assert_eq!(
            [
                &line["calls"],
                &line["attempts"],
                &line["failed"],
                &line["unmetered"]
            ],
            [1, 2, 1, 0],
            "{line}"
        );
        assert_eq!(line["cost_usd"], "0.000075000");
    }
}

/// Requests are counted as attempts, and what was never sent is given back.
#[test]
fn each_attempt_takes_from_its_limits_and_one_that_was_never_sent_takes_nothing() {
    let (a, b) = (Vendor::start(first), Vendor::start(second));
    let nobody = "http://127.0.0.1:1/v1".to_owned();
    let table = [(a.base_url(), "custom/busy", 2), (nobody, "custom/well", 1)];
    for (first_url, model, taken) in table {
        let world = two(
            TestDatabase::sqlite(),
            [&first_url, &b.base_url()],
            |installation| installation,
        );
        world.limit_requests_a_day(1_000);
        let deadline = Instant::now() + PATIENCE;
        let mut before: Option<u64> = None;
        loop {
            assert!(Instant::now() < deadline);
            let answer = world.chat(&request(model, false));
            assert_eq!(answer.status, 200);
            let left = answer.headers.get("x-ratelimit-remaining-requests");
            let left: Option<u64> = left.map(|left| left.to_str().unwrap().parse().unwrap());
            if let (Some(before), Some(left), 2) = (before, left, attempts(&answer)) {
                assert_eq!(before - left, taken, "{model}");
                break;
            }
            before = left;
        }
    }
}

/// One that is told to wait is not asked while another can be.
#[test]
fn a_credential_that_is_told_to_wait_is_passed_over() {
    let a = Vendor::start(|seen| match model_of(seen).as_str() {
        "limited" => error(429, "slow down").header("retry-after", "60"),
        _ => good(seen),
    });
    let b = Vendor::start(good);
    let world = two(
        TestDatabase::sqlite(),
        [&a.base_url(), &b.base_url()],
        |installation| installation,
    );
    until_served(&world, "custom/ready");
    let answer = world.chat(&request("custom/limited", false));
    assert_eq!((answer.status, attempts(&answer)), (200, 2));
    let asked = a.seen().len();
    for stream in [false, true, false] {
        let answer = world.chat(&request("custom/limited", stream));
        assert_eq!((answer.status, attempts(&answer)), (200, 1));
        assert_eq!(answer.header("x-tollgate-credential"), "second");
    }
    assert_eq!(a.seen().len(), asked);
    // Where it is the only one, it is asked all the same: what its provider says is truer than what we remember.
    let only = World::new(TestDatabase::sqlite(), &a);
    for _ in 0..2 {
        let answer = only.chat(&request("custom/limited", false));
        assert_eq!(
            (answer.status, answer.header("retry-after"), attempts(&answer)),
            (429, "60", 1)
        );
    }
}

/// The next target is asked, and no attempt made at the first.
#[test]
fn what_is_true_of_one_target_alone_leads_to_the_next() {
    let anthropic = Vendor::start(|_| Play::json(200, "{}"));
    let custom = Vendor::start(|seen| {
        if seen.path.ends_with("/embeddings") {
            let vector = json!({"object": "embedding", "index": 0, "embedding": [0.5]});
            let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
            let body = json!({"object": "list", "model": "m", "data": [vector], "usage": usage});
            Play::json(200, body.to_string())
        } else {
            Play::json(200, completion())
        }
    });
    let providers = [("custom", custom.base_url()), ("anthropic", anthropic.base_url())];
    let providers = providers.each_ref().map(|(name, url)| (*name, url.as_str()));
    let world = World::of(TestDatabase::sqlite(), &providers, |installation| installation);
    let ask = |arguments: &[&str]| world.installation.ask(arguments);
    for model in ["priced", "used-up"] {
        ask(&["prices", "set", "custom", model, "input 1, output 1"]);
    }
    let limit = |on: &str, what: &str, much: &str| {
        ask(&["limit", "set", "--on", on, "--per", "day", what, much]);
    };
    limit("model:acme/used-up", "--requests", "0");
    limit("tenant:acme", "--usd", "1000");
    ask(&[
        "route",
        "set",
        "vectors",
        "--to",
        "anthropic/claude,custom/priced",
    ]);
    ask(&["route", "set", "limited", "--to", "custom/used-up,custom/priced"]);
    ask(&[
        "route",
        "set",
        "nowhere",
        "--to",
        "custom/used-up,custom/nobody-knows",
    ]);
    ask(&[
        "route",
        "set",
        "unpriced",
        "--to",
        "custom/nobody-knows,custom/priced",
    ]);
    until_served(&world, "unpriced");
    let embed = |model: &str| {
        let body = json!({"model": model, "input": "one"}).to_string();
        world.post("/v1/embeddings", &body)
    };
    let chat = |model: &str| world.chat(&request(model, false));
    for answer in [embed("vectors"), chat("limited"), chat("unpriced")] {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!((answer.status, attempts(&answer)), (200, 1), "{text}");
        assert_eq!(answer.header("x-tollgate-model"), "priced");
    }
    assert!(anthropic.seen().is_empty());
    // Where all of them refuse, the first one's word is told.
    let refused = chat("nowhere");
    assert_eq!(refused.status, 429, "{}", refused.json());
    assert!(refused.json()["error"]["message"].to_string().contains("used-up"));
}
