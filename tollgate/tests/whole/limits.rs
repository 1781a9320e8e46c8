//! Limits, as the provider sees them: what reaches it never exceeds them, through however many replicas it comes.
//!
//! The windows are days, so that none ends while a test runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use policy::limit::{Calendar, Period};
use serde_json::json;
use testkit::client::{self, Answer};
use testkit::database::{self, TestDatabase};
use testkit::load::Caller;
use testkit::process::Serving;
use testkit::vendor::{End, Play, Vendor};

use crate::exact::{a_day, now_ms, zone_of_noon};
use crate::raw::raise_open_files;
use crate::world::{TENANT, World, chunk, completion, request};

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

/// What the killed process had at hand and had not used is written down: it goes back also when nobody calls the process
/// that comes after.
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
        "1000",
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

/// What answers say of a limit is true at that moment, also those that are served, and in each dialect's own words.
#[test]
fn every_answer_tells_how_its_caller_stands_and_a_refusal_when_to_come_again() {
    const CAP: u64 = 6;
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let zone = zone_of_noon();
    set(&world, "tenant:acme", &format!("{} --tokens 100000", a_day(6)));
    let ends_ms = Calendar::of(&zone).unwrap().window(Period::Day, now_ms()).end_ms;
    let until_then_s = || u64::try_from(ends_ms - now_ms()).unwrap().div_ceil(1_000);
    let message = json!({
        "model": "custom/m", "max_tokens": 10, "messages": [{"role": "user", "content": "one two three"}],
    });
    let mut left = CAP;
    for number in 0..=CAP {
        let before_s = until_then_s();
        // Every other one as Anthropic's clients ask.
        let is_of_anthropic = number % 2 == 1;
        let answer = if is_of_anthropic {
            world.post("/v1/messages", &message.to_string())
        } else {
            world.post("/v1/chat/completions", &message.to_string())
        };
        let figure = |name: &str| -> u64 {
            let text = answer.header(name);
            text.parse()
                .unwrap_or_else(|_| panic!("{number}: {name}: {text}"))
        };
        let near = |seconds: u64| (until_then_s()..=before_s).contains(&seconds);
        if number < CAP {
            assert_eq!(answer.status, 200, "{}", answer.json());
            left -= 1;
            assert!(answer.header("retry-after").is_empty());
        } else {
            let code = answer.json()["error"]["code"].clone();
            assert_eq!((answer.status, code), (429, json!("limit_reached")));
            let again_s = figure("retry-after");
            assert!(again_s >= 1 && again_s <= before_s, "{again_s} of {before_s}");
        }
        assert_eq!(figure("x-ratelimit-limit-requests"), CAP);
        assert_eq!(figure("x-ratelimit-remaining-requests"), left);
        assert!(near(seconds_of(answer.header("x-ratelimit-reset-requests"))));
        assert_eq!(figure("x-ratelimit-limit-tokens"), 100_000);
        let tokens = figure("x-ratelimit-remaining-tokens");
        // Each of those before has used four, and what is reserved for this one is not left either.
        assert!(tokens <= 100_000 - number * 4 && tokens > 90_000, "{tokens}");
        if is_of_anthropic {
            assert_eq!(figure("anthropic-ratelimit-requests-limit"), CAP);
            assert_eq!(figure("anthropic-ratelimit-requests-remaining"), left);
            assert_eq!(figure("anthropic-ratelimit-tokens-remaining"), tokens);
            let reset: Timestamp = answer
                .header("anthropic-ratelimit-requests-reset")
                .parse()
                .unwrap();
            assert_eq!(reset.as_millisecond(), ends_ms);
        } else {
            assert!(answer.header("anthropic-ratelimit-requests-limit").is_empty());
        }
    }
    assert_eq!(left, 0);
    // Once it is known that nobody gives anything back, that is when the day ends.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before_s = until_then_s();
        let refused = world.post("/v1/chat/completions", &message.to_string());
        assert_eq!(refused.status, 429);
        let again_s: u64 = refused.header("retry-after").parse().unwrap();
        if (until_then_s()..=before_s).contains(&again_s) {
            break;
        }
        assert!(Instant::now() < deadline, "told to come again after {again_s} s");
    }
}

/// Such as `1h2m3s`.
fn seconds_of(duration: &str) -> u64 {
    let parts = duration.split_inclusive(['h', 'm', 's']).map(|part| {
        let (number, unit) = part.split_at(part.len() - 1);
        number.parse::<u64>().unwrap()
            * match unit {
                "h" => 3_600,
                "m" => 60,
                _ => 1,
            }
    });
    parts.sum()
}

#[test]
fn of_a_thousand_streams_with_one_key_as_many_are_open_as_it_may_have() {
    const OPEN: usize = 100;
    const ASKED: usize = 1_001;
    raise_open_files();
    let vendor = Vendor::start(|_| Play::stream([chunk("a", None)]).end(End::Hang));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX", "2000")
    });
    let key_id = vault::gateway_key::parse(&world.key).unwrap().id.to_owned();
    set(&world, &format!("key:{key_id}"), &format!("--concurrent {OPEN}"));
    let caller = || Caller::new(world.serving.url(), &world.key).fresh();
    let mut callers: Vec<Caller> = (0..ASKED).map(|_| caller()).collect();
    for caller in &mut callers {
        caller.open().unwrap();
    }
    for caller in &mut callers {
        caller.ask(&request("custom/m", true)).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while callers.iter().any(|caller| caller.status().is_none()) {
        assert!(Instant::now() < deadline, "not all of them are told");
        thread::sleep(Duration::from_millis(20));
    }
    let (open, refused): (Vec<Caller>, Vec<Caller>) = callers
        .into_iter()
        .partition(|caller| caller.status() == Some(200));
    assert_eq!((open.len(), refused.len()), (OPEN, ASKED - OPEN));
    for mut caller in refused {
        let told = caller.answer().unwrap();
        let said = String::from_utf8_lossy(&told.body);
        assert_eq!((told.status, told.header("retry-after")), (429, "1"), "{said}");
        assert!(said.contains("\"limit_reached\""), "{said}");
    }
    assert_eq!(vendor.seen().len(), OPEN);
    // Each that is left makes room for another.
    drop(open);
    assert!(vendor.wait_until_gone(OPEN));
    let deadline = Instant::now() + PATIENCE;
    let mut again = caller();
    loop {
        again.ask(&request("custom/m", true)).unwrap();
        while again.status().is_none() {
            assert!(Instant::now() < deadline, "nobody makes room");
        }
        if again.status() == Some(200) {
            break;
        }
        again.answer().unwrap();
    }
}
