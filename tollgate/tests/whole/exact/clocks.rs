//! Clocks that are wrong, that jump or run fast, and a replica that stands still: a unit is spent in its own window, by the
//! database's clock.
//!
//! The database has a clock of its own here, so that a minute ends when a test wants it to.

use std::thread;
use std::time::{Duration, Instant};

use testkit::clock::FakeClock;
use testkit::database::{self, TestDatabase};
use testkit::postgres::PostgresServer;

use super::checkers::Checked;
use super::fleet::{Fleet, a_day, until};
use super::provider::{Provider, now_ms};

/// Replicas that each have a clock, on a database that has one.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    /// Ended before the clocks are.
    server: PostgresServer,
    clocks: Vec<FakeClock>,
    database: FakeClock,
    /// By how much that is ahead of the machine's.
    ahead_ms: i64,
}

pub(super) const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const FAR: usize = 1_000_000;
const CLIENTS: usize = 18;
/// From a jump of the database's clock until units are granted by it.
const GRANTED: Duration = Duration::from_secs(7);

impl Stage {
    /// Three of them, with these settings; `None` where there is no such database, or no such clock.
    pub(super) fn set(failpoints: &str) -> Option<Self> {
        Self::set_with(failpoints, Provider::start)
    }

    /// The same, with another provider.
    pub(super) fn set_with(failpoints: &str, provider: impl FnOnce() -> Provider) -> Option<Self> {
        let database = FakeClock::new()?;
        let server = PostgresServer::start_by(&database)?;
        let clocks: Vec<FakeClock> = (0..3).filter_map(|_| FakeClock::new()).collect();
        let at = TestDatabase::elsewhere(server.url());
        let fleet = Fleet::new(at, provider(), 3, |number, installation| {
            let variables = clocks[number].variables();
            variables.iter().fold(
                installation.set("FAILPOINTS", failpoints),
                |set, (name, value)| set.set(name, value),
            )
        });
        let stage = Self {
            fleet,
            clocks,
            database,
            ahead_ms: 0,
            server,
        };
        Some(stage)
    }

    /// So many requests in a minute, beside a day that is far from being used up.
    fn limit(&self, requests: usize) {
        self.fleet
            .limit("tenant:acme", &format!("--per minute --requests {requests}"));
        self.fleet
            .limit(&format!("key:{}", self.fleet.key_id), &a_day(FAR));
    }

    /// Sets the database's clock forward so that so much is left of a minute. Before the first call no replica knows it.
    pub(super) fn begin(&mut self, left_ms: i64) {
        self.ahead_ms += (-now_ms() - self.ahead_ms - left_ms).rem_euclid(MINUTE_MS);
        self.jump(0);
    }

    /// The replicas go by the database's clock, since rows bear their time.
    pub(super) fn agree(&self) {
        for clock in &self.clocks {
            clock.set(self.ahead_ms);
        }
    }

    /// The database's clock jumps to be so far from where it began.
    fn jump(&self, by_ms: i64) {
        self.database.set(self.ahead_ms + by_ms);
        self.fleet.provider.goes_by(self.ahead_ms + by_ms);
    }

    /// Waits until so much of the minute has passed that begins when the present one is over.
    fn wait_until(&self, boundary_ms: i64, past_ms: i64) {
        let left = boundary_ms + past_ms - (now_ms() + self.ahead_ms);
        thread::sleep(Duration::from_millis(u64::try_from(left).unwrap_or_default()));
    }

    /// When the minute ends that is under way, by the database's clock.
    pub(super) fn boundary_ms(&self) -> i64 {
        let now_ms = now_ms() + self.ahead_ms;
        now_ms + MINUTE_MS - now_ms.rem_euclid(MINUTE_MS)
    }

    pub(super) fn check(&mut self) -> Checked {
        let logs: Vec<String> = self
            .fleet
            .replicas
            .iter()
            .map(|replica| replica.serving().log())
            .collect();
        let checked = self.fleet.check();
        for log in logs {
            assert!(!log.contains("panic"), "{log}");
        }
        checked
    }

    /// How many the provider was asked for before, and from then on.
    fn before_and_after(&self, at_ms: i64) -> (usize, usize) {
        let asked = self.fleet.provider.asked();
        let before = asked.iter().filter(|one| one.at_ms < at_ms).count();
        (before, asked.len() - before)
    }
}

/// One is an hour ahead and then an hour behind, one runs fast, one is two seconds behind: none of them is asked what time it
/// is.
#[test]
fn f14_what_replicas_take_for_the_time_of_day_decides_nothing() {
    const CAP: usize = 400;
    let Some(mut stage) = Stage::set("") else {
        return;
    };
    stage.limit(CAP);
    stage.clocks[0].set(HOUR_MS);
    stage.clocks[1].run(2_000, 1.05);
    stage.clocks[2].set(-2_000);
    stage.fleet.start();
    stage.begin(2_000);
    let boundary_ms = stage.boundary_ms();
    let crowd = stage.fleet.crowd(CLIENTS);
    stage.wait_until(boundary_ms, 500);
    stage.clocks[0].set(-HOUR_MS);
    stage.wait_until(boundary_ms, 2_000);
    let heard = crowd.stop();
    stage.fleet.use_up();
    let checked = stage.check();
    checked.has_served_all(&heard);
    let (before, after) = stage.before_and_after(boundary_ms);
    assert!(before > 0 && before <= CAP, "{before}");
    assert_eq!(after, CAP);
    // Nothing was given up because of any of these clocks.
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
    println!("{before} before the end of a minute, {after} after it");
}

