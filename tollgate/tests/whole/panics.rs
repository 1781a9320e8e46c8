//! A panic costs one call, and what runs beside the calls is started again.
//!
//! The binary of the tests can be made to panic (see `gateway/src/failpoint.rs`).

use std::time::{Duration, Instant};

use testkit::client;
use testkit::database::TestDatabase;
use testkit::load::Caller;
use testkit::process::Installation;
use testkit::vendor::{Play, Vendor};

use crate::world::{DONE, TENANT, World, completion, request};

fn world(failpoints: &str) -> World {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let set = |installation: Installation| {
        installation
            .set("FAILPOINTS", failpoints)
            .set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0")
    };
    World::with(TestDatabase::sqlite(), &vendor.base_url(), set)
}

#[test]
fn a_panic_costs_one_call() {
    let world = world("answer=2*off->1*panic(quotes a prompt)->off");
    let mut caller = Caller::new(world.serving.url(), &world.key);
    let mut call = || caller.call(&request("echo-1", false)).unwrap();
    assert_eq!([call().status, call().status], [200, 200]);
    let failed = call();
    let error: serde_json::Value = serde_json::from_slice(&failed.body).unwrap();
    assert_eq!(
        (failed.status, &error["error"]["code"]),
        (500, &"internal".into())
    );
    assert!(!failed.header("x-request-id").is_empty());
    assert_eq!(call().status, 200);
    assert_eq!(caller.opened, 1, "not even its connection is lost");
    let log = world.serving.log();
    assert!(log.contains("a panic"), "{log}");
    assert!(!log.contains("quotes a prompt"), "{log}");
}

#[test]
fn a_panic_in_a_stream_ends_it_as_a_failure() {
    let world = world("frame=3*off->1*panic->off");
    let mut caller = Caller::new(world.serving.url(), &world.key);
    let cut = caller.call(&request("echo-1", true)).unwrap();
    let text = String::from_utf8(cut.body.clone()).unwrap();
    assert!(text.contains("\"code\":\"internal\""), "{text}");
    assert!(!cut.body.ends_with(DONE));
    let whole = caller.call(&request("echo-1", true)).unwrap();
    assert!(whole.body.ends_with(DONE));
    assert_eq!(caller.opened, 1);
}

#[test]
fn a_tenant_that_makes_the_program_panic_stops_nobody() {
    let world = world("tenant=1*panic->off");
    let refused = world.chat(&request("echo-1", false));
    let told = (refused.status, refused.json()["error"]["code"].clone());
    assert_eq!(told, (503, "store_unavailable".into()));
    until("looked at again", || {
        world.chat(&request("echo-1", false)).status == 200
    });
}

#[test]
fn what_runs_beside_the_calls_is_started_again() {
    let world = world("ledger=1*panic->off;follow=1*panic->off;accept=1*panic->off");
    // The worker that falls takes along the connection that it was about to take.
    let models = world.serving.endpoint("/v1/models");
    let lost = Caller::new(world.serving.url(), &world.key).call(&request("echo-1", false));
    assert!(lost.is_err());
    for _ in 0..20 {
        let answered = || Caller::new(world.serving.url(), &world.key).call(&request("echo-1", false));
        until("answered", || answered().is_ok_and(|called| called.status == 200));
    }
    world.ledger(20);
    let key = world.installation.ask(&["key", "create", "--tenant", TENANT]);
    let key = key["secret"].as_str().unwrap();
    until("the new key is known", || client::get(&models, key).status == 200);
    let ready = client::get(&world.serving.endpoint("/readyz"), "");
    assert_eq!(ready.status, 200, "each of them fell once");
    let (log, figures) = (world.serving.log(), figures(&world));
    for part in ["ledger", "follow", "worker"] {
        let fell = log
            .lines()
            .filter(|line| line.contains("it fell"))
            .any(|line| line.contains(part));
        assert!(fell, "{part}: {log}");
        let counted = format!("tollgate_parts_fallen_total{{tollgate_part=\"{part}\"}} 1\n");
        assert!(figures.contains(&counted), "{part}: {figures}");
    }
}

#[test]
fn a_gateway_of_which_a_part_falls_again_and_again_is_not_ready() {
    let world = world("follow=3*panic->off");
    let ready = world.serving.endpoint("/readyz");
    until("unwell", || {
        let answer = client::get(&ready, "");
        answer.status == 503 && answer.json()["falling"] == serde_json::json!(["follow"])
    });
    let figures = figures(&world);
    for unwell in ["\ntollgate_ready 0\n", "\ntollgate_parts_falling 1\n"] {
        assert!(figures.contains(unwell), "{figures}");
    }
    assert_eq!(
        world.chat(&request("echo-1", false)).status,
        200,
        "it serves all the same"
    );
}

fn figures(world: &World) -> String {
    String::from_utf8(client::get(&world.serving.metrics(), "").body).unwrap()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
