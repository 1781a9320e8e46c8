//! The database away: stopped, cut off without a word, slow, read-only. Known keys are served as if nothing were.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::chaos::{Chaos, Weather};
use testkit::client::{self, Answer};
use testkit::load::{Called, Caller, Load, Report};
use testkit::postgres::PostgresServer;
use testkit::process::{Installation, Serving};

use crate::world::{PROGRAM, TENANT, request};

/// From the end of an outage until everybody is served as before.
const RECOVERED: Duration = Duration::from_secs(5);
/// The same until the ledger has all that was called in the meantime.
const WRITTEN: Duration = Duration::from_secs(20);
/// For a key that is not in memory, when it is not yet known that the database is away.
const TOLD: Duration = Duration::from_secs(3);
/// The same, when it is known.
const TOLD_AT_ONCE: Duration = Duration::from_millis(500);
/// No call takes so long that does not wait for something that is as late as the database is here.
const LATE: Duration = Duration::from_millis(150);
/// How long each outage and the undisturbed run last.
const LASTS: Duration = Duration::from_secs(3);

/// A gateway whose way to its database has weather.
struct World {
    serving: Serving,
    installation: Installation,
    chaos: Chaos,
    server: PostgresServer,
    key: String,
}

impl World {
    fn new(stale_keys: &str) -> Option<Self> {
        let server = PostgresServer::start()?;
        let chaos = Chaos::start(&server.url());
        let installation = Installation::new(PROGRAM, chaos.url())
            .set("TOLLGATE_STALE_KEYS", stale_keys)
            .set("TOLLGATE_LOG", "warn,sqlx=off");
        installation.ask(&["migrate"]);
        let key = tenant_with_key(&installation, TENANT);
        Some(Self {
            serving: installation.serve(),
            installation,
            chaos,
            server,
            key,
        })
    }

    fn ask(&self, key: &str) -> Answer {
        let endpoint = self.serving.endpoint("/v1/chat/completions");
        client::post(&endpoint, key, &request("echo-1", false))
    }

    fn load(&self) -> Load {
        let is_good = |called: &Called| called.status == 200;
        let pause = Duration::from_millis(5);
        let body = request("echo-1", false);
        let caller = || Caller::new(self.serving.url(), &self.key);
        Load::start(4, pause, caller, &body, is_good)
    }

    /// The key, which is not in memory, is refused, by whoever asks, and nobody waits long to be told.
    fn is_told_to_wait(&self, key: &str, within: Duration) {
        let asked = Instant::now();
        let answer = self.ask(key);
        let (took, code) = (asked.elapsed(), answer.json()["error"]["code"].clone());
        assert_eq!((answer.status, code), (503, "store_unavailable".into()));
        assert!(!answer.header("retry-after").is_empty());
        assert!(took < within, "told after {took:?}");
    }

