//! Limits, as the provider sees them: what reaches it never exceeds them, through however many replicas it comes.
//!
//! The windows are days, so that none ends while a test runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::{self, Answer};
use testkit::database::{self, TestDatabase};
use testkit::process::Serving;
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, World, completion, request};

const CALLERS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(30);
/// So often nobody gets through before it counts as used up.
const REFUSED_IN_A_ROW: usize = 12;

/// Makes so many calls at once, spread over the replicas; then goes on until nobody gets through any more.
fn use_up(replicas: &[&Serving], key: &str, body: &[u8], calls: usize) -> usize {
    let (next, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let call = |number: usize| -> Answer {
        let replica = replicas[number % replicas.len()];
        client::post(&replica.endpoint("/v1/chat/completions"), key, body)
    };
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return;
                    }
                    let answer = call(number);
                    match answer.status {
                        200 => _ = served.fetch_add(1, Ordering::Relaxed),
                        status => assert_eq!(
                            (status, answer.json()["error"]["code"].clone()),
                            (429, json!("limit_reached"))
                        ),
                    }
                }
            });
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let (mut refused, mut number) = (0, 0);
    while refused < REFUSED_IN_A_ROW {
        assert!(Instant::now() < deadline, "it is never used up");
        if call(number).status == 200 {
            served.fetch_add(1, Ordering::Relaxed);
            refused = 0;
        } else {
            refused += 1;
            thread::sleep(Duration::from_millis(50));
        }
        number += 1;
    }
    served.load(Ordering::Relaxed)
}

fn set(world: &World, on: &str, rest: &str) {
    let rest: Vec<&str> = rest.split(' ').collect();
    world
        .installation
        .ask(&[&["limit", "set", "--on", on][..], &rest].concat());
}

#[test]
fn exactly_as_many_calls_as_a_limit_allows_reach_the_provider_through_three_replicas() {
    for database in TestDatabase::each() {
        let is_sqlite = database.is_sqlite();
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        // Nested: the tenant's is the tightest, whatever its key may use.
        let key_id = vault::gateway_key::parse(&world.key).unwrap().id.to_owned();
        set(&world, &format!("key:{key_id}"), "--per day --requests 500");
        set(
            &world,
            "tenant:acme",
            "--per day --requests 100 --tokens unlimited",
        );
        // They begin when it is there, so that no call is made without.
        let more: Vec<Serving> = (0..if is_sqlite { 0 } else { 2 })
            .map(|_| world.installation.serve())
            .collect();
        let replicas: Vec<&Serving> = more.iter().chain([&world.serving]).collect();
        let served = use_up(&replicas, &world.key, &request("custom/m", false), 1000);
        assert_eq!((vendor.seen().len(), served), (100, 100));
    }
}

/// What the killed process had at hand and had not used is written down, so the next one gives it back.
#[test]
fn killing_the_gateway_uses_up_nothing() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let mut world = World::new(TestDatabase::sqlite(), &vendor);
    set(&world, "tenant:acme", "--per day --requests 300");
    for _ in 0..3 {
        for _ in 0..20 {
            assert_eq!(world.chat(&request("custom/m", false)).status, 200);
        }
        world.serving.signal("-KILL");
        world.serving = world.installation.serve();
    }
    let granted = database::ask(world.database.url(), "SELECT CAST(granted AS TEXT) FROM counters");
    let granted: usize = granted.parse().unwrap();
    assert!(granted > 60, "nothing was at hand when it was killed: {granted}");
    use_up(&[&world.serving], &world.key, &request("custom/m", false), 400);
    assert_eq!(vendor.seen().len(), 300);
}

/// Also when nobody calls the process that comes after: whoever kills that one takes nothing with it.
#[test]
fn what_a_killed_gateway_had_goes_back_without_a_call() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let mut world = World::new(database, &vendor);
        set(&world, "tenant:acme", "--per month --requests 3000");
        let url = world.database.url().to_owned();
        let granted = || -> usize {
            let asked = "SELECT CAST(COALESCE(SUM(granted), 0) AS TEXT) FROM counters";
            database::ask(&url, asked).parse().unwrap()
        };
        let deadline = Instant::now() + PATIENCE;
        let mut calls = 0;
        while calls < 20 || granted() <= calls {
            assert!(Instant::now() < deadline, "nothing is ever at hand");
            assert_eq!(world.chat(&request("custom/m", false)).status, 200);
            calls += 1;
        }
        world.serving.signal("-KILL");
        world.serving = world.installation.serve();
        let deadline = Instant::now() + PATIENCE;
        while granted() > calls {
            assert!(Instant::now() < deadline, "{} are still held", granted());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn tokens_are_never_exceeded_and_nearly_all_used() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    set(&world, "tenant:acme", "--per day --tokens 2000");
    let body = json!({
        "model": "custom/m", "max_tokens": 10, "messages": [{"role": "user", "content": "one two three"}],
    });
    let body = body.to_string();
    use_up(&[&world.serving], &world.key, body.as_bytes(), 400);
    // Each call used four, as the provider told.
    let used = vendor.seen().len() * 4;
    assert!((1800..=2000).contains(&used), "{used}");
}

