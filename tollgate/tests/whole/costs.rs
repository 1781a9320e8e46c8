//! What a client may cost: time, connections and tries. The limits are set short here; what they are set to is theirs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{End, Play, Vendor};

use crate::frames::{self, frames};
use crate::raw::{connect, read_to_end};
use crate::world::{World, chunk, completion, request};

/// How much later than its time a connection may be seen closed, on a busy machine.
const LATE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads one answer that has a length.
fn read_answer(connection: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    let is_whole = |read: &[u8]| {
        let text = String::from_utf8_lossy(read).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        let length: usize = length.parse().ok()?;
        (body.len() == length).then_some(())
    };
    while is_whole(&read).is_none() && connection.read(&mut byte).unwrap() > 0 {
        read.extend(byte);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn an_idle_connection_has_longer_than_a_head() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_HEAD_TIMEOUT", "400ms")
            .set("TOLLGATE_IDLE_TIMEOUT", "2s")
    });
    let live = "GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let mut connection = connect(&world);
    let asked = Instant::now();
    connection.write_all(live.as_bytes()).unwrap();
    assert!(read_answer(&mut connection).starts_with("HTTP/1.1 200"));
    assert_eq!(
        read_to_end(&mut connection),
        "",
        "an idle client is not waiting for a word"
    );
    let stayed = asked.elapsed();
    assert!(
        stayed > Duration::from_millis(1_900) && stayed < Duration::from_secs(2) + LATE,
        "{stayed:?}"
    );

    // The second head has no more time than the first.
    let mut connection = connect(&world);
    connection.write_all(live.as_bytes()).unwrap();
    assert!(read_answer(&mut connection).starts_with("HTTP/1.1 200"));
    let asked = Instant::now();
    connection.write_all(b"GET /li").unwrap();
    let answer = read_to_end(&mut connection);
    let stayed = asked.elapsed();
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"),
        "{answer}"
    );
    assert!(stayed < Duration::from_secs(1), "{stayed:?}");
}

#[test]
fn a_body_that_trickles_is_refused_once_it_is_too_slow() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let mut connection = connect(&world);
    let begun = Instant::now();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: {}\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n",
        world.key
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut writing = connection.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while writing.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let answer = read_answer(&mut connection);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        begun.elapsed() < Duration::from_secs(5) + LATE,
        "{:?}",
        begun.elapsed()
    );
    drop(connection);
    trickle.join().unwrap();
    assert!(vendor.seen().is_empty());
}

/// An answer that is held to its end takes room of its tenant, and gives it back.
#[test]
fn answers_hold_no_more_than_there_is_room_for() {
    let vendor = Vendor::start(|seen| {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        let bytes: usize = body["model"].as_str().unwrap().parse().unwrap();
        let text = "x".repeat(bytes);
        Play::json(200, completion().replace("hello", &text))
    });
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_ANSWERS_BYTES_PER_TENANT_MAX", "200000")
    });
    let call = |bytes: usize| world.chat(&request(&format!("custom/{bytes}"), false));
    for _ in 0..3 {
        let fits = call(150_000);
        assert!(fits.status == 200 && fits.body.len() > 150_000, "{}", fits.status);
        let refused = call(300_000);
        assert_eq!(refused.status, 503);
        assert_eq!(refused.json()["error"]["code"], "overloaded");
    }
    let outcomes: Vec<String> = world.ledger(6).into_values().map(|row| row.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "cut").count(), 3);
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_booked() {
    let event = chunk(&"x".repeat(64 << 10), None);
    let vendor = Vendor::start(move |_| Play::stream(vec![event.clone(); 400]).end(End::Hang));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_WRITE_STALL_TIMEOUT", "1s")
    });
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let mut open = client::open_post(&endpoint, &world.key, &request("custom/any", true));
    assert!(!open.read().is_empty());
    let stalled = Instant::now();
    assert_eq!(
        world.ledger(1).into_values().next().unwrap().outcome,
        "client_gone"
    );
    assert!(
        stalled.elapsed() < Duration::from_secs(1) + LATE,
        "{:?}",
        stalled.elapsed()
    );
}

