//! Replicas on one database, each with a folder of its own, and a way to the database of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::chaos::Chaos;
use testkit::client::{self, Answer};
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};

use super::checkers::Checked;
use super::crowd::{Address, Crowd};
use super::provider::{Provider, now_ms};
use crate::world::{PROGRAM, TENANT, VENDOR_SECRET, request};

/// Replicas, and what stands around them.
pub(super) struct Fleet {
    pub(super) replicas: Vec<Replica>,
    pub(super) provider: Provider,
    pub(super) key: String,
    pub(super) key_id: String,
    pub(super) credential_id: String,
    /// Where verbs are typed, on a way to the database without weather.
    pub(super) desk: Installation,
    database: TestDatabase,
}

/// A tenant with a key, and a credential for the provider.
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_id: String,
    pub(super) credential_id: String,
}

/// One of them.
pub(super) struct Replica {
    pub(super) installation: Installation,
    pub(super) chaos: Option<Chaos>,
    serving: Option<Serving>,
    /// Changes when it is started again.
    pub(super) address: Address,
}

/// Nothing in a test takes longer than this.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// So often nobody gets through before a limit counts as used up.
pub(super) const REFUSED_IN_A_ROW: usize = 15;
/// Between calls that are refused: others need a moment to give back what they do not use.
pub(super) const REFUSED_EVERY: Duration = Duration::from_millis(50);
/// A change is noticed within this.
const NOTICED: Duration = Duration::from_millis(1_500);

impl Fleet {
    /// Three on a new database of the server of the tests; `None` when there is none.
    pub(super) fn of_three(provider: Provider) -> Option<Self> {
        Self::new_of(3, provider)
    }

    /// The same, of so many.
    pub(super) fn new_of(replicas: usize, provider: Provider) -> Option<Self> {
        let database = TestDatabase::each()
            .into_iter()
            .find(|database| !database.is_sqlite())?;
        Some(Self::new(database, provider, replicas, |_, installation| {
            installation
        }))
    }

    /// So many, each with settings of its own. On Postgres each has its own way there.
    pub(super) fn new(
        database: TestDatabase,
        provider: Provider,
        replicas: usize,
        settings: impl Fn(usize, Installation) -> Installation,
    ) -> Self {
        let desk = Installation::new(PROGRAM, database.url());
        desk.ask(&["migrate"]);
        let Member {
            key,
            key_id,
            credential_id,
        } = Member::join(&desk, TENANT, &provider);
        let ring = desk.master_key_file().display().to_string();
        let replicas = (0..replicas).map(|number| {
            let chaos = (!database.is_sqlite()).then(|| Chaos::start(database.url()));
            let url = chaos.as_ref().map_or(database.url(), Chaos::url);
            let installation = Installation::new(PROGRAM, url)
                .set("TOLLGATE_MASTER_KEY_FILE", &ring)
                .set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0")
                .set("TOLLGATE_DRAIN_LINGER", "100ms");
            Replica {
                installation: settings(number, installation),
                chaos,
                serving: None,
                address: Address::default(),
            }
        });
        Self {
            replicas: replicas.collect(),
            provider,
            key,
            key_id,
            credential_id,
            desk,
            database,
        }
    }

    /// Sets a limit. Those that are set before the replicas are started hold from their first call.
    pub(super) fn limit(&self, on: &str, rest: &str) -> Vec<Value> {
        let rest: Vec<&str> = rest.split(' ').collect();
        let set = self
            .desk
            .ask(&[&["limit", "set", "--on", on][..], &rest].concat());
        set.as_array().cloned().unwrap()
    }

    pub(super) fn start(&mut self) {
        for replica in &mut self.replicas {
            replica.start();
        }
    }

    /// The database that all of them are on, without weather.
    pub(super) fn url(&self) -> &str {
        self.database.url()
    }

    /// One more tenant, with a key and a credential of its own.
    pub(super) fn join(&self, tenant: &str) -> Member {
        Member::join(&self.desk, tenant, &self.provider)
    }

    /// A small call by one of them.
    pub(super) fn call(&self, replica: usize) -> Answer {
        self.call_by(replica, &self.key, &request("custom/m", false))
    }

    /// One with this key.
    pub(super) fn call_by(&self, replica: usize, key: &str, body: &[u8]) -> Answer {
        let url = self.replicas[replica].serving().endpoint("/v1/chat/completions");
        client::post(&url, key, body)
    }

    /// Clients that call all of them, until they are told to stop.
    pub(super) fn crowd(&self, clients: usize) -> Crowd {
        let addresses: Vec<Address> = self
            .replicas
            .iter()
            .map(|replica| replica.address.clone())
            .collect();
        Crowd::start(&addresses, &self.key, clients)
    }

