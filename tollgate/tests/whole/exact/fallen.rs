//! Panics, in calls and beside them, once at each place where one can be made (see `gateway/src/failpoint.rs`).

use testkit::client;
use testkit::database::TestDatabase;

use super::fleet::{Fleet, a_day, until};
use super::provider::Provider;

const CAP: usize = 400;

/// Where calls fall. Each costs the one call.
const IN_CALLS: [&str; 6] = [
    // Before anything is known of it; with its limits taken; written down; answered by the provider; at its end.
    "answer=3*off->",
    "taken=7*off->",
    "begun=11*off->",
    "relayed=17*off->",
    "settle=23*off->",
    // In the midst of a stream.
    "frame=60*off->",
];
/// Where what runs beside them does.
const BESIDE: [&str; 9] = [
    "accept=2*off->",
    "tenant=",
    "follow=",
    "spool=",
    // Both are of the ledger.
    "ledger=1*off->",
    "log=9*off->",
    // And these are of limits: before anything, asked and not heard, answered and not taken in.
    "limits=2*off->",
    "asked=4*off->",
    "granted=6*off->",
];
/// Of those calls, these were let through and never sent.
const NEVER_SENT: usize = 2;

#[test]
fn f21_a_panic_anywhere_leaves_limits_and_ledger_right() {
    let places = [&IN_CALLS[..], &BESIDE[..]].concat();
    let failpoints: Vec<String> = places
        .iter()
        .map(|place| format!("{place}1*panic->off"))
        .collect();
    for database in TestDatabase::each() {
        let mut fleet = Fleet::new(database, Provider::start(), 1, |_, installation| {
            installation.set("FAILPOINTS", &failpoints.join(";"))
        });
        fleet.limit("tenant:acme", &a_day(CAP));
        fleet.limit("tenant:acme", "--per month --tokens 100000000");
        fleet.start();
        let crowd = fleet.crowd(4);
        until("everything has fallen", || {
            fleet.replicas[0].serving().log().matches("a panic").count() >= places.len()
        });
        let heard = crowd.stop().pop().unwrap();
        // Those that fell before their answer began are told so, the others break off; and with the worker that fell went
        // what it had under way.
        let told = heard.refused.get("500 internal").copied().unwrap_or_default();
        let lost = heard.broken;
        assert!((4..=IN_CALLS.len()).contains(&told), "{heard:?}");
        assert!((1..=4 + IN_CALLS.len()).contains(&lost), "{heard:?}");
        // What fell three times within a minute goes on, and is not relied upon.
        let ready = client::get(&fleet.replicas[0].serving().endpoint("/readyz"), "");
        assert_eq!(
            (ready.status, ready.json()["falling"].clone()),
            (503, serde_json::json!(["limits"]))
        );
        until("served", || fleet.call(0).status == 200);
        fleet.use_up();
        let log = fleet.replicas[0].serving().log();
        for part in ["worker", "follow", "spool", "ledger", "limits"] {
            let fell = log.lines().filter(|line| line.contains("it fell"));
            assert!(
                fell.filter(|line| line.contains(part)).count() > 0,
                "{part}: {log}"
            );
        }
        let checked = fleet.check();
        checked.has_served(&heard.served);
        let (seen, crashed) = (fleet.provider.count(), checked.crashed());
        assert!(seen <= CAP && seen + NEVER_SENT + lost >= CAP, "{seen}");
        assert!(crashed > 0 && crashed <= IN_CALLS.len(), "{crashed}");
        assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
        println!(
            "{} places, {told} told, {lost} broken off, {seen} of {CAP} seen",
            places.len()
        );
    }
}
