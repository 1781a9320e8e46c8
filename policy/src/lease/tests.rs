//! Two replicas and their database, step by step.

mod cut;
mod debt;
mod idle;
mod many;

use std::sync::Arc;

use super::simulation::bank::Bank;
use super::simulation::limit;
use super::*;
use crate::limit::{Cap, Limit, Mode, Period, Unit};

const EPOCH_MS: i64 = 1_700_000_040_000;
const TICK_US: u64 = 100_000;
const ROUND_TRIP_US: u64 = 20_000;
const STEP_US: u64 = 20_000;

struct World {
    bank: Bank,
    holders: Vec<Holder>,
    limits: Vec<Arc<Limit>>,
    tenant_id: Arc<str>,
    now: Moment,
    /// What the database's clock says when `now` is 0.
    epoch_ms: i64,
}

impl World {
    fn new(limits: Vec<Limit>) -> Self {
        let limits: Vec<Arc<Limit>> = limits.into_iter().map(Arc::new).collect();
        let mut bank = Bank::new(None, &limits);
        let holders = ["one", "another"].map(|name| {
            let from = bank.begin(&Arc::from(name));
            let first = u128::from(name.len() as u64) << 64;
            let mut holder = Holder::new(from, 1, first, HolderSettings::default());
            holder.begin_clock(0, 1, EPOCH_MS);
            holder
        });
        Self {
            bank,
            holders: holders.into(),
            limits,
            tenant_id: Arc::from("tenant"),
            now: 1,
            epoch_ms: EPOCH_MS,
        }
    }

    fn reserve(&mut self, who: usize, units: u64) -> Result<Reservation, Box<Denied>> {
        let wants: Vec<Want<'_>> = self
            .limits
            .iter()
            .map(|limit| Want {
                tenant_id: &self.tenant_id,
                limit,
                units,
            })
            .collect();
        self.holders[who].reserve(self.now, &wants)
    }

    /// A moment later: what they ask by then is answered.
    fn step(&mut self) {
        self.now += STEP_US;
        let (asked, arrives) = (self.now, self.now + ROUND_TRIP_US / 2);
        for holder in &mut self.holders {
            if let Some(request) = holder.due(asked) {
                let database_ms = self.epoch_ms + i64::try_from(arrives / 1_000).unwrap();
                let answer = self.bank.refill(&request, database_ms);
                holder.answered(&request, &answer, asked, asked + ROUND_TRIP_US);
            }
        }
    }

    fn jump(&mut self, ms: i64) {
        self.epoch_ms += ms;
    }

    fn tick(&mut self) {
        for _ in 0..(TICK_US + ROUND_TRIP_US) / STEP_US {
            self.step();
        }
    }

    /// A caller who waits until it is admitted; how long that took.
    fn served(&mut self, who: usize, units: u64) -> u64 {
        let came = self.now;
        loop {
            assert!(self.now < came + 10_000_000, "nobody serves");
            if let Ok(reservation) = self.reserve(who, units) {
                self.holders[who].settle(reservation, &Used::default(), self.now);
                return self.now - came;
            }
            self.step();
        }
    }
}

impl World {
    /// The first one stops. What it has kept by then, and what it says it has used.
    fn stopped(&mut self) -> (u64, u64) {
        for _ in 0..3 {
            if let Some(request) = self.holders[0].stop() {
                let database_ms = self.epoch_ms + i64::try_from(self.now / 1_000).unwrap();
                let answer = self.bank.refill(&request, database_ms);
                self.holders[0].answered(&request, &answer, self.now, self.now + 1);
            }
        }
        assert!(self.holders[0].stop().is_none());
        let (granted, returned, settled) = self.bank.books();
        (granted - returned, settled)
    }
}

fn minute(cap: u64) -> Vec<Limit> {
    vec![limit("minute", Unit::Requests, Period::Minute, Cap::Units(cap))]
}

#[test]
fn a_refusal_while_another_holds_idle_units_lasts_at_most_two_ticks_and_a_round_trip() {
    let mut world = World::new(minute(8));
    // The first one takes all of it, for callers who then go away.
    assert!(world.reserve(0, 8).is_err());
    world.tick();
    let all = world.reserve(0, 8).unwrap();
    world.holders[0].unused(all, world.now);
    let waited_us = world.served(1, 1);
    assert!(waited_us <= 300_000, "{waited_us}");
}

#[test]
fn the_first_call_of_a_cold_limit_waits_for_one_question() {
    let mut world = World::new(minute(100));
    assert_eq!(world.reserve(0, 1).unwrap_err().why, DeniedWhy::Waiting);
    world.tick();
    assert!(world.reserve(0, 1).is_ok());
}

