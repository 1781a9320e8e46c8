//! The provider's own books against ours, after everything at once: clients that leave, answers that are cut, failures that
//! are tried again, and replicas that are killed.
//!
//! What happens to whom is drawn from a seed, which is printed. `TOLLGATE_TEST_SEED` plays it again, and
//! `TOLLGATE_TEST_CALLS` makes more or fewer calls.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::load::Caller;
use testkit::vendor::{End, Play};

use super::crowd::Address;
use super::fleet::{Fleet, a_day, until};
use super::provider::{Provider, Script, is_stream, stream, whole};
use crate::world::{DONE, request};

const CALLS: usize = 10_000;
const CLIENTS: usize = 24;
const KILLS: usize = 8;

#[test]
fn f01_f02_ten_thousand_calls_through_everything_are_all_in_the_ledger() {
    let calls = variable("TOLLGATE_TEST_CALLS").map_or(CALLS, |calls| usize::try_from(calls).unwrap());
    let seed = seed();
    println!("seed {seed}, {calls} calls");
    let Some(mut fleet) = Fleet::of_three(Provider::with(move |seen, number| {
        let tokens = (number % 97 + 1, number % 13 + 1);
        let streams = is_stream(seen);
        let all = || if streams { stream(tokens) } else { whole(tokens) };
        match draw(seed, number as u64) % 100 {
            0..4 => Script::untold(Play::json(500, "{\"error\":{\"message\":\"no\"}}")),
            4..8 => Script::untold(
                Play::json(429, "{\"error\":{\"message\":\"later\"}}").header("retry-after", "0"),
            ),
            8..11 => Script::untold(Play::json(503, "{}")),
            // What is cut has told its usage, or has not; whether it arrived is seen in the ledger.
            11..15 => Script::whole(all().end(End::Cut), tokens),
            15..25 if streams => Script::whole(all().pause(Duration::from_millis(5)), tokens),
            _ => Script::whole(all(), tokens),
        }
    })) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(calls * 4));
    fleet.limit(
        &format!("credential:{}", fleet.credential_id.clone()),
        &a_day(calls * 4),
    );
    // Another credential, by which what fails is tried again.
    let add = [
        "credential",
        "add",
        "--tenant",
        "acme",
        "--provider",
        "custom",
        "--name",
        "second",
        "--base-url",
    ];
    let url = fleet.provider.base_url();
    fleet
        .desk
        .ask_with(&[&add[..], &[&url]].concat(), "sk-vendor-second");
    fleet.start();
    let addresses: Vec<Address> = fleet
        .replicas
        .iter()
        .map(|replica| replica.address.clone())
        .collect();
    let (next, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, key) = (addresses[client % 3].clone(), fleet.key.clone());
            let (next, served) = (next.clone(), served.clone());
            thread::spawn(move || {
                let mut kept: Option<(String, Caller)> = None;
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= calls {
                        return;
                    }
                    let chance = draw(seed ^ 0xabcd, number as u64);
                    let body = request("custom/m", chance.is_multiple_of(3));
                    let url = address.get();
                    if chance % 10 == 9 {
                        leave(&url, &key, &body, chance >> 8);
                        continue;
                    }
                    let (_, caller) = match &mut kept {
                        Some(kept) if kept.0 == url => kept,
                        _ => kept.insert((url.clone(), Caller::new(&url, &key))),
                    };
                    let Ok(called) = caller.call(&body) else {
                        thread::sleep(Duration::from_millis(20));
                        continue;
                    };
                    let is_stream = called.header("content-type").starts_with("text/event-stream");
                    if called.status == 200 && (!is_stream || called.body.ends_with(DONE)) {
                        let call_id = called.header("x-request-id").to_ascii_uppercase();
                        served.lock().unwrap().push(call_id);
                    }
                }
            })
        })
        .collect();
    for kill in 1..=KILLS {
        let due = kill * calls / (KILLS + 1);
        while next.load(Ordering::SeqCst) < due {
            thread::sleep(Duration::from_millis(10));
        }
        let victim = draw(seed, 1_000_000 + kill as u64) % 3;
        let victim = &mut fleet.replicas[usize::try_from(victim).unwrap()];
        victim.kill();
        victim.start();
    }
    for client in clients {
        client.join().unwrap();
    }
    let took = begun.elapsed();
    // What one that was killed had left is given back by the first who needs something of its successor.
    for replica in 0..3 {
        until("served", || fleet.call(replica).status == 200);
    }
    let checked = fleet.check();
    let served = served.lock().unwrap().clone();
    checked.has_served(&served);
    assert_eq!(checked.outstanding(), 0);
    let by = |source: &str| {
        checked
            .rows
            .values()
            .filter(|row| row.usage_source == source)
            .count()
    };
    let (provider, crashed) = (by("provider"), checked.crashed());
    let again = checked.rows.values().filter(|row| row.attempt_number > 1).count();
    println!(
        "{calls} calls in {took:?}: asked {}, {} rows, {again} of them tried again; {} calls answered to their end; usage \
         told by the provider for {provider}, {} estimated, {} unknown, {} none, {crashed} under way when killed",
        fleet.provider.count(),
        checked.rows.len(),
        served.len(),
        by("estimated"),
        by("unknown"),
        by("none"),
    );
    assert!(served.len() > calls / 2 && crashed > 0);
}

/// Asks, and goes away after some bytes of the answer, or before any.
fn leave(url: &str, key: &str, body: &[u8], chance: u64) {
    let address = url.trim_start_matches("http://");
    let Ok(mut connection) = TcpStream::connect(address) else {
        return;
    };
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let sent = connection.write_all(&[head.as_bytes(), body].concat());
    if sent.is_ok() && chance.is_multiple_of(2) {
        let mut some = vec![0; usize::try_from(chance % 700).unwrap() + 1];
        // Nobody looks at it, be it there or not.
        let _read = connection.read(&mut some);
    }
}

/// Another one each time, unless the environment tells which.
pub(super) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    variable("TOLLGATE_TEST_SEED").unwrap_or(now)
}

/// A number that is as good as chance, and always the same.
pub(super) fn draw(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}
