//! Providers that fail, and clients that leave.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{End, Play, Seen, Vendor};

use crate::raw::{connect, read_to_end};
use crate::world::{DONE, VENDOR_SECRET, World, chunk, completion, request, usage_chunk};

/// A vendor that does what the model's name says.
fn vendor() -> Vendor {
    Vendor::start(|seen| play(&model_of(seen)))
}

fn play(model: &str) -> Play {
    let begun = || [chunk("one ", None), chunk("two", None)];
    match model {
        "whole" => Play::json(200, completion()),
        "whole-cut" => Play::json(200, completion()).end(End::Cut),
        "not-json" => Play::json(200, "<html>busy</html>").header("content-type", "text/html"),
        "error-page" => Play::json(503, "<html>busy</html>").header("content-type", "text/html"),
        "redirect" => Play::json(302, "{}").header("location", "http://127.0.0.1:1/"),
        "compressed" => Play::json(200, "{}").header("content-encoding", "gzip"),
        "unauthorized" => Play::json(
            401,
            format!(r#"{{"error":{{"message":"bad key {VENDOR_SECRET}"}}}}"#),
        ),
        "rate-limited" => {
            Play::json(429, r#"{"error":{"message":"slow down","type":"tokens"}}"#).header("retry-after", "7")
        }
        "silent" => Play::json(200, "").end(End::Silence),
        "stream" => Play::stream([chunk("hi", Some("stop")), usage_chunk(), DONE.to_vec()]),
        "stream-cut" => Play::stream(begun()).end(End::Cut),
        "stream-ends-early" => Play::stream(begun()),
        "stream-cut-in-event" => {
            Play::stream([chunk("one ", None), b"data: {\"choices\":[{\"ind".to_vec()]).end(End::Cut)
        }
        "stream-nothing" => Play::stream([]).end(End::Cut),
        "stream-hangs" => Play::stream(begun()).end(End::Hang),
        "stream-done-hangs" => {
            Play::stream([chunk("hi", Some("stop")), usage_chunk(), DONE.to_vec()]).end(End::Hang)
        }
        "stream-error" => Play::stream([
            chunk("one ", None),
            b"data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_vec(),
        ]),
        other => Play::json(404, format!(r#"{{"error":{{"message":"no {other}"}}}}"#)),
    }
}

fn model_of(seen: &Seen) -> String {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
    body["model"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_provider_that_fails_never_looks_like_success() {
    let whole = [
        ("whole", 200, None, "ok"),
        ("whole-cut", 502, Some("provider_answer_cut"), "cut"),
        ("not-json", 502, Some("provider_bad_answer"), "provider_error"),
        ("error-page", 502, Some("provider_bad_answer"), "provider_error"),
        ("redirect", 502, Some("provider_bad_answer"), "provider_error"),
        ("compressed", 502, Some("provider_bad_answer"), "provider_error"),
        (
            "unauthorized",
            502,
            Some("provider_credential_refused"),
            "provider_error",
        ),
        ("rate-limited", 429, None, "provider_error"),
        ("silent", 504, Some("provider_timeout"), "timeout"),
    ];
    let streamed = [
        ("stream", 200, None, "ok"),
        ("stream-cut", 200, Some("provider_answer_cut"), "cut"),
        ("stream-ends-early", 200, Some("provider_answer_cut"), "cut"),
        ("stream-cut-in-event", 200, Some("provider_answer_cut"), "cut"),
        ("stream-nothing", 502, Some("provider_answer_cut"), "cut"),
        ("stream-hangs", 200, Some("provider_timeout"), "timeout"),
        ("stream-error", 200, None, "provider_error"),
        ("silent", 504, Some("provider_timeout"), "timeout"),
        ("rate-limited", 429, None, "provider_error"),
    ];
    let vendor = vendor();
    for database in TestDatabase::each() {
        let world = World::with(database, &vendor.base_url(), |installation| {
            installation
                .set("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT", "1s")
                .set("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT", "1s")
                .set("TOLLGATE_UPSTREAM_GAP_TIMEOUT", "1s")
        });
        let cases = whole
            .iter()
            .map(|case| (case, false))
            .chain(streamed.iter().map(|case| (case, true)));
        let mut booked = Vec::new();
        for ((model, status, code, outcome), stream) in cases {
            let answer = world.chat(&request(&format!("custom/{model}"), stream));
            let text = String::from_utf8_lossy(&answer.body);
            assert_eq!(answer.status, *status, "{model}: {text}");
            if let Some(code) = code {
                assert!(text.contains(&format!(r#""code":"{code}""#)), "{model}: {text}");
                assert!(!text.contains("[DONE]"), "{model}: {text}");
            }
            assert!(!text.contains(VENDOR_SECRET), "{model}: {text}");
            booked.push((answer.header("x-request-id").to_owned(), *outcome, *model));
        }
        assert_eq!(
            world
                .chat(&request("custom/rate-limited", false))
                .header("retry-after"),
            "7"
        );
        let ledger = world.ledger(booked.len() + 1);
        for (call_id, outcome, model) in booked {
            assert_eq!(ledger[&call_id].outcome, outcome, "{model}");
        }
    }
}

#[test]
fn a_provider_that_is_not_there_is_said_to_be() {
    let world = World::with(TestDatabase::sqlite(), "http://127.0.0.1:1/v1", |installation| {
        installation
    });
    let answer = world.chat(&request("custom/any", false));
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].clone()),
        (502, "provider_unreachable".into())
    );
    assert_eq!(answer.json()["error"]["party"], "provider");
    assert_eq!(
        world.ledger(1).into_values().next().unwrap().outcome,
        "unreachable"
    );
}

#[test]
fn a_client_that_leaves_stops_the_provider_and_is_booked() {
    for database in TestDatabase::each() {
        let vendor = vendor();
        let world = World::new(database, &vendor);
        let endpoint = world.serving.endpoint("/v1/chat/completions");
        let mut open = client::open_post(&endpoint, &world.key, &request("custom/stream-hangs", true));
        assert!(!open.read().is_empty());
        drop(open);
        assert!(vendor.wait_until_gone(1), "the provider's connection is closed");
        let ledger = world.ledger(1);
        assert_eq!(ledger.values().next().unwrap().outcome, "client_gone");

        // One that leaves after the last event has its whole answer, used as it was told.
        let mut open = client::open_post(&endpoint, &world.key, &request("custom/stream-done-hangs", true));
        let call_id = open.headers["x-request-id"].to_str().unwrap().to_owned();
        let mut read = Vec::new();
        while !read.ends_with(DONE) {
            read.extend(open.read());
        }
        drop(open);
        assert!(vendor.wait_until_gone(2));
        let row = world.ledger(2)[&call_id].clone();
        assert_eq!(
            (row.outcome.as_str(), row.usage.map(|usage| usage.input_tokens)),
            ("ok", Some(3))
        );
    }
}

/// Asks for what never comes.
fn asking_in_vain(world: &World) -> TcpStream {
    let body = request("custom/silent", false);
    let mut client = connect(world);
    write!(
        client,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        world.key,
        body.len()
    )
    .unwrap();
    client.write_all(&body).unwrap();
    client
}

#[test]
fn a_client_that_leaves_before_the_answer_stops_the_provider_too() {
    let vendor = vendor();
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let client = asking_in_vain(&world);
    assert!(vendor.wait_until_asked(1));
    drop(client);
    assert!(vendor.wait_until_gone(1));
    assert_eq!(
        world.ledger(1).into_values().next().unwrap().outcome,
        "client_gone"
    );
}

/// A client that closes only its own side looks like one that has left, until something is written to it. Those who leave
/// are many, and what is made for them is paid for; nobody who speaks HTTP closes one side.
#[test]
fn a_client_that_closes_its_side_has_left() {
    let vendor = vendor();
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let mut client = asking_in_vain(&world);
    assert!(vendor.wait_until_asked(1));
    client.shutdown(Shutdown::Write).unwrap();
    assert!(vendor.wait_until_gone(1));
    assert_eq!(read_to_end(&mut client), "");
    assert_eq!(
        world.ledger(1).into_values().next().unwrap().outcome,
        "client_gone"
    );
}

#[test]
fn a_stop_lets_open_streams_end_and_writes_their_usage() {
    for database in TestDatabase::each() {
        let vendor = vendor();
        let world = World::with(database, &vendor.base_url(), |installation| {
            installation.set("TOLLGATE_UPSTREAM_GAP_TIMEOUT", "2s")
        });
        let endpoint = world.serving.endpoint("/v1/chat/completions");
        let mut open = client::open_post(&endpoint, &world.key, &request("custom/stream-hangs", true));
        assert!(!open.read().is_empty());
        let World {
            serving,
            installation,
            ..
        } = world;
        // The stream ends by its gap time-out while the gateway drains.
        let reading = std::thread::spawn(move || open.finish());
        assert!(serving.stop().success());
        let answer = reading.join().unwrap();
        assert!(String::from_utf8_lossy(&answer.body).contains("provider_timeout"));
        let usage = installation.ask(&["usage"]);
        assert_eq!(usage[0]["failed"], 1, "{usage}");
    }
}

#[test]
fn a_stop_that_runs_out_of_time_cuts_what_is_left_and_books_it() {
    let vendor = vendor();
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_DRAIN_TIMEOUT", "100ms")
    });
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let mut open = client::open_post(&endpoint, &world.key, &request("custom/stream-hangs", true));
    assert!(!open.read().is_empty());
    let World {
        serving,
        installation,
        ..
    } = world;
    assert!(serving.stop().success());
    assert!(vendor.wait_until_gone(1));
    let usage = installation.ask(&["usage"]);
    assert_eq!(
        (&usage[0]["attempts"], &usage[0]["unmetered"]),
        (&1.into(), &0.into()),
        "{usage}"
    );
}

/// A provider that has more to say than buffers hold is made to wait by a client that does not read, and then says it.
#[test]
fn a_client_that_does_not_read_makes_the_provider_wait() {
    const CHUNKS: usize = 600;
    let event = chunk(&"x".repeat(64 << 10), None);
    let answer = [event.repeat(CHUNKS), DONE.to_vec()].concat();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (stands_still, stood_still) = mpsc::channel();
    let said = answer.clone();
    let provider = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert_ne!(connection.read(&mut [0; 65536]).unwrap(), 0);
        connection
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        connection.write_all(head.as_bytes()).unwrap();
        let mut sent = 0;
        while sent < said.len() {
            match connection.write(&said[sent..]) {
                Ok(written) => sent += written,
                // Nothing could be written for a second.
                Err(_) => stands_still.send(sent).unwrap(),
            }
        }
    });
    let world = World::with(TestDatabase::sqlite(), &base_url, |installation| installation);
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let mut open = client::open_post(&endpoint, &world.key, &request("custom/any", true));
    let first = open.read();
    let taken = stood_still
        .recv_timeout(Duration::from_secs(30))
        .expect("the provider is made to wait");
    assert!(
        taken < 24 << 20,
        "{taken} bytes were taken for a client that reads nothing"
    );
    let rest = open.finish().body;
    provider.join().unwrap();
    assert!(
        [first, rest].concat() == answer,
        "the client gets all of it in the end"
    );
}

/// A client that hears the beginning of a stream, and leaves; the call's id.
fn leaving(world: &World, model: &str) -> String {
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let mut open = client::open_post(&endpoint, &world.key, &request(&format!("custom/{model}"), true));
    let call_id = open.headers["x-request-id"].to_str().unwrap().to_owned();
    assert!(!open.read().is_empty());
    call_id
}

#[test]
fn a_stream_whose_client_has_left_is_read_on_where_the_provider_charges_for_all_of_it() {
    let vendor = Vendor::start(|seen| match model_of(seen).as_str() {
        // It begins to answer, and makes the rest in its own time.
        "slow" => Play::stream([
            chunk("one ", None),
            chunk("two ", None),
            chunk("three", Some("stop")),
            usage_chunk(),
            DONE.to_vec(),
        ])
        .pause(Duration::from_millis(300)),
        other => play(other),
    });
    let world = |on_cancel: &'static str, lasts: &'static str| {
        World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
            installation
                .set("TOLLGATE_ON_CANCEL", on_cancel)
                .set("TOLLGATE_ON_CANCEL_TIMEOUT", lasts)
        })
    };
    let told = |world: &World, call_id: &str| {
        let row = world.ledger_until(|rows| rows.contains_key(call_id))[call_id].clone();
        let usage = row.usage.map(|usage| (usage.input_tokens, usage.output_tokens));
        (row.outcome, row.usage_source, usage)
    };
    let of = |outcome: &str, source: &str, usage| (outcome.to_owned(), source.to_owned(), usage);
    // It is read to its end, and what the provider tells there is what is booked.
    let drained = world("custom=drain", "20s");
    let call_id = leaving(&drained, "slow");
    assert_eq!(
        told(&drained, &call_id),
        of("client_gone", "provider", Some((3, 2)))
    );
    // Whoever is stopped waits for that.
    leaving(&drained, "slow");
    let World {
        serving,
        installation,
        ..
    } = drained;
    assert!(serving.stop().success());
    let usage = installation.ask(&["usage"]);
    assert_eq!(
        (&usage[0]["attempts"], &usage[0]["unmetered"]),
        (&2.into(), &0.into()),
        "{usage}"
    );
    // Not for longer than is said.
    let short = world("custom=drain", "500ms");
    let before = vendor.seen().len();
    let call_id = leaving(&short, "stream-hangs");
    assert!(vendor.seen().len() > before && vendor.wait_until_gone(1));
    let (outcome, source, _) = told(&short, &call_id);
    assert_eq!((outcome.as_str(), source.as_str()), ("client_gone", "estimated"));
    // Nor is it read on where nobody has said so, or where nothing is charged.
    let aborted = world("", "20s");
    let call_id = leaving(&aborted, "stream-hangs");
    assert!(vendor.wait_until_gone(2));
    assert_eq!(told(&aborted, &call_id).0, "client_gone");
    let free = world("custom=free", "20s");
    let call_id = leaving(&free, "stream-hangs");
    assert!(vendor.wait_until_gone(3));
    assert_eq!(
        told(&free, &call_id),
        of("client_gone", "estimated", Some((0, 0)))
    );
}

/// Those beyond a hundred are closed at once.
#[test]
fn no_more_than_a_hundred_such_streams_are_read_on() {
    const LEFT: usize = 120;
    const READ_ON: usize = 100;
    let vendor = vendor();
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_ON_CANCEL", "custom=drain")
            .set("TOLLGATE_ON_CANCEL_TIMEOUT", "5s")
    });
    for _ in 0..LEFT {
        leaving(&world, "stream-hangs");
    }
    assert!(vendor.wait_until_gone(LEFT - READ_ON));
    let early = world.ledger(LEFT - READ_ON).len();
    assert!(early <= LEFT - READ_ON, "{early}");
    assert!(vendor.wait_until_gone(LEFT));
    assert_eq!(world.ledger(LEFT).len(), LEFT);
}