#[test]
fn a_cap_of_nothing_one_that_never_fits_and_none_at_all_are_three_things() {
    let mut world = World::new(minute(0));
    assert_eq!(world.reserve(0, 1).unwrap_err().why, DeniedWhy::NeverFits);
    let mut world = World::new(minute(5));
    assert_eq!(world.reserve(0, 6).unwrap_err().why, DeniedWhy::NeverFits);
    assert!(world.served(0, 5) <= TICK_US + ROUND_TRIP_US);
    let unlimited = limit("any", Unit::Requests, Period::Day, Cap::Unlimited);
    let mut world = World::new(vec![unlimited]);
    assert_eq!(world.served(0, 1_000_000), 0);
}

#[test]
fn what_is_only_observed_refuses_nothing_and_holds_up_nothing() {
    let mut observed = limit("seen", Unit::Requests, Period::Minute, Cap::Units(1));
    observed.mode = Mode::Observe;
    let mut world = World::new(vec![observed]);
    for _ in 0..50 {
        let reservation = world.reserve(0, 1).unwrap();
        assert!(world.holders[0].may_send(&reservation, world.now + 60_000_000));
        world.holders[0].settle(reservation, &Used::default(), world.now);
        world.tick();
    }
}

#[test]
fn nothing_is_taken_from_any_when_one_has_not_enough() {
    let mut world = World::new(vec![
        limit("wide", Unit::Requests, Period::Day, Cap::Units(100)),
        limit("narrow", Unit::Requests, Period::Minute, Cap::Units(3)),
    ]);
    for _ in 0..3 {
        world.served(0, 1);
    }
    for _ in 0..5 {
        let denied = world.reserve(0, 1).unwrap_err();
        assert_eq!(&*denied.limit.id, "narrow");
        world.tick();
    }
    assert_eq!(world.stopped(), (6, 6));
}

#[test]
fn calls_under_way_are_limited_and_come_back_when_they_end() {
    let mut world = World::new(vec![limit(
        "calls",
        Unit::Concurrent,
        Period::Always,
        Cap::Units(2),
    )]);
    let mut under_way = Vec::new();
    for _ in 0..20 {
        for who in 0..2 {
            under_way.extend(world.reserve(who, 1).ok().map(|reservation| (who, reservation)));
        }
        world.tick();
    }
    assert_eq!(under_way.len(), 2);
    for (who, reservation) in under_way {
        world.holders[who].settle(reservation, &Used::default(), world.now);
    }
    assert!(world.served(0, 1) <= 300_000);
    assert!(world.served(1, 1) <= 300_000);
}

#[test]
fn a_clock_that_jumps_costs_nothing_of_what_is_held_while_calls_last() {
    let calls = limit("calls", Unit::Concurrent, Period::Always, Cap::Units(2));
    let mut world = World::new(vec![calls]);
    world.served(0, 1);
    world.now += 6_000_000;
    let holder = &mut world.holders[0];
    let request = holder.due(world.now).unwrap();
    let answer = world.bank.refill(&request, EPOCH_MS + 3_600_000);
    holder.answered(&request, &answer, world.now, world.now + ROUND_TRIP_US);
    assert_eq!(holder.anomalies(), 1);
    world.now += ROUND_TRIP_US;
    assert!(world.reserve(0, 1).is_ok());
}

#[test]
fn a_call_is_not_sent_after_its_window() {
    let mut world = World::new(minute(10));
    world.served(0, 1);
    world.tick();
    let reservation = world.reserve(0, 1).unwrap();
    let holder = &world.holders[0];
    assert!(holder.may_send(&reservation, world.now + 1_000_000));
    assert!(!holder.may_send(&reservation, world.now + 60_000_000));
}

/// Fifteen minutes without the database: each serves what is held ahead of it, and no minute more than its cap.
#[test]
fn what_is_held_ahead_serves_each_minute_of_an_outage() {
    let mut world = World::new(vec![
        limit("minute", Unit::Requests, Period::Minute, Cap::Units(100)),
        limit("day", Unit::Requests, Period::Day, Cap::Units(100_000)),
    ]);
    for holder in &mut world.holders {
        holder.settings.ahead_permille = 200;
    }
    // Enough is used for the day to be known as well.
    for _ in 0..40 {
        for who in 0..2 {
            world.served(who, 1);
        }
        world.tick();
    }
    // What the two of them get through in a minute, and why the next call does not.
    let minute = |world: &mut World, is_away: bool| {
        let mut served = 0;
        for holder in 0..2 {
            if is_away {
                drop(world.holders[holder].due(world.now));
                world.holders[holder].unanswered(world.now);
            }
            while let Ok(reservation) = world.reserve(holder, 1) {
                world.holders[holder].settle(reservation, &Used::default(), world.now);
                served += 1;
            }
            let denied = world.reserve(holder, 1).unwrap_err();
            assert_eq!(denied.why == DeniedWhy::StoreAway, is_away, "{denied:?}");
        }
        served
    };
    world.now = 61_000_000;
    for _ in 0..15 {
        assert_eq!(minute(&mut world, true), 20);
        world.now += 60_000_000;
    }
    assert_eq!(minute(&mut world, true), 0, "no more is held");
    // When it is back, nothing is left of that.
    world.now += 60_000_000;
    for _ in 0..30 {
        world.tick();
    }
    assert!(world.served(0, 50) <= 300_000);
}