/// The database's own clock goes an hour ahead, back, and an hour behind. Each window is opened once.
#[test]
fn f14_a_database_whose_clock_jumps_opens_no_window_twice() {
    const CAP: usize = 60;
    let Some(mut stage) = Stage::set("") else {
        return;
    };
    stage.limit(CAP);
    stage.fleet.start();
    stage.begin(MINUTE_MS - 2_000);
    assert_eq!(stage.fleet.use_up(), CAP);
    let mut slowest = Duration::ZERO;
    let mut granted = |stage: &Stage| {
        let jumped = Instant::now();
        until("granted", || stage.fleet.call(0).status == 200);
        slowest = slowest.max(jumped.elapsed());
    };
    stage.jump(HOUR_MS);
    granted(&stage);
    assert_eq!(stage.fleet.use_up() + 1, CAP, "another window");
    stage.jump(0);
    // All of them have heard of it when they are refused by it.
    let refused = Instant::now();
    while refused.elapsed() < Duration::from_secs(1) {
        assert_eq!(stage.fleet.use_up(), 0, "this one has been used up before");
    }
    stage.jump(-HOUR_MS);
    granted(&stage);
    assert_eq!(stage.fleet.use_up() + 1, CAP, "a third window");
    assert!(slowest < GRANTED, "{slowest:?}");
    let checked = stage.check();
    assert_eq!(stage.fleet.provider.count(), 3 * CAP);
    assert_eq!(checked.outstanding(), 0);
    println!("granted {slowest:?} after a jump at the latest");
}

/// A replica that is stopped in the midst of calls, and goes on when the window is over by which it has let them through,
/// sends none of them.
#[test]
fn f15_a_replica_that_stood_still_over_the_end_of_a_window_sends_nothing_by_it() {
    const CAP: usize = 700;
    // Most calls that are under way are then between the last word that they may go, and their first byte.
    let Some(mut stage) = Stage::set("begun=sleep(10)") else {
        return;
    };
    stage.limit(CAP);
    stage.fleet.start();
    stage.begin(2_000);
    let boundary_ms = stage.boundary_ms();
    // One call at a time at each: the failpoint holds its whole thread up, and what other calls are held up for would come
    // between the last word that one may go and its first byte.
    let crowd = stage.fleet.crowd(stage.fleet.replicas.len());
    stage.wait_until(boundary_ms, -1_000);
    stage.fleet.replicas[0].serving().signal("-STOP");
    stage.wait_until(boundary_ms, 1_000);
    stage.fleet.replicas[0].serving().signal("-CONT");
    stage.wait_until(boundary_ms, 2_000);
    until("nearly used up", || {
        stage.before_and_after(boundary_ms).1 > CAP - 50
    });
    let heard = crowd.stop();
    stage.fleet.use_up();
    let checked = stage.check();
    let (before, after) = stage.before_and_after(boundary_ms);
    assert!(before > 0 && before <= CAP, "{before}");
    assert_eq!(after, CAP, "exactly what the new window has");
    checked.has_served_all(&heard);
    println!("{before} before, {after} after");
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

/// L9: what leases say was used of a window that is over is what the rows of its time used, and where it is not, `ledger
/// verify` says so.
#[test]
fn what_limits_and_the_ledger_say_of_a_window_that_is_over_agrees() {
    let Some(mut stage) = Stage::set("") else {
        return;
    };
    let key = format!("key:{}", stage.fleet.key_id.clone());
    let of_tenant = "--per minute --requests 300 --input-tokens 10000000 --tokens 100000000";
    stage.fleet.limit("tenant:acme", of_tenant);
    stage.fleet.limit(&key, "--per minute --requests 200");
    stage.fleet.start();
    stage.begin(MINUTE_MS - 1_000);
    // A minute that began after the limits were set.
    stage.ahead_ms += MINUTE_MS;
    stage.jump(0);
    stage.agree();
    let window_ms = stage.boundary_ms() - MINUTE_MS;
    stage.wait_until(window_ms, 6_000);
    let crowd = stage.fleet.crowd(6);
    thread::sleep(Duration::from_secs(2));
    let served: usize = crowd.stop().iter().map(|heard| heard.served.len()).sum();
    let checked = stage.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
    let desk = &stage.fleet.desk;
    // By now it is long over.
    stage.database.set(stage.ahead_ms + HOUR_MS);
    let verify = || desk.run(&["ledger", "verify", "--output", "json"]);
    let agreed = verify();
    let said = String::from_utf8_lossy(&agreed.stdout).into_owned();
    assert!(agreed.status.success(), "{said}");
    // A lease that is settled for less, and all that belongs to it changed with it: by itself it adds up.
    let url = stage.server.url();
    let some = "id = (SELECT id FROM leases WHERE settled > 0 ORDER BY settled DESC LIMIT 1)";
    for statement in [
        format!("CREATE TABLE changed AS SELECT * FROM leases WHERE {some}"),
        "UPDATE leases SET settled = settled - 1, returned = returned + 1 WHERE id IN (SELECT id FROM changed)".to_owned(),
        "UPDATE counters SET granted = granted - 1 FROM changed WHERE counters.limit_id = changed.limit_id \
             AND counters.starts_at_ms = changed.starts_at_ms"
            .to_owned(),
    ] {
        database::execute(&url, &statement);
    }
    let wrong = verify();
    assert_eq!(wrong.status.code(), Some(11));
    let told: serde_json::Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told[0]["what"], "limit and usage");
    println!("{served} calls; {told}");
}
