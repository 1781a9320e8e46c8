//! Whatever dies, the ledger has each attempt once, and the usage of each answer that a client has seen.
//!
//! Each test ends by holding the vendor's own list of what it was asked against the ledger, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use store::AttemptRow;
use testkit::chaos::{Chaos, Weather};
use testkit::database::{self, TestDatabase};
use testkit::load::Caller;
use testkit::postgres::PostgresServer;
use testkit::process::{Installation, Serving};
use testkit::vendor::{Play, Seen, Vendor};

use crate::world::{DONE, PROGRAM, TENANT, World, chunk, request};

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
    let verified = world.installation.run(&["ledger", "verify"]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
    if world.database.is_sqlite() {
        assert_eq!(
            database::ask(world.database.url(), "PRAGMA integrity_check"),
            "ok"
        );
    }
    rows
}

/// Calls until it is told to stop; then what was answered.
struct Calling {
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Calling {
    fn start(serving: &Serving, key: &str, clients: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let client = |_| {
            let (stop, mut caller) = (stop.clone(), Caller::new(serving.url(), key));
            thread::spawn(move || {
                let mut answered = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let called = caller.call(&request("custom/m", false)).unwrap();
                    if called.status == 200 {
                        answered.push(called.header("x-request-id").to_ascii_uppercase());
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                answered
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, clients }
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    }
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
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

/// A way in which a disk gives back less than it was given, from this record on or of it alone.
type Damage = fn(&mut Vec<u8>, Range<usize>);

/// Whatever of a spool can be read is booked, and nothing else, wherever it is damaged; the next one starts as ever, and what is
/// not there any more gives no units back.
#[test]
fn a_spool_that_is_damaged_anywhere_is_booked_as_far_as_it_can_be_read() {
    const CALLS: usize = 12;
    const CAP: usize = 1_500;
    let ways: [(&str, usize, Damage); 7] = [
        ("cut between records", 9, |bytes, record| {
            bytes.truncate(record.start)
        }),
        ("cut inside a record", 14, |bytes, record| {
            bytes.truncate(record.start + record.len() / 2);
        }),
        ("cut before all", 0, |bytes, record| bytes.truncate(record.start)),
        ("zeros from inside a record on", 11, |bytes, record| {
            bytes[record.start + record.len() / 2..].fill(0);
        }),
        ("zeros in place of a record", 8, |bytes, record| {
            bytes[record].fill(0)
        }),
        ("a length that is none", 10, |bytes, record| {
            bytes[record.start..record.start + 4].fill(0xff);
        }),
        ("a flipped byte", 13, |bytes, record| {
            bytes[record.start + record.len() / 2] ^= 0x10;
        }),
    ];
    let (vendor, _told) = vendor();
    let mut world = World::new(TestDatabase::sqlite(), &vendor);
    let url = world.database.url().to_owned();
    let limit = format!("limit set --on tenant:{TENANT} --per day --requests {CAP}");
    world.installation.ask(&limit.split(' ').collect::<Vec<_>>());
    until("limited", || {
        !world
            .chat(&request("custom/m", false))
            .header("x-ratelimit-limit-requests")
            .is_empty()
    });
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let mut lost = 0;
    for (way, at, damage) in ways {
        world.serving.signal("-KILL");
        world.serving = world.installation.serve();
        let before: Vec<PathBuf> = spools(&world.installation);
        let own = before.last().unwrap().clone();
        let asked = vendor.seen().len();
        database::execute(&url, "ALTER TABLE attempts RENAME TO attempts_away");
        until("called", || {
            assert!(
                [200, 429].contains(&world.chat(&request("custom/m", false)).status),
                "{way}"
            );
            vendor.seen().len() >= asked + CALLS
        });
        world.serving.signal("-KILL");
        let segment = own.join("0000000001.segment");
        let written = fs::read(&segment).unwrap();
        let records = records(&written);
        let mut bytes = written.clone();
        damage(&mut bytes, records[at].clone());
        fs::write(&segment, &bytes).unwrap();
        let whole: Vec<&[u8]> = records
            .iter()
            .filter_map(|record| {
                let left = bytes.get(record.clone())?;
                (*left == written[record.clone()]).then_some(left)
            })
            .collect();
        let known = |attempt: &String| {
            let tells = |record: &&[u8]| {
                record
                    .windows(attempt.len())
                    .any(|found| found == attempt.as_bytes())
            };
            whole.iter().any(tells)
        };
        let attempts: Vec<String> = vendor.seen()[asked..].iter().map(attempt_id).collect();
        let readable = attempts.iter().filter(|attempt| known(attempt)).cloned();
        expected.extend(readable);
        lost += attempts.iter().filter(|attempt| !known(attempt)).count();
        database::execute(&url, "ALTER TABLE attempts_away RENAME TO attempts");
        let begun = Instant::now();
        world.serving = world.installation.serve();
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{way}: {:?}",
            begun.elapsed()
        );
        until("shipped", || is_shipped(&own));
    }
    let rows = world.ledger_until(|rows| rows.len() > expected.len());
    let booked: BTreeSet<String> = rows.values().map(|row| row.attempt_id.clone()).collect();
    let missing: Vec<&String> = expected.difference(&booked).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let asked: BTreeSet<String> = vendor.seen().iter().map(attempt_id).collect();
    assert!(booked.is_subset(&asked), "nobody was asked for these");
    assert_eq!(
        asked.len() - booked.len(),
        lost,
        "no more than what is not there any more"
    );
    // Whatever was lost, nobody uses more than the limit.
    until("used up", || {
        let refused = |_| world.chat(&request("custom/m", false)).status == 429;
        let is_refused = (0..200).any(refused);
        is_refused && (0..3).all(refused)
    });
    let seen = vendor.seen().len();
    assert!(seen <= CAP, "{seen} of {CAP}");
    println!("{lost} of {seen} attempts were only in what was lost");
}

/// Where the records of a segment are: each begins with its length.
fn records(segment: &[u8]) -> Vec<Range<usize>> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(length) = segment.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        if length == 0 {
            break;
        }
        records.push(at..at + length);
        at += length;
    }
    records
}

#[test]
fn batches_whose_fate_is_not_known_are_booked_once() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let chaos = Chaos::start(&server.url());
    let (vendor, told) = vendor();
    let installation = Installation::new(PROGRAM, chaos.url());
    installation.ask(&["migrate"]);
    // Of the statements that book, every third fails as if it had met another replica's: a sequence goes on counting
    // whatever becomes of the transaction.
    for statement in [
        "CREATE SEQUENCE met",
        "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n BIGINT := nextval('met'); BEGIN \
         IF n % 6 = 1 THEN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END IF; \
         IF n % 6 = 4 THEN RAISE EXCEPTION 'met' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$",
        "CREATE TRIGGER meeting BEFORE INSERT ON attempts FOR EACH STATEMENT EXECUTE FUNCTION meet()",
    ] {
        database::execute(&server.url(), statement);
    }
    let world = World::on(
        installation,
        TestDatabase::elsewhere(server.url()),
        &[("custom", &vendor.base_url())],
    );
    chaos.set(Weather::Forgetful(3));
    let calling = Calling::start(&world.serving, &world.key, 4);
    thread::sleep(Duration::from_secs(3));
    let answered = calling.stop();
    // What was taken in by the gateway, and not by the database, is found there in the end.
    chaos.set(Weather::Fair);
    let rows = agrees(&world, &told, &answered);
    assert_eq!(rows.len(), answered.len());
    assert!(chaos.swallowed() >= 3, "{} answers were lost", chaos.swallowed());
    println!(
        "{} attempts, {} answers to COMMIT lost",
        rows.len(),
        chaos.swallowed()
    );
}

#[test]
fn a_database_that_is_away_takes_disk_and_not_memory() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let (vendor, told) = vendor();
    let installation = Installation::new(PROGRAM, &server.url());
    installation.ask(&["migrate"]);
    let mut world = World::on(
        installation,
        TestDatabase::elsewhere(server.url()),
        &[("custom", &vendor.base_url())],
    );
    assert_eq!(world.chat(&request("custom/m", false)).status, 200);
    server.stop();
    let calling = Calling::start(&world.serving, &world.key, 8);
    thread::sleep(Duration::from_secs(3));
    let mut answered = calling.stop();
    // It dies before anything of that is shipped, and the database is still away when the next one is to start.
    world.serving.signal("-KILL");
    server.go();
    let begun = Instant::now();
    world.serving = world.installation.serve();
    answered.push(
        told.lock()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .trim_end_matches("-1")
            .to_owned(),
    );
    let rows = agrees(&world, &told, &answered);
    println!(
        "{} attempts of an outage, booked {:?} after it",
        rows.len(),
        begun.elapsed()
    );
    assert!(rows.len() > 500);
}

