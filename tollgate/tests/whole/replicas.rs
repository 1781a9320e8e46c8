//! Replicas that agree: what is changed through one holds on the other.

use std::time::{Duration, Instant};

use testkit::chaos::{Chaos, Weather};
use testkit::client;
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};

use crate::world::{PROGRAM, TENANT, request};

/// A new key or route works on each replica.
const KNOWN: Duration = Duration::from_secs(1);
/// A revoked key is refused by each.
const REFUSED: Duration = Duration::from_millis(1500);
/// The same, when announcements do not arrive.
const REFUSED_UNTOLD: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

/// Two processes on one database. What is typed is typed at the first.
struct Pair {
    installation: Installation,
    replicas: [Serving; 2],
    /// Also a folder.
    _second: Installation,
}

impl Pair {
    /// The second replica reaches the database by another way than the first.
    fn new(url: &str, second_url: &str, settings: &[(&str, &str)]) -> Self {
        let with = |mut installation: Installation| {
            for (name, value) in settings {
                installation = installation.set(name, value);
            }
            installation
        };
        let installation = with(Installation::new(PROGRAM, url));
        installation.ask(&["migrate"]);
        installation.ask(&["tenant", "create", TENANT]);
        let ring = installation.master_key_file().display().to_string();
        let second = with(Installation::new(PROGRAM, second_url)).set("TOLLGATE_MASTER_KEY_FILE", &ring);
        Self {
            replicas: [installation.serve(), second.serve()],
            installation,
            _second: second,
        }
    }

    /// A new key of the tenant: its id and itself.
    fn key(&self) -> (String, String) {
        let made = self.installation.ask(&["key", "create", "--tenant", TENANT]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// How long it takes until each replica answers so.
    fn agree(&self, key: &str, model: &str, status: u16, within: Duration) -> Duration {
        let changed = Instant::now();
        for replica in &self.replicas {
            let endpoint = replica.endpoint("/v1/chat/completions");
            while client::post(&endpoint, key, &request(model, false)).status != status {
                assert!(changed.elapsed() < within, "not {status} within {within:?}");
            }
        }
        changed.elapsed()
    }
}

#[test]
fn what_is_changed_through_one_replica_holds_on_the_other() {
    let Some(database) = postgres() else { return };
    let pair = Pair::new(database.url(), database.url(), &[]);
    let (mut known, mut routed, mut refused) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let (id, key) = pair.key();
        known = known.max(pair.agree(&key, "echo-1", 200, KNOWN));
        let alias = format!("alias-{round}");
        pair.agree(&key, &alias, 404, KNOWN);
        pair.installation
            .ask(&["route", "set", &alias, "--to", "echo/echo-1", "--tenant", TENANT]);
        routed = routed.max(pair.agree(&key, &alias, 200, KNOWN));
        let everywhere = format!("everywhere-{round}");
        pair.installation
            .ask(&["route", "set", &everywhere, "--to", "echo/echo-1"]);
        routed = routed.max(pair.agree(&key, &everywhere, 200, KNOWN));
        pair.installation.ask(&["key", "revoke", &id, "--tenant", TENANT]);
        refused = refused.max(pair.agree(&key, "echo-1", 401, REFUSED));
    }
    println!("slowest of {ROUNDS}: a new key {known:?}, a new route {routed:?}, a revoked key {refused:?}");
}

#[test]
fn announcements_alone_are_enough() {
    let Some(database) = postgres() else { return };
    let settings = [("TOLLGATE_REVISION_POLL", "10m")];
    let pair = Pair::new(database.url(), database.url(), &settings);
    let (id, key) = pair.key();
    pair.agree(&key, "echo-1", 200, KNOWN);
    pair.installation.ask(&["key", "revoke", &id, "--tenant", TENANT]);
    pair.agree(&key, "echo-1", 401, REFUSED);
}

#[test]
fn a_revoked_key_is_refused_also_where_announcements_do_not_arrive() {
    let Some(database) = postgres() else { return };
    let chaos = Chaos::start(database.url());
    let pair = Pair::new(database.url(), chaos.url(), &[]);
    chaos.set(Weather::Deaf);
    let mut refused = Duration::ZERO;
    for _ in 0..ROUNDS {
        let (id, key) = pair.key();
        pair.agree(&key, "echo-1", 200, REFUSED_UNTOLD);
        pair.installation.ask(&["key", "revoke", &id, "--tenant", TENANT]);
        refused = refused.max(pair.agree(&key, "echo-1", 401, REFUSED_UNTOLD));
    }
    assert!(chaos.swallowed() > 0, "announcements were kept back");
    println!("slowest of {ROUNDS} without announcements: a revoked key {refused:?}");
}

fn postgres() -> Option<TestDatabase> {
    TestDatabase::each()
        .into_iter()
        .find(|database| !database.is_sqlite())
}
