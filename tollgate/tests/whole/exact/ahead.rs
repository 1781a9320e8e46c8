//! The database away for longer than a minute, where that is provided for.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use testkit::database::TestDatabase;
use testkit::postgres::PostgresServer;

use super::fleet::{Fleet, until};
use super::provider::{Provider, now_ms};

const CAP: usize = 240;
/// A quarter of it is held ahead, by three replicas.
const RESERVE: usize = 25;
const HELD_AHEAD: usize = CAP * RESERVE / 100;
const MINUTE_MS: i64 = 60_000;
/// What is held ahead is there within a few ticks; a minute that ends sooner is not begun with.
const PREPARED: Duration = Duration::from_secs(2);

#[test]
fn what_is_held_ahead_serves_the_next_minute_while_the_database_is_away() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let database = TestDatabase::elsewhere(server.url());
    let mut fleet = Fleet::new(database, Provider::start(), 3, |_, installation| {
        installation
            .set("TOLLGATE_LOG", "warn,sqlx=off")
            .set("TOLLGATE_ON_STORE_OUTAGE", "reserve")
            .set("TOLLGATE_STORE_OUTAGE_RESERVE", &RESERVE.to_string())
    });
    fleet.limit("tenant:acme", &format!("--per minute --requests {CAP}"));
    fleet.limit("tenant:acme", "--per day --requests 100000");
    fleet.start();
    until_in_minute(|left_ms| left_ms > 10_000);
    for replica in 0..3 {
        until("served", || fleet.call(replica).status == 200);
    }
    thread::sleep(PREPARED);
    server.stop();
    let stopped_ms = now_ms();
    // Past the end of the minute, and a little into the next one, so that all know it is that one.
    until_in_minute(|left_ms| now_ms() / MINUTE_MS > stopped_ms / MINUTE_MS && left_ms < 59_000);
    let (mut served, mut refused) = (0, BTreeMap::<String, usize>::new());
    for replica in 0..3 {
        for _ in 0..CAP {
            let answer = fleet.call(replica);
            if answer.status == 200 {
                served += 1;
                continue;
            }
            let code = answer.json()["error"]["code"].as_str().unwrap().to_owned();
            *refused.entry(code).or_default() += 1;
            break;
        }
    }
    assert_eq!(served, HELD_AHEAD, "{refused:?}");
    assert_eq!(refused, BTreeMap::from([("limit_unavailable".to_owned(), 3)]));
    // When it is back, the rest of the minute is there for all, and no more than that.
    server.go();
    until("granted", || fleet.call(0).status == 200);
    let used_up = fleet.use_up();
    let checked = fleet.check();
    assert_eq!(checked.outstanding(), 0);
    println!("{served} of {CAP} a minute were served without a database, and {used_up} when it was back");
}

/// Waits until so much is left of the minute.
fn until_in_minute(is_so: impl Fn(i64) -> bool) {
    while !is_so(MINUTE_MS - now_ms().rem_euclid(MINUTE_MS)) {
        thread::sleep(Duration::from_millis(100));
    }
}
