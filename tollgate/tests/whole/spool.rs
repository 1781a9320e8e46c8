//! Whatever dies, the ledger has each attempt once, and the usage of each answer that a client has seen.
//!
//! Each test ends by holding the vendor's own list of what it was asked against the ledger, both ways.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use store::AttemptRow;
use testkit::database::TestDatabase;
use testkit::load::Caller;
use testkit::process::{Installation, Serving};
use testkit::vendor::{Play, Seen, Vendor};

use crate::world::{DONE, World, chunk, request};

/// The tokens that the vendor has told of each attempt.
type Told = Arc<Mutex<BTreeMap<String, i64>>>;

/// A vendor that tells another usage each time, and streams slowly.
fn vendor() -> (Vendor, Told) {
    let told = Told::default();
    let telling = told.clone();
    let vendor = Vendor::start(move |seen| {
        let mut told = telling.lock().unwrap();
        let tokens = i64::try_from(told.len()).unwrap() + 1;
        told.insert(attempt_id(seen), tokens);
        let usage = json!({"prompt_tokens": tokens, "completion_tokens": 2, "total_tokens": tokens + 2});
        let is_stream = String::from_utf8_lossy(&seen.body).contains("\"stream\":true");
        if !is_stream {
            let message = json!({"role": "assistant", "content": "hello"});
            let choices = json!([{"index": 0, "finish_reason": "stop", "message": message}]);
            let body = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage});
            return Play::json(200, body.to_string());
        }
        let mut pieces: Vec<Vec<u8>> = (0..10).map(|_| chunk("word ", None)).collect();
        pieces.push(chunk("", Some("stop")));
        let last = json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage});
        pieces.push([format!("data: {last}\n\n").as_bytes(), DONE].concat());
        Play::stream(pieces).pause(Duration::from_millis(20))
    });
    (vendor, told)
}

fn attempt_id(seen: &Seen) -> String {
    let header = seen.headers.iter().find(|(name, _)| name == "x-request-id");
    header.map(|(_, id)| id.clone()).unwrap_or_default()
}

/// Calls until the gateway is gone, and says which calls were answered to their end.
fn call_until_gone(serving: &Serving, key: &str, streams: bool) -> thread::JoinHandle<Vec<String>> {
    let mut caller = Caller::new(serving.url(), key);
    thread::spawn(move || {
        let body = request("custom/m", streams);
        let mut answered = Vec::new();
        while let Ok(called) = caller.call(&body) {
            if called.status == 200 && (!streams || called.body.ends_with(DONE)) {
                answered.push(called.header("x-request-id").to_ascii_uppercase());
            }
        }
        answered
    })
}

/// The ledger has what the vendor was asked, and the other way round; and the tokens that it told.
fn agrees(world: &World, told: &Told, answered: &[String]) -> BTreeMap<String, AttemptRow> {
    let told = told.lock().unwrap().clone();
    let rows = world.ledger_until(|rows| {
        let has = |attempt: &String| rows.values().any(|row| row.attempt_id == *attempt);
        told.keys().all(has)
    });
    for row in rows.values() {
        // What was written down and then not sent, because the gateway died in between, says so.
        let is_crash = row.usage_source == "unknown_crash";
        assert!(
            told.contains_key(&row.attempt_id) || is_crash,
            "nobody was asked for {row:?}"
        );
        if row.usage_source == "provider" {
            let tokens = row.usage.map(|usage| usage.input_tokens);
            assert_eq!(tokens, told.get(&row.attempt_id).copied(), "{row:?}");
        }
    }
    for call_id in answered {
        let source = rows.get(call_id).map(|row| row.usage_source.as_str());
        assert_eq!(
            source,
            Some("provider"),
            "the client of {call_id} has seen all of it"
        );
    }
    rows
}

#[test]
fn killing_the_gateway_loses_nothing() {
    for (database, durability) in TestDatabase::each().into_iter().zip(["os", "strict"]) {
        let (vendor, told) = vendor();
        let set = |installation: Installation| installation.set("TOLLGATE_LEDGER_DURABILITY", durability);
        let mut world = World::with(database, &vendor.base_url(), set);
        let mut answered = Vec::new();
        for round in 0..5_u64 {
            let clients: Vec<_> = (0..12)
                .map(|number| call_until_gone(&world.serving, &world.key, number % 3 != 0))
                .collect();
            thread::sleep(Duration::from_millis(250 + 90 * round));
            world.serving.signal("-KILL");
            answered.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
            let begun = Instant::now();
            world.serving = world.installation.serve();
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "ready after {:?}",
                begun.elapsed()
            );
        }
        let rows = agrees(&world, &told, &answered);
        let crashed = rows.values().filter(|row| row.outcome == "crashed").count();
        assert!(crashed > 0 && crashed <= 5 * 12, "{crashed} were under way");
        assert!(answered.len() > 20);
        println!(
            "{durability}: {} attempts, {} answered, {crashed} under way when killed",
            rows.len(),
            answered.len()
        );
    }
}

#[test]
fn a_spool_of_a_hundred_thousand_does_not_hold_up_the_start() {
    let (vendor, told) = vendor();
    let mut world = World::new(TestDatabase::sqlite(), &vendor);
    assert_eq!(world.chat(&request("custom/m", false)).status, 200);
    agrees(&world, &told, &[]);
    world.serving.signal("-KILL");
    // As if it had never been shipped, a hundred thousand times.
    let spool = spools(&world.installation).pop().unwrap();
    let segment = spool.join("0000000001.segment");
    let mut records = fs::read(&segment).unwrap();
    records.truncate(records.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    let copies = (16 << 20) / records.len();
    let mut count = 0;
    for number in 1.. {
        fs::write(
            spool.join(format!("{number:010}.segment")),
            records.repeat(copies),
        )
        .unwrap();
        count += 2 * copies;
        if count >= 100_000 {
            break;
        }
    }
    fs::remove_file(spool.join("shipped")).unwrap();
    let begun = Instant::now();
    world.serving = world.installation.serve();
    let ready = begun.elapsed();
    assert_eq!(world.chat(&request("custom/m", false)).status, 200);
    println!("ready after {ready:?} with {count} records");
    assert!(ready < Duration::from_secs(2), "ready after {ready:?}");
    let begun = Instant::now();
    while !is_shipped(&spool) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            world.serving.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
    println!("shipped after {:?}", begun.elapsed());
    assert_eq!(agrees(&world, &told, &[]).len(), 2, "each once");
}

fn spools(installation: &Installation) -> Vec<PathBuf> {
    let root = installation.folder().join("data/spool");
    let mut spools: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    spools.sort();
    spools
}

/// Its cursor says that nothing is left.
fn is_shipped(spool: &std::path::Path) -> bool {
    fs::read(spool.join("shipped")).is_ok_and(|cursor| cursor.get(48) == Some(&1))
}