    /// Until a key that is not in memory works. What the ledger owes is written, too, but may take longer.
    fn recovers(&self, key: &str) -> Duration {
        let over = Instant::now();
        while self.ask(key).status != 200 {
            assert!(over.elapsed() < RECOVERED, "{}", self.serving.log());
            sleep(Duration::from_millis(20));
        }
        let recovered = over.elapsed();
        loop {
            let health = client::get(&self.serving.endpoint("/healthz"), "").json();
            if health["ledger"]["waiting"] == 0 {
                return recovered;
            }
            assert!(over.elapsed() < WRITTEN, "{health}: {}", self.serving.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn read_only(&self, is: bool) {
        let value = if is { "on" } else { "off" };
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        testkit::database::execute(&self.server.url(), &set);
        testkit::database::execute(&self.server.url(), "SELECT pg_reload_conf()");
    }
}

#[test]
fn with_the_database_away_known_keys_are_served_as_if_it_were_there() {
    let Some(mut world) = World::new("15m") else {
        return;
    };
    assert_eq!(world.ask(&world.key).status, 200);
    let cold: Vec<String> = (0..10)
        .map(|number| tenant_with_key(&world.installation, &format!("cold-{number}")))
        .collect();
    let mut cold = cold.iter();
    let mut next = || cold.next().unwrap();
    let before = during(&world, || sleep(LASTS));

    let key = next();
    let load = world.load();
    world.server.stop();
    // One that cannot be anybody's is refused without asking.
    let (rest, last) = key.split_at(key.len() - 1);
    let mistyped = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(world.ask(&mistyped).status, 401);
    world.is_told_to_wait(key, TOLD);
    sleep(LASTS);
    world.is_told_to_wait(key, TOLD_AT_ONCE);
    assert_eq!(world.ask(&mistyped).status, 401);
    let stopped = load.stop();
    world.server.go();
    let stopped_back = world.recovers(key);

    let key = next();
    let cut_off = during(&world, || {
        world.chaos.set(Weather::Hole);
        world.is_told_to_wait(key, TOLD);
        sleep(LASTS);
        world.is_told_to_wait(key, TOLD_AT_ONCE);
    });
    world.chaos.set(Weather::Fair);
    let cut_off_back = world.recovers(key);

    let key = next();
    let slow = during(&world, || {
        world.chaos.set(Weather::Slow(Duration::from_millis(200)));
        sleep(LASTS);
        // Slow is not away: the key is found, or its client is told to wait.
        let asked = Instant::now();
        let status = world.ask(key).status;
        let took = asked.elapsed();
        assert!(
            [200, 503].contains(&status) && took < TOLD + TOLD_AT_ONCE,
            "{status}, {took:?}"
        );
    });
    world.chaos.set(Weather::Fair);
    let slow_back = world.recovers(key);

    let key = next();
    let very_slow = during(&world, || {
        world.chaos.set(Weather::Slow(Duration::from_secs(2)));
        world.is_told_to_wait(key, TOLD);
        sleep(LASTS);
        world.is_told_to_wait(key, TOLD_AT_ONCE);
    });
    world.chaos.set(Weather::Fair);
    let very_slow_back = world.recovers(key);

    let key = next();
    world.read_only(true);
    let read_only = during(&world, || {
        sleep(LASTS);
        assert_eq!(world.ask(key).status, 200, "it can be read");
    });
    world.read_only(false);
    let read_only_back = world.recovers(next());

    let after = during(&world, || sleep(LASTS));
    // The machine has others to serve, now more and now fewer.
    let slower = after.quantile(0.9) > before.quantile(0.9);
    let undisturbed = if slower { after } else { before };
    println!(
        "known keys, 4 clients: undisturbed {}",
        told(&undisturbed, &undisturbed)
    );
    for (what, report, back) in [
        ("stopped", &stopped, stopped_back),
        ("cut off without a word", &cut_off, cut_off_back),
        ("200 ms late", &slow, slow_back),
        ("2 s late", &very_slow, very_slow_back),
        ("read-only", &read_only, read_only_back),
    ] {
        println!("  {what}: {}; back after {back:?}", told(report, &undisturbed));
        assert_eq!(report.failed, Vec::<String>::new(), "{what}");
        // A call that waited for the database would be as late as that is. What one turn of the scheduler makes of a call of
        // a millisecond is the noise of a busy machine.
        for part in [0.5, 0.9] {
            let allowed = undisturbed.quantile(part).mul_f64(1.1) + Duration::from_millis(2);
            assert!(report.quantile(part) < allowed, "{what}: {part}");
        }
        let late = |report: &Report| {
            let late = report.took.iter().filter(|took| **took > LATE).count();
            late * 1_000 / report.took.len()
        };
        assert!(
            late(report) <= late(&undisturbed) + 5,
            "{what}: {} of 1,000 are late",
            late(report)
        );
    }
}

#[test]
fn without_word_for_longer_than_allowed_known_keys_are_refused_too() {
    let Some(mut world) = World::new("2s") else { return };
    assert_eq!(world.ask(&world.key).status, 200);
    world.server.stop();
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(1) {
        assert_eq!(world.ask(&world.key).status, 200);
        sleep(Duration::from_millis(50));
    }
    while world.ask(&world.key).status == 200 {
        assert!(away.elapsed() < Duration::from_secs(4), "served for ever");
        sleep(Duration::from_millis(50));
    }
    world.is_told_to_wait(&world.key, TOLD_AT_ONCE);
    world.server.go();
    world.recovers(&world.key);
}

fn tenant_with_key(installation: &Installation, name: &str) -> String {
    installation.ask(&["tenant", "create", name]);
    let key = installation.ask(&["key", "create", "--tenant", name]);
    key["secret"].as_str().unwrap().to_owned()
}

/// What became of the calls with the known key while this was done.
fn during(world: &World, what: impl FnOnce()) -> Report {
    let load = world.load();
    what();
    load.stop()
}

fn told(report: &Report, undisturbed: &Report) -> String {
    let [p50, p99] = [0.5, 0.99].map(|part| report.quantile(part));
    let ratio = p99.as_secs_f64() / undisturbed.quantile(0.99).as_secs_f64();
    format!(
        "{} calls, {} failed, p50 {p50:?}, p99 {p99:?} ({ratio:.2} times)",
        report.took.len() + report.failed.len(),
        report.failed.len()
    )
}