    /// Calls one after the other, by all of them in turn, until nobody gets through any more.
    pub(super) fn use_up(&self) -> usize {
        self.use_up_by(&self.key, &request("custom/m", false))
    }

    /// The same, with this key, and with calls that are like this.
    pub(super) fn use_up_by(&self, key: &str, body: &[u8]) -> usize {
        let mut deadline = Instant::now() + PATIENCE;
        let (mut refused, mut served, mut number) = (0, 0, 0);
        while refused < REFUSED_IN_A_ROW {
            assert!(Instant::now() < deadline, "it is never used up");
            let answer = self.call_by(number % self.replicas.len(), key, body);
            number += 1;
            if answer.status == 200 {
                (served, refused) = (served + 1, 0);
                deadline = Instant::now() + PATIENCE;
            } else {
                let code = answer.json()["error"]["code"].clone();
                // Where the database did not answer, or the disk failed, it will.
                refused = if code == "limit_unavailable" || code == "ledger_unavailable" {
                    0
                } else {
                    refused + 1
                };
                assert!(
                    code == "limit_reached" || refused == 0,
                    "{}: {code}",
                    answer.status
                );
                std::thread::sleep(REFUSED_EVERY);
            }
        }
        served
    }

    /// Stops all of them as one should, and holds everything against everything.
    pub(super) fn check(&mut self) -> Checked {
        for replica in &mut self.replicas {
            replica.stop();
        }
        Checked::of(&self.desk, self.database.url(), &self.provider.asked())
    }

    /// What has been changed is known everywhere.
    pub(super) fn wait_until_noticed() {
        std::thread::sleep(NOTICED);
    }
}

impl Member {
    fn join(desk: &Installation, tenant: &str, provider: &Provider) -> Self {
        desk.ask(&["tenant", "create", tenant]);
        let key = desk.ask(&["key", "create", "--tenant", tenant]);
        let add = ["credential", "add", "--tenant", tenant, "--provider", "custom"];
        let add = [&add[..], &["--name", "vendor", "--base-url"]].concat();
        let credential = desk.ask_with(&[&add[..], &[&provider.base_url()]].concat(), VENDOR_SECRET);
        let text = |made: &Value, name: &str| made[name].as_str().unwrap().to_owned();
        Self {
            key: text(&key, "secret"),
            key_id: text(&key, "id"),
            credential_id: text(&credential, "id"),
        }
    }
}

impl Replica {
    pub(super) fn start(&mut self) {
        let serving = self.installation.serve();
        self.address.set(serving.url());
        self.serving = Some(serving);
    }

    pub(super) fn serving(&self) -> &Serving {
        self.serving.as_ref().unwrap()
    }

    /// Ends it in the middle of whatever it does.
    pub(super) fn kill(&mut self) {
        self.serving().signal("-KILL");
        self.serving = None;
    }

    pub(super) fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            let status = serving.stop();
            assert!(status.success(), "{status}");
        }
    }

    /// One of its figures for operators.
    pub(super) fn figure(&self, name: &str) -> u64 {
        let figures = client::get(&self.serving().metrics(), "").body;
        let figures = String::from_utf8(figures).unwrap();
        let line = figures
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {figures}"))
            .parse()
            .unwrap()
    }

    pub(super) fn data(&self) -> std::path::PathBuf {
        self.installation.folder().join("data")
    }
}

/// A zone in which it is about noon, so that no day ends while a test runs.
pub(crate) fn zone_of_noon() -> String {
    let hour = now_ms().div_euclid(3_600_000).rem_euclid(24);
    match 12 - hour {
        0 => "Etc/GMT".to_owned(),
        // In those names, what is east of Greenwich has a minus.
        ahead @ 1.. => format!("Etc/GMT-{ahead}"),
        behind => format!("Etc/GMT+{}", -behind),
    }
}

/// A day in which it is noon, and so many requests in it.
pub(crate) fn a_day(requests: usize) -> String {
    format!("--per day --zone {} --requests {requests}", zone_of_noon())
}

/// How much of something there is: as much as a variable of the environment says, or else so much.
pub(super) fn size((variable, otherwise): (&str, u64)) -> u64 {
    std::env::var(variable).map_or(otherwise, |size| size.parse().unwrap())
}

#[track_caller]
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// Copies a folder and all that is in it.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => _ = std::fs::copy(entry.path(), target).unwrap(),
            // A socket belongs to its process.
            _ => {}
        }
    }
}
