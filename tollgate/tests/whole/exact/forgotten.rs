//! A database that takes the place of another and lacks what that one granted last.

use std::thread;
use std::time::{Duration, Instant};

use testkit::database::{self, TestDatabase};
use testkit::postgres::PostgresServer;

use super::checkers::Checked;
use super::fleet::{Fleet, a_day, until};
use super::provider::Provider;

const CAP: usize = 1_200;
const CLIENTS: usize = 9;
/// Between the copy and its return, and from then until it is looked at.
const LASTS: Duration = Duration::from_secs(2);
/// Nothing is granted for so long.
const LEARNS: Duration = Duration::from_secs(5);

/// Postgres is put back as it was two seconds ago, under load, without a word to anybody: it is on the same timeline, and
/// says that it is what it was. Its replicas know better.
#[test]
fn a_database_that_is_put_back_under_load_grants_nothing_twice() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let database = TestDatabase::elsewhere(server.url());
    let mut fleet = Fleet::new(database, Provider::start(), 3, |_, installation| {
        installation.set("TOLLGATE_LOG", "warn,sqlx=off")
    });
    fleet.limit("tenant:acme", &a_day(CAP));
    let key = format!("key:{}", fleet.key_id);
    fleet.limit(&key, &format!("{} --tokens unlimited", a_day(CAP * 2)));
    fleet.start();
    for replica in 0..3 {
        until("served", || fleet.call(replica).status == 200);
    }
    server.copy();
    let crowd = fleet.crowd(CLIENTS);
    until("much is used", || fleet.provider.count() > CAP / 4);
    thread::sleep(LASTS);
    let used_before = fleet.provider.count();
    server.put_back();
    let forgot: usize = {
        server.go();
        let granted = "SELECT CAST(COALESCE(SUM(granted), 0) AS TEXT) FROM counters WHERE cap = 1200";
        database::ask(&server.url(), granted).parse().unwrap()
    };
    let begun = Instant::now();
    thread::sleep(LASTS);
    crowd.stop();
    // A limit that is spent may stand still while nothing is granted.
    thread::sleep(LEARNS.saturating_sub(begun.elapsed()));
    let used_up = fleet.use_up();
    let seen = fleet.provider.count();
    for replica in &mut fleet.replicas {
        replica.stop();
    }
    // What was in the ledger is as far back as the database, so there is nothing to hold against the provider's books but
    // the units.
    let checked = Checked::of_units(&fleet.desk, fleet.url());
    assert!(
        forgot + CAP / 10 < used_before,
        "the copy knew of {forgot} granted, and {used_before} were used: nothing was forgotten"
    );
    assert!(seen <= CAP, "C1: {seen} of {CAP}");
    assert_eq!(checked.outstanding(), 0);
    println!(
        "{used_before} were used when the database was put back to {forgot} granted; of {CAP} {seen} were used in the end, \
         {used_up} of them after that"
    );
}
