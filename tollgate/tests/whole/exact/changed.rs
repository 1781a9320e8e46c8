//! What an operator changes while replicas hold units of it.

use std::time::{Duration, Instant};

use testkit::chaos::Weather;
use testkit::database::{self, TestDatabase};

use super::fleet::{Fleet, a_day, until};
use super::provider::Provider;
use crate::world::request;

/// A change is taken in by whoever is not told of it.
const UNTOLD: Duration = Duration::from_secs(3);
/// For so long a replica goes by what it knows, when it cannot ask.
const STALE: Duration = Duration::from_secs(3);

/// What replicas hold and do not use goes back, and nothing is granted until it fits. The same where announcements do not
/// arrive.
#[test]
fn f20_a_cap_that_is_lowered_holds_for_the_window_under_way() {
    let Some(mut fleet) = Fleet::of_three(Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(1_000));
    fleet.replicas[2].chaos.as_ref().unwrap().set(Weather::Deaf);
    fleet.start();
    for _ in 0..20 {
        for replica in 0..3 {
            until("served", || fleet.call(replica).status == 200);
        }
    }
    fleet.limit("tenant:acme", &a_day(100));
    let granted = "SELECT CAST(MAX(granted) AS TEXT) FROM counters";
    let granted = || -> usize { database::ask(fleet.url(), granted).parse().unwrap() };
    // Some ask, and are refused, for as long as others hold too much.
    let took = until("what nobody uses is given back", || {
        fleet.call(0);
        granted() <= 100
    });
    assert!(took < UNTOLD, "{took:?}");
    println!("given back after {took:?}");
    fleet.use_up();
    assert_eq!(fleet.provider.count(), 100);
    let checked = fleet.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

/// A limit that is removed and set again within its window is the limit that it was.
#[test]
fn f20_a_limit_that_is_removed_and_set_again_does_not_begin_anew() {
    let Some(mut fleet) = Fleet::of_three(Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(100));
    fleet.start();
    fleet.use_up();
    assert_eq!(fleet.provider.count(), 100);
    let listed = fleet.desk.ask(&["limit", "list", "--tenant", "acme"]);
    fleet
        .desk
        .ask(&["limit", "remove", listed[0]["id"].as_str().unwrap()]);
    fleet.limit("tenant:acme", &a_day(120));
    Fleet::wait_until_noticed();
    assert_eq!(fleet.use_up(), 20, "what was used before is used");
    let checked = fleet.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

/// Who is not to be served any more is served by one that cannot hear of it for as long as was allowed, and no longer.
#[test]
fn f20_a_replica_that_is_cut_off_serves_those_who_were_shut_out_no_longer_than_it_may() {
    let databases = TestDatabase::each();
    let Some(database) = databases.into_iter().find(|database| !database.is_sqlite()) else {
        return;
    };
    let mut fleet = Fleet::new(database, Provider::start(), 1, |_, installation| {
        installation.set("TOLLGATE_STALE_KEYS", &format!("{}s", STALE.as_secs()))
    });
    let other = fleet.join("other");
    fleet.start();
    let body = request("custom/m", false);
    let keys = [fleet.key.clone(), other.key];
    let status = |key: &str| fleet.call_by(0, key, &body).status;
    for key in &keys {
        until("served", || status(key) == 200);
    }
    let way = |weather| fleet.replicas[0].chaos.as_ref().unwrap().set(weather);
    way(Weather::Hole);
    let cut_off = Instant::now();
    fleet
        .desk
        .ask(&["key", "revoke", &fleet.key_id, "--tenant", "acme"]);
    fleet.desk.ask(&["tenant", "disable", "other"]);
    for key in &keys {
        until("refused", || status(key) != 200);
        assert!(matches!(status(key), 401 | 503), "{}", status(key));
    }
    let refused = cut_off.elapsed();
    assert!(refused < STALE + Duration::from_secs(1), "{refused:?}");
    way(Weather::Fair);
    for key in &keys {
        until("known to be shut out", || status(key) == 401);
    }
    println!("shut out after {refused:?} at the latest, without a word of it");
    fleet.check();
}