#[test]
fn what_is_held_ahead_goes_back_when_its_minute_begins_and_is_not_needed() {
    let mut world = World::new(minute(100));
    world.holders[0].settings.ahead_permille = 500;
    world.served(0, 1);
    world.tick();
    world.now = 61_000_000;
    world.served(0, 1);
    for _ in 0..3 {
        world.tick();
    }
    // It took 25 of them, and has kept a few.
    let held = &world.holders[0].pools["minute"];
    let time = world.holders[0].clock.at(world.now).unwrap();
    let current = held.current(time).unwrap();
    let free = |window| held.iter().find(|held| held.window == window).unwrap().free;
    assert!(free(current) < 5, "{}", free(current));
    assert_eq!(free(held.next(current)), 25);
}

#[test]
fn a_clean_stop_gives_back_what_was_granted_by_an_answer_that_was_lost() {
    let mut world = World::new(minute(100));
    world.served(0, 1);
    assert!(world.reserve(0, 50).is_err());
    world.now += 2 * TICK_US;
    let request = world.holders[0].due(world.now).unwrap();
    world.bank.refill(&request, EPOCH_MS + 1_000);
    world.holders[0].unanswered(world.now);
    assert!(world.bank.books().0 > 50);
    assert_eq!(world.stopped(), (1, 1));
}

#[test]
fn a_clean_stop_gives_everything_back() {
    let mut world = World::new(minute(100));
    for _ in 0..10 {
        world.served(0, 1);
    }
    assert_eq!(world.stopped(), (10, 10));
}

/// What is left is too little for any call that comes. That has to be known as the end, and not be asked for for ever.
#[test]
fn a_rest_that_is_too_little_for_a_call_counts_as_used_up() {
    let tokens = limit("tokens", Unit::Tokens, Period::Minute, Cap::Units(100));
    let mut world = World::new(vec![tokens]);
    world.served(0, 95);
    let mut whys = Vec::new();
    for _ in 0..20 {
        whys.push(world.reserve(0, 50).unwrap_err().why);
        world.tick();
    }
    let used_up = whys.iter().filter(|why| **why == DeniedWhy::Exhausted).count();
    assert!(used_up >= 10, "{whys:?}");
    assert_eq!(whys.last(), Some(&DeniedWhy::Exhausted));
    // It is still there for one that is small enough.
    world.served(0, 5);
    assert_eq!(world.stopped(), (100, 100));
}

/// What calls hold only while they last knows no time, so no clock can take it away.
#[test]
fn a_clock_that_jumps_takes_no_concurrent_call_away() {
    let calls = limit("calls", Unit::Concurrent, Period::Always, Cap::Units(4));
    let mut world = World::new(vec![calls]);
    world.served(0, 4);
    for (seen, jump_ms) in (1..).zip([3_600_000, -3_600_000, 60_000]) {
        // Some are free when the database's clock is another one.
        world.served(0, 1);
        world.jump(jump_ms);
        while world.holders[0].anomalies() < seen {
            assert!(world.now < 100_000_000, "nobody looks at the clock");
            world.tick();
        }
    }
    world.served(0, 4);
}

/// The minute that a slot counts for is not over when the slot is.
#[test]
fn a_long_call_gives_back_what_it_did_not_use_of_a_rolling_minute() {
    let tokens = limit("tokens", Unit::Tokens, Period::RollingMinute, Cap::Units(1_000));
    let mut world = World::new(vec![tokens]);
    assert!(world.reserve(0, 900).is_err());
    world.tick();
    let long = world.reserve(0, 900).unwrap();
    let ends = world.now + 12_000_000;
    while world.now < ends {
        world.tick();
    }
    let used = Used {
        input_tokens: Some(20),
        output_tokens: Some(30),
        nano_dollars: None,
    };
    world.holders[0].settle(long, &used, world.now);
    assert!(world.served(0, 900) < 1_000_000);
}
