//! As many limits as a large installation has: neither the lock that all calls take nor one question to the database grows
//! with them.

use std::time::{Duration, Instant};

use super::*;

const LIMITS: usize = 20_000;
/// For one step under the lock, as built for tests and on a busy machine. What goes through all for each of all takes minutes.
const STEP_MAX: Duration = Duration::from_millis(500);
const SAID_MAX: usize = 2_100;

#[test]
fn twenty_thousand_limits_hold_nobody_up() {
    let many = |number| {
        let id = format!("limit-{number}");
        limit(&id, Unit::Requests, Period::Minute, Cap::Units(100))
    };
    let mut world = World::new((0..LIMITS).map(many).collect());
    world.holders[0].keep_journal(1);
    let reserve = |world: &mut World, number: usize| {
        let want = Want {
            tenant_id: &world.tenant_id,
            limit: &world.limits[number],
            units: 1,
        };
        world.holders[0].reserve(world.now, &[want])
    };
    let (mut slowest, mut most, mut served) = (Duration::ZERO, 0, vec![false; LIMITS]);
    // All at once, each until it is served; and then the window ends, and all leases with it.
    while world.now < 70_000_000 {
        if world.now < 50_000_000 {
            for (number, is_served) in served.iter_mut().enumerate() {
                if !*is_served && let Ok(reservation) = reserve(&mut world, number) {
                    *is_served = true;
                    world.holders[0].settle(reservation, &Used::default(), world.now);
                }
            }
        }
        world.now += TICK_US;
        let (asked, holder) = (world.now, &mut world.holders[0]);
        let begun = Instant::now();
        let request = holder.due(asked);
        holder.take_journal(&mut Vec::new());
        slowest = slowest.max(begun.elapsed());
        let Some(request) = request else { continue };
        most = most.max(request.wishes.len()).max(request.returns.len());
        let database_ms = EPOCH_MS + i64::try_from(asked / 1_000).unwrap();
        let answer = world.bank.refill(&request, database_ms);
        let begun = Instant::now();
        holder.answered(&request, &answer, asked, asked + ROUND_TRIP_US);
        holder.take_journal(&mut Vec::new());
        slowest = slowest.max(begun.elapsed());
    }
    println!("the slowest step took {slowest:?}, the longest question said {most} things");
    assert!(served.iter().all(|served| *served), "everybody has had a turn");
    let (granted, returned, settled) = world.bank.books();
    assert_eq!(
        (granted, settled),
        (returned + settled, 20_000),
        "all of it is told"
    );
    assert!(most <= SAID_MAX, "{most}");
    assert!(slowest <= STEP_MAX, "{slowest:?}");
}

/// Who waits is asked for with the next question, however many others there are.
#[test]
fn callers_who_wait_do_not_stand_in_line_behind_limits_that_need_nothing() {
    let many = |number| {
        let id = format!("limit-{number}");
        limit(&id, Unit::Requests, Period::Day, Cap::Units(1_000))
    };
    let mut world = World::new((0..5_000).map(many).collect());
    // A call takes from all of them, so all are in use.
    world.served(0, 1);
    world.limits.truncate(1);
    world.limits[0] = Arc::new(limit("new", Unit::Requests, Period::Day, Cap::Units(1_000)));
    world.bank.set_caps(&world.limits);
    let waited_us = world.served(0, 1);
    assert!(waited_us <= 2 * (TICK_US + ROUND_TRIP_US), "{waited_us}");
}

/// Nor does one that is in use run dry before its turn comes.
#[test]
fn a_limit_in_use_is_seen_to_before_it_is_used_up_however_many_others_there_are() {
    let many = |number| {
        let id = format!("limit-{number}");
        limit(&id, Unit::Requests, Period::Day, Cap::Units(1_000_000))
    };
    let mut world = World::new((0..5_000).map(many).collect());
    world.served(0, 1);
    world.limits.truncate(1);
    // A hundred a second, until that is known, and then for ten seconds more.
    for _ in 0..250 {
        world.served(0, 1);
        world.now += 10_000;
    }
    let mut waited_us = 0;
    for _ in 0..1_000 {
        waited_us += world.served(0, 1);
        world.step();
    }
    assert_eq!(waited_us, 0);
}
