//! The embedded database, whose process is killed again and again.

use testkit::database::TestDatabase;

use super::fleet::{Fleet, a_day, until};
use super::provider::Provider;

/// Two hundred, where `TOLLGATE_TEST_KILLS` says so.
const KILLS: usize = 20;
const CAP: usize = 100_000;

#[test]
fn f24_killing_the_gateway_on_sqlite_leaves_a_whole_database() {
    let kills = std::env::var("TOLLGATE_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let database = TestDatabase::sqlite();
    let url = database.url().to_owned();
    let mut fleet = Fleet::new(database, Provider::start(), 1, |_, installation| installation);
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.start();
    let crowd = fleet.crowd(8);
    for kill in 0..kills {
        std::thread::sleep(std::time::Duration::from_millis(20 + 17 * (kill as u64 % 10)));
        fleet.replicas[0].kill();
        assert_eq!(testkit::database::ask(&url, "PRAGMA integrity_check"), "ok");
        fleet.replicas[0].start();
    }
    let heard = crowd.stop().pop().unwrap();
    // What the last one left is given back by the first who needs something.
    until("served", || fleet.call(0).status == 200);
    let checked = fleet.check();
    checked.has_served(&heard.served);
    assert_eq!(checked.outstanding(), 0);
    println!(
        "{kills} kills, {} rows, {} crashed, {} units lost that were granted at that moment",
        checked.rows.len(),
        checked.crashed(),
        checked.burnt()
    );
}

/// What the killed process had at hand and had not used is written down, so the next one gives it back.
#[test]
fn f24_killing_the_gateway_on_sqlite_uses_up_nothing() {
    const CAP: usize = 300;
    let database = TestDatabase::sqlite();
    let url = database.url().to_owned();
    let mut fleet = Fleet::new(database, Provider::start(), 1, |_, installation| installation);
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.start();
    let granted = || -> usize {
        let granted = "SELECT CAST(COALESCE(SUM(granted), 0) AS TEXT) FROM counters";
        testkit::database::ask(&url, granted).parse().unwrap()
    };
    for round in 1..=3 {
        until("something is at hand", || {
            assert_eq!(fleet.call(0).status, 200);
            let calls = fleet.provider.count();
            calls >= round * 20 && granted() > calls
        });
        fleet.replicas[0].kill();
        fleet.replicas[0].start();
    }
    let calls = fleet.provider.count();
    assert_eq!(fleet.use_up(), CAP - calls);
    let checked = fleet.check();
    assert_eq!(fleet.provider.count(), CAP);
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}