/// It reads what comes, and opens no window for its answer.
#[test]
fn a_client_of_http2_that_takes_nothing_is_cut_off_and_booked() {
    let vendor = Vendor::start(|_| Play::stream([chunk("a", None)]).end(End::Hang));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_WRITE_STALL_TIMEOUT", "1s")
    });
    let body = request("custom/any", true);
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut connection = connect(&world);
    let begun = Instant::now();
    let bytes = [
        frames::PREFACE,
        &frames::frame(frames::SETTINGS, 0, 0, &no_window),
        &frames::request(1, 0, &frames::chat(&world.key)),
        &frames::frame(frames::DATA, frames::END_STREAM, 1, &body),
    ]
    .concat();
    connection.write_all(&bytes).unwrap();
    let outcome = world.ledger(1).into_values().next().unwrap().outcome;
    let took = begun.elapsed();
    assert_eq!(outcome, "client_gone");
    assert!(
        took > Duration::from_secs(1) && took < Duration::from_secs(1) + LATE * 2,
        "{took:?}"
    );
    let (mut seen, mut piece) = (Vec::new(), [0; 4_096]);
    while !frames(&seen).iter().any(|frame| frame.kind == frames::RST_STREAM) {
        let read = connection.read(&mut piece).unwrap();
        assert!(read > 0, "the connection is closed");
        seen.extend_from_slice(&piece[..read]);
    }
    assert!(!frames(&seen).iter().any(|frame| frame.kind == frames::DATA));
}

/// Each write of the gateway ends in time, and all of them together never would.
#[test]
fn a_client_that_takes_a_little_now_and_then_has_as_long_as_an_answer_may_take() {
    let event = chunk(&"x".repeat(60 << 10), None);
    let vendor = Vendor::start(move |_| Play::stream(vec![event.clone(); 2_000]).end(End::Hang));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_WRITE_STALL_TIMEOUT", "2s")
            .set("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT", "3s")
    });
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let begun = Instant::now();
    let mut open = client::open_post(&endpoint, &world.key, &request("custom/any", true));
    let (ended, has_ended) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        // As much at once as makes the kernel tell the gateway of it.
        while (0..32).all(|_| !open.read().is_empty()) {
            if has_ended.recv_timeout(Duration::from_millis(300)).is_ok() {
                break;
            }
        }
    });
    let outcome = world.ledger(1).into_values().next().unwrap().outcome;
    let took = begun.elapsed();
    let _left = ended.send(());
    assert!(matches!(&*outcome, "client_gone" | "timeout"), "{outcome}");
    assert!(took < Duration::from_secs(5) + LATE, "{took:?}");
    reading.join().unwrap();
}

#[test]
fn a_tenant_has_room_for_so_many_calls_and_bytes() {
    let vendor = Vendor::start(|_| Play::stream([chunk("a", None)]).end(End::Hang));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_CALLS_PER_TENANT_MAX", "1")
            .set("TOLLGATE_BODIES_BYTES_PER_TENANT_MAX", "2000")
    });
    // Refused before it is asked for, let alone read.
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: {}\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: 3000\r\n\r\n",
        world.key
    );
    let mut connection = connect(&world);
    connection.write_all(head.as_bytes()).unwrap();
    let refused = read_to_end(&mut connection);
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("overloaded"),
        "{refused}"
    );

    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let body = request("custom/any", true);
    let open = || client::open_post(&endpoint, &world.key, &body);
    let mut held = open();
    assert!(!held.read().is_empty());
    let refused = open().finish();
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].clone()),
        (503, "overloaded".into())
    );
    assert_eq!(refused.header("retry-after"), "1");
    drop(held);
    let deadline = Instant::now() + PATIENCE;
    while open().status != 200 {
        assert!(Instant::now() < deadline, "the place never becomes free");
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_CONNECTIONS_MAX", "5")
            .set("TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX", "2")
            .set("TOLLGATE_TRUSTED_PROXIES", "127.0.0.1")
    });
    let live = b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n";
    let ask = |connection: &mut TcpStream, bytes: &[u8]| {
        let _refused = connection.write_all(bytes);
        read_answer(connection)
    };
    let mut held: Vec<TcpStream> = (0..5).map(|_| connect(&world)).collect();
    for connection in &mut held {
        assert!(ask(connection, live).starts_with("HTTP/1.1 200"));
    }
    let refused = read_to_end(&mut connect(&world));
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"),
        "{refused}"
    );
    drop(held);
    let deadline = Instant::now() + PATIENCE;
    while !ask(&mut connect(&world), live).starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "the places never become free");
        std::thread::yield_now();
    }
}