#[test]
fn the_ledger_tells_how_it_is() {
    let (vendor, told) = vendor();
    let mut world = World::new(TestDatabase::sqlite(), &vendor);
    let url = world.database.url().to_owned();
    database::execute(&url, "ALTER TABLE attempts RENAME TO attempts_away");
    for _ in 0..3 {
        assert_eq!(world.chat(&request("custom/m", false)).status, 200);
    }
    let status = world.installation.ask(&["ledger", "status"]);
    assert_eq!(
        (status["waiting"].clone(), status["spools_in_use"].clone()),
        (3.into(), 1.into()),
        "{status}"
    );
    assert!(status["oldest_waiting_at"].is_string() && status["spool_bytes"].as_u64() > Some(0));
    database::execute(&url, "ALTER TABLE attempts_away RENAME TO attempts");
    agrees(&world, &told, &[]);
    until("shipped", || {
        world.installation.ask(&["ledger", "status"])["waiting"] == 0
    });
    let usage = world
        .installation
        .run(&["usage", "--by", "call", "--output", "csv"]);
    let lines = String::from_utf8(usage.stdout).unwrap();
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(lines.starts_with("call,calls,attempts,"), "{lines}");
    database::execute(&url, "UPDATE usage_hours SET output_tokens = output_tokens + 1");
    let wrong = world.installation.run(&["ledger", "verify"]);
    assert_eq!(wrong.status.code(), Some(11), "a difference is an alarm");
    world.serving.signal("-TERM");
    world.serving = world.installation.serve();
    assert_eq!(
        world.installation.run(&["ledger", "verify"]).status.code(),
        Some(11),
        "and is not mended silently"
    );
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
fn is_shipped(spool: &Path) -> bool {
    fs::read(spool.join("shipped")).is_ok_and(|cursor| cursor.get(48) == Some(&1))
}
