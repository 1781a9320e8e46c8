//! Limits inside others: whatever is counted, and whoever has the tightest of them, a thousand calls at once use up that one
//! and no more, through three replicas, within one minute of the database's clock.

use std::time::Duration;

use serde_json::json;
use testkit::load::{Called, Caller};

use super::clocks::{MINUTE_MS, Stage};
use super::fleet::{Fleet, Member, until};
use super::provider::{Provider, Script, whole};
use crate::raw::raise_open_files;

/// What is counted, how a limit of it is typed, and how much of it each call uses.
struct Counted {
    what: &'static str,
    typed: fn(usize) -> String,
    /// Of the tightest limit. The others have twice as much.
    cap: usize,
    each: usize,
}

const CALLS: usize = 1_000;
/// So much of the minute has passed when it is begun with.
const PASSED_MS: i64 = 1_000;
const WHOSE: [&str; 3] = ["tenant", "key", "credential"];
/// Input and output that each call uses: all of the output that it asks for, and less input than is reserved for it.
const TOKENS: (i64, i64) = (100, 300);

const COUNTED: [Counted; 4] = [
    Counted {
        what: "requests",
        typed: |cap| format!("--per minute --requests {cap}"),
        cap: 100,
        each: 1,
    },
    // What each replica has left may be a little less than a call needs: with three of them that is within a hundredth.
    Counted {
        what: "tokens",
        typed: |cap| format!("--per minute --hard --tokens {cap}"),
        cap: 150_000,
        each: 400,
    },
    // In tenths of a cent, of which a token costs one.
    Counted {
        what: "dollars",
        typed: |cap| format!("--per minute --hard --usd {}.{:03}", cap / 1_000, cap % 1_000),
        cap: 150_000,
        each: 400,
    },
    Counted {
        what: "concurrent",
        typed: |cap| format!("--concurrent {cap}"),
        cap: 60,
        each: 1,
    },
];

#[test]
fn the_tightest_of_several_limits_is_used_up_and_not_exceeded() {
    raise_open_files();
    let provider = || Provider::with(|_, _| Script::whole(whole(TOKENS), TOKENS));
    let Some(mut stage) = Stage::set_with("", provider) else {
        return;
    };
    let desk = &stage.fleet.desk;
    desk.ask(&["prices", "set", "custom", "m", "input 1000, output 1000"]);
    for counted in &COUNTED {
        let members = WHOSE.map(|tightest| member(&stage.fleet, counted, tightest));
        // A new minute for each of them; it is not known to anybody yet.
        stage.begin(MINUTE_MS - PASSED_MS);
        stage.agree();
        let boundary_ms = stage.boundary_ms();
        stage.fleet.start();
        for (tightest, member) in WHOSE.iter().zip(&members) {
            let fleet = &stage.fleet;
            let calls = if counted.what == "concurrent" {
                under_way_at_once(fleet, member, counted.cap)
            } else {
                used_up(fleet, member)
            };
            let (used, name) = (calls * counted.each, format!("{} of a {tightest}", counted.what));
            println!("{name}: {used} of {}", counted.cap);
            assert!(used <= counted.cap, "{name}: {used} of {}", counted.cap);
            let nearly_all = if counted.cap < 1_000 { 100 } else { 99 };
            assert!(
                used * 100 >= counted.cap * nearly_all,
                "{name}: {used} of {}",
                counted.cap
            );
            assert!(
                stage.boundary_ms() == boundary_ms,
                "{name}: this machine is too slow for one minute"
            );
        }
        for replica in &mut stage.fleet.replicas {
            replica.stop();
        }
    }
    stage.fleet.start();
    let checked = stage.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

/// A tenant that is limited thrice, by itself, by its key and by its credential.
fn member(fleet: &Fleet, counted: &Counted, tightest: &str) -> Member {
    let tenant = format!("{}-{tightest}", counted.what);
    let member = fleet.join(&tenant);
    for (whose, id) in WHOSE.iter().zip([&tenant, &member.key_id, &member.credential_id]) {
        let times = if *whose == tightest { 1 } else { 2 };
        fleet.limit(&format!("{whose}:{id}"), &(counted.typed)(counted.cap * times));
    }
    member
}

/// How many calls the provider sees in all, of those that are made at once, and of those that come after them.
fn used_up(fleet: &Fleet, member: &Member) -> usize {
    let before = fleet.provider.count();
    let answers = at_once(fleet, member)
        .into_iter()
        .map(|mut caller| caller.answer().unwrap());
    let served = answers.filter(is_served).count();
    let later = fleet.use_up_by(&member.key, &body());
    let seen = fleet.provider.count() - before;
    assert_eq!(seen, served + later, "who is refused is not sent to the provider");
    seen
}

/// How many calls the provider has under way at the same time while it answers none: of those that are made at once, and
/// of those that come until there are as many as may be, and a few more.
fn under_way_at_once(fleet: &Fleet, member: &Member, cap: usize) -> usize {
    let provider = &fleet.provider;
    provider.hold();
    let mut callers = at_once(fleet, member);
    let settled = |callers: &[Caller]| {
        let answered = callers.iter().filter(|caller| caller.status().is_some());
        answered.count() + provider.held() == callers.len()
    };
    until("refused or held", || settled(&callers));
    let mut more = 0;
    until("as many as may be", || {
        if provider.held() < cap {
            callers.push(ask(fleet, member, more));
            more += 1;
            until("refused or held", || settled(&callers));
        }
        provider.held() >= cap
    });
    for number in 0..fleet.replicas.len() * 3 {
        callers.push(ask(fleet, member, number));
    }
    until("refused or held", || settled(&callers));
    let held = provider.held();
    provider.let_go();
    let answers = callers.iter_mut().map(|caller| caller.answer().unwrap());
    assert_eq!(answers.filter(is_served).count(), held);
    held
}

/// Calls that have all been sent before anything of an answer is read, on connections that are there already.
fn at_once(fleet: &Fleet, member: &Member) -> Vec<Caller> {
    let mut callers: Vec<Caller> = (0..CALLS).map(|number| caller(fleet, member, number)).collect();
    let body = body();
    for caller in &mut callers {
        caller.ask(&body).unwrap();
    }
    callers
}

fn ask(fleet: &Fleet, member: &Member, number: usize) -> Caller {
    let mut caller = caller(fleet, member, number);
    caller.ask(&body()).unwrap();
    caller
}

fn caller(fleet: &Fleet, member: &Member, number: usize) -> Caller {
    let replica = &fleet.replicas[number % fleet.replicas.len()];
    let mut caller = Caller::new(&replica.address.get(), &member.key).fresh();
    caller.open().unwrap();
    caller
}

/// Served, or refused as a limit refuses: with a word when to come again.
fn is_served(called: &Called) -> bool {
    let said = String::from_utf8_lossy(&called.body);
    let is_refused = called.status == 429 && said.contains("\"limit_reached\"");
    assert!(called.status == 200 || is_refused, "{}: {said}", called.status);
    let again: Option<u64> = called.header("retry-after").parse().ok();
    let longest = Duration::from_millis(MINUTE_MS.unsigned_abs()).as_secs();
    assert_eq!(
        again.is_some_and(|seconds| (1..=longest).contains(&seconds)),
        is_refused
    );
    called.status == 200
}

fn body() -> Vec<u8> {
    let messages = json!([{"role": "user", "content": "one two three"}]);
    json!({"model": "custom/m", "max_tokens": TOKENS.1, "messages": messages})
        .to_string()
        .into_bytes()
}
