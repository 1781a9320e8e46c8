//! Work is spread evenly over the workers, however few connections there are.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use testkit::database::TestDatabase;
use testkit::load::Caller;
use testkit::vendor::{Play, Vendor};

use crate::world::{World, completion, request};

/// Connections are spread by chance unless somebody sees to it: of so many rounds with so few connections, one or another
/// would be uneven.
const ROUNDS: usize = 12;
const CONNECTIONS: usize = 12;
/// Of each client: so that one whose worker is kept waiting by the machine does not call less often, which would look as if
/// its worker had less to do.
const CALLS: usize = 50;

#[test]
fn two_workers_share_the_work() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_WORKERS", "2")
    });
    let body = request("custom/any", false);
    for round in 0..ROUNDS {
        let before = worked(&world);
        let all_begin = Barrier::new(CONNECTIONS);
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut caller = Caller::new(world.serving.url(), &world.key);
                    let mut is_answered = || caller.call(&body).is_ok_and(|answer| answer.status == 200);
                    let mut answered = usize::from(is_answered());
                    // No connection ends before all have begun.
                    all_begin.wait();
                    answered += (1..CALLS).filter(|_| is_answered()).count();
                    assert_eq!((answered, caller.opened), (CALLS, 1));
                });
            }
        });
        let [one, other] = [0, 1].map(|worker| worked(&world)[worker] - before[worker]);
        let larger = one.max(other).as_secs_f64() / (one + other).as_secs_f64();
        println!(
            "round {round}: {one:?} and {other:?}, the larger part is {:.0} %",
            larger * 100.0
        );
        assert!(larger <= 0.6, "{one:?} and {other:?}");
    }
}

/// How long each worker's thread has run.
fn worked(world: &World) -> [Duration; 2] {
    let tasks = format!("/proc/{}/task", world.serving.process_id());
    let mut worked = [Duration::ZERO; 2];
    for task in fs::read_dir(tasks).unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        if let Some(number) = name.trim().strip_prefix("worker-") {
            let ran = fs::read_to_string(task.join("schedstat")).unwrap();
            let nanoseconds = ran.split_whitespace().next().unwrap().parse().unwrap();
            worked[number.parse::<usize>().unwrap()] = Duration::from_nanos(nanoseconds);
        }
    }
    worked
}
