//! Soft limits: what calls are expected to use is reserved, learned from what their like has used; what they use beyond it is
//! told, made up for by what comes after, and never more than the calls under way can use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::world::{World, request};

const PATIENCE: Duration = Duration::from_secs(30);
const CALLERS: u64 = 8;
const SMALL: u64 = 10;
const LARGE: u64 = 150;
const CAP: u64 = 4_000;

#[test]
fn a_soft_limit_is_passed_by_no_more_than_the_calls_under_way_and_that_is_told() {
    static USED: AtomicU64 = AtomicU64::new(0);
    static ASKED: AtomicU64 = AtomicU64::new(0);
    // Small ones first, by which the others are expected to be small too.
    let vendor = Vendor::start(|_| {
        let number = ASKED.fetch_add(1, Ordering::SeqCst);
        let tokens = if number < 40 { SMALL } else { LARGE };
        USED.fetch_add(tokens, Ordering::SeqCst);
        let usage = json!({"prompt_tokens": 3, "completion_tokens": tokens - 3, "total_tokens": tokens});
        let answer = json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
        });
        Play::json(200, answer.to_string())
    });
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0")
    });
    let credentials = world
        .installation
        .ask(&["credential", "list", "--tenant", "acme"]);
    let on = format!("credential:{}", credentials[0]["id"].as_str().unwrap());
    let tokens = CAP.to_string();
    world
        .installation
        .ask(&["limit", "set", "--on", &on, "--per", "day", "--tokens", &tokens]);
    let deadline = Instant::now() + PATIENCE;
    let call = || {
        client::post(
            &world.serving.endpoint("/v1/chat/completions"),
            &world.key,
            &request("custom/m", false),
        )
    };
    while !call().headers.contains_key("x-ratelimit-limit-tokens") {
        assert!(Instant::now() < deadline, "the limit is never there");
    }
    // What came before was not counted.
    let before = USED.load(Ordering::SeqCst) - SMALL;
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut refused = 0;
                while refused < 3 {
                    assert!(Instant::now() < deadline, "it is never used up");
                    match call().status {
                        200 => refused = 0,
                        429 => refused += 1,
                        status => panic!("{status}"),
                    }
                }
            });
        }
    });
    let used = USED.load(Ordering::SeqCst) - before;
    assert!(used > CAP * 9 / 10, "{used} of {CAP}");
    assert!(used <= CAP + CALLERS * LARGE, "{used} of {CAP}");
    let figures = client::get(&world.serving.metrics(), "");
    let figures = String::from_utf8_lossy(&figures.body).into_owned();
    let told = |name: &str| -> u64 {
        let line = format!("{name}{{tollgate_limit_unit=\"tokens\",tollgate_limit_period=\"day\"}} ");
        let value = figures.lines().find_map(|known| known.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("{figures}")).parse().unwrap()
    };
    assert!(told("tollgate_limit_overdraft_units_total") >= LARGE - 2 * SMALL);
    assert!(told("tollgate_limit_refusals_total") >= CALLERS * 3);
    assert!(told("tollgate_limit_reserved_units_total") > 0);
}