#[test]
fn dollars_are_never_exceeded_and_a_model_without_a_price_is_not_let_through() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    set(&world, "tenant:acme", "--per day --usd 1");
    let body = json!({
        "model": "custom/m", "max_tokens": 10, "messages": [{"role": "user", "content": "one two three"}],
    });
    let body = body.to_string();
    let unpriced = world.post("/v1/chat/completions", &body);
    assert_eq!(
        (unpriced.status, unpriced.json()["error"]["code"].clone()),
        (400, json!("limit_unpriced"))
    );
    // A tenth of a cent for each token.
    world
        .installation
        .ask(&["prices", "set", "custom", "m", "input 1000, output 1000"]);
    let deadline = Instant::now() + PATIENCE;
    let first = loop {
        let answer = world.post("/v1/chat/completions", &body);
        if answer.status != 400 || Instant::now() > deadline {
            break answer;
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(
        (first.status, first.header("x-tollgate-cost-usd")),
        (200, "0.004000000")
    );
    use_up(&[&world.serving], &world.key, body.as_bytes(), 400);
    let millidollars = vendor.seen().len() * 4;
    assert!((800..=1000).contains(&millidollars), "{millidollars}");
}

#[test]
fn a_model_without_a_price_passes_a_limit_on_dollars_that_says_so() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    set(&world, "tenant:acme", "--per day --usd 0.000001 --unpriced allow");
    let until = |status: u16| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = world.chat(&request("custom/m", false));
            if answer.status == status || Instant::now() > deadline {
                return answer;
            }
            thread::sleep(Duration::from_millis(50));
        }
    };
    let answer = until(200);
    assert_eq!((answer.status, answer.header("x-tollgate-cost-usd")), (200, ""));
    // What has a price is held to it, and so is what has none when the limit says that.
    world
        .installation
        .ask(&["prices", "set", "custom", "m", "input 1000, output 1000"]);
    assert_eq!(until(400).json()["error"]["code"], "limit_too_small");
    world.installation.ask(&[
        "limit",
        "set",
        "--on",
        "tenant:acme",
        "--per",
        "day",
        "--usd",
        "1",
        "--unpriced",
        "refuse",
    ]);
    let id = world.installation.ask(&["prices", "list"])[0]["id"].clone();
    assert_eq!(until(200).status, 200);
    world
        .installation
        .ask(&["prices", "remove", id.as_str().unwrap()]);
    assert_eq!(until(400).json()["error"]["code"], "limit_unpriced");
}

#[test]
fn no_more_calls_are_under_way_at_the_same_time_than_a_limit_lets_be() {
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let vendor = Vendor::start(|_| {
        let under_way = UNDER_WAY.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(under_way, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
        Play::json(200, completion())
    });
    for database in TestDatabase::each() {
        let is_sqlite = database.is_sqlite();
        let world = World::new(database, &vendor);
        set(&world, "tenant:acme", "--concurrent 4");
        let more: Option<Serving> = (!is_sqlite).then(|| world.installation.serve());
        let replicas: Vec<&Serving> = more.iter().chain([&world.serving]).collect();
        let calls = AtomicUsize::new(0);
        let served = AtomicUsize::new(0);
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (calls, served, replicas, world) = (&calls, &served, &replicas, &world);
                scope.spawn(move || {
                    let replica = replicas[caller % replicas.len()];
                    while calls.fetch_add(1, Ordering::Relaxed) < 300 {
                        let endpoint = replica.endpoint("/v1/chat/completions");
                        let answer = client::post(&endpoint, &world.key, &request("custom/m", false));
                        assert!(matches!(answer.status, 200 | 429), "{}", answer.status);
                        served.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
                    }
                });
            }
        });
        let served = served.load(Ordering::Relaxed);
        assert!(served >= 20, "{served} of 300 were served");
    }
    let most = MOST.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at the same time");
}

#[test]
fn what_never_fits_is_told_so_and_what_is_only_observed_passes() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let until = |status: u16, code: &str| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = world.chat(&request("custom/m", false));
            if answer.status == status && (status == 200 || answer.json()["error"]["code"] == code) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} instead of {status} {code}",
                answer.status
            );
            thread::sleep(Duration::from_millis(50));
        }
    };
    until(200, "");
    set(&world, "model:acme/m", "--per day --tokens 5");
    until(400, "limit_too_small");
    set(&world, "model:acme/m", "--per day --tokens 5 --observe");
    until(200, "");
    set(&world, "model:acme/m", "--per day --tokens unlimited");
    until(200, "");
    set(&world, "model:acme/other", "--per day --requests 0");
    until(200, "");
    set(&world, "tenant:acme", "--per day --requests 0");
    until(429, "limit_reached");
    set(&world, "tenant:acme", "--per day --requests unlimited");
    until(200, "");
    assert_eq!(TENANT, "acme");
}