#[test]
fn a_client_behind_a_proxy_has_its_own_number() {
    let vendor = Vendor::start(|_| Play::stream([chunk("a", None)]).end(End::Hang));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX", "2")
    });
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let open = |client: &str| {
        let headers = [
            ("api-key", world.key.as_str()),
            ("content-type", "application/json"),
            ("x-forwarded-for", client),
        ];
        client::open("POST", &endpoint, &headers, &request("custom/any", true))
    };
    let held = [open("192.0.2.1"), open("1.1.1.1, 192.0.2.1")];
    assert_eq!(held.each_ref().map(|open| open.status), [200, 200]);
    let refused = open("192.0.2.1").finish();
    assert_eq!(refused.status, 503);
    assert!(!refused.header("x-request-id").is_empty());
    assert_eq!(open("192.0.2.2").status, 200);
}

#[test]
fn guessing_keys_is_slowed_down_for_who_guesses() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let tries = |trusted: &str, forwarded: &dyn Fn(usize) -> String| {
        let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
            installation.set("TOLLGATE_TRUSTED_PROXIES", trusted)
        });
        let models = world.serving.endpoint("/v1/models");
        let ask = |key: &str, number: usize| {
            let forwarded = forwarded(number);
            client::open(
                "GET",
                &models,
                &[("api-key", key), ("x-forwarded-for", &forwarded)],
                b"",
            )
            .finish()
        };
        let answers: Vec<_> = (0..120).map(|number| ask("sk-tg-wrong", number)).collect();
        assert_eq!(ask(&world.key, 0).status, 200, "a good key is served");
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        let slowed = answers.iter().find(|answer| answer.status == 429);
        if let Some(slowed) = slowed {
            let wait: u64 = slowed.header("retry-after").parse().unwrap();
            assert!((1..=11).contains(&wait) && !slowed.header("x-request-id").is_empty());
            assert_eq!(slowed.json()["error"]["code"], "too_many_failures");
        }
        (count(401), count(429))
    };
    let many = |number: usize| format!("192.0.2.{number}");
    assert_eq!(
        tries("none", &many),
        (100, 20),
        "a stranger's word about itself is not heard"
    );
    assert_eq!(
        tries("127.0.0.1", &many),
        (120, 0),
        "each client has a number of its own"
    );
    assert_eq!(tries("127.0.0.1", &|_| "192.0.2.7".to_owned()), (100, 20));
}

/// One connection, one answer after the other, also when the next request comes while a stream runs.
#[test]
fn a_request_behind_a_stream_waits_for_its_end() {
    let vendor = Vendor::start(|_| Play::stream([chunk("a", Some("stop")), crate::world::DONE.to_vec()]));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let body = request("custom/any", true);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        world.key,
        body.len()
    );
    let mut bytes = [head.as_bytes(), &body].concat();
    bytes.extend(b"GET /livez HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
    let mut connection = connect(&world);
    connection.write_all(&bytes).unwrap();
    let answers = read_to_end(&mut connection);
    let done = answers.find("[DONE]").unwrap();
    let second = answers.rfind("HTTP/1.1 200").unwrap();
    assert!(
        done < second && answers.ends_with(r#"{"status":"live"}"#),
        "{answers}"
    );
}
