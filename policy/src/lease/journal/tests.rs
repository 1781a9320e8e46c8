use std::sync::Arc;

use proptest::prelude::*;

use super::replay::free_of;
use super::*;
use crate::lease::exchange::Incarnation;
use crate::lease::simulation::bank::Bank;
use crate::lease::simulation::limit;
use crate::lease::{Holder, HolderSettings, Moment, Reservation, Used, Want};
use crate::limit::{Cap, Limit, Period, Unit};

const BOOT: u128 = 0x1234_5678;
const EPOCH_MS: i64 = 1_700_000_040_000;

/// One replica that keeps a journal, and its database.
struct World {
    bank: Bank,
    holder: Holder,
    now: Moment,
    limits: Vec<Arc<Limit>>,
    tenant_id: Arc<str>,
    under_way: Vec<Reservation>,
    batches: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let limit = |id: &str, unit, period, cap| Arc::new(limit(id, unit, period, Cap::Units(cap)));
        let limits = vec![
            limit("requests", Unit::Requests, Period::Minute, 400),
            limit("tokens", Unit::Tokens, Period::Day, 50_000),
            limit("calls", Unit::Concurrent, Period::Always, 30),
        ];
        let mut bank = Bank::new(None, &limits);
        let mut world = Self {
            holder: begin(&mut bank),
            bank,
            now: 1,
            limits,
            tenant_id: Arc::from("tenant"),
            under_way: Vec::new(),
            batches: Vec::new(),
        };
        world.write_whole();
        world
    }

    fn write_whole(&mut self) {
        let mut whole = Vec::new();
        self.holder.whole_journal(&mut whole);
        self.batches = vec![whole];
    }

    fn write(&mut self) {
        let mut change = Vec::new();
        self.holder.take_journal(&mut change);
        if !change.is_empty() {
            self.batches.push(change);
        }
    }

    fn database_ms(&self) -> i64 {
        EPOCH_MS + i64::try_from(self.now / 1_000).unwrap()
    }

    fn tick(&mut self) {
        self.now += 100_000;
        if let Some(request) = self.holder.due(self.now) {
            let answer = self.bank.refill(&request, self.database_ms());
            let asked = self.now;
            self.now += 1_000;
            self.holder.answered(&request, &answer, asked, self.now);
        }
    }

    /// What is asked arrives, or does not; and the process is killed before it hears of it.
    fn killed_asking(&mut self, arrives: bool) {
        self.now += 100_000;
        let request = self.holder.due(self.now);
        self.write();
        if let Some(request) = request.filter(|_| arrives) {
            self.bank.refill(&request, self.database_ms());
        }
        self.killed();
    }

    fn call(&mut self, tokens: u64) {
        let wants: Vec<Want<'_>> = self
            .limits
            .iter()
            .map(|limit| Want {
                tenant_id: &self.tenant_id,
                limit,
                units: if limit.unit == Unit::Tokens { tokens } else { 1 },
            })
            .collect();
        self.under_way.extend(self.holder.reserve(self.now, &wants).ok());
    }

    fn end(&mut self, used: u64) {
        if let Some(reservation) = self.under_way.pop() {
            let used = Used {
                input_tokens: Some(used),
                output_tokens: Some(0),
                nano_dollars: None,
            };
            self.holder.settle(reservation, &used, self.now);
        }
    }

    /// What is free and spent in the windows that end.
    fn free_and_spent(&self) -> (u64, u64) {
        let all = self.holder.pools.values().flat_map(Pool::iter);
        all.filter(|held| !held.is_endless())
            .fold((0, 0), |(free, spent), held| {
                (free + held.free, spent + held.spent)
            })
    }

    fn replay(&self) -> Replay {
        self.replay_twice(self.batches.len())
    }

    /// What a spool shows after a sync that failed: everything from some change on stands there twice.
    fn replay_twice(&self, from: usize) -> Replay {
        let mut replay = Replay::new(BOOT);
        let (whole, changes) = self.batches.split_first().unwrap();
        replay.whole(whole).unwrap();
        for change in changes.iter().chain(changes.get(from..).unwrap_or_default()) {
            replay.change(change).unwrap();
        }
        replay
    }

    /// The process is killed, and the next one reads the journal.
    fn killed(&mut self) {
        let replay = self.replay();
        self.under_way.clear();
        self.holder = begin(&mut self.bank);
        self.holder.inherit(replay);
        self.write_whole();
    }
}

fn begin(bank: &mut Bank) -> Holder {
    let from: Incarnation = bank.begin(&Arc::from("replica"));
    let first = u128::try_from(from.number).unwrap() << 64;
    let mut holder = Holder::new(from, 1, first, HolderSettings::default());
    holder.keep_journal(BOOT);
    holder
}

#[derive(Debug, Clone)]
enum Step {
    Tick,
    Call(u64),
    End(u64),
    Wait(u64),
    Whole,
    Killed,
    KilledAsking { arrives: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Tick),
        8 => (1_u64..200).prop_map(Step::Call),
        4 => (0_u64..220).prop_map(Step::End),
        1 => (0_u64..40_000_000).prop_map(Step::Wait),
        1 => Just(Step::Whole),
        1 => Just(Step::Killed),
        1 => any::<bool>().prop_map(|arrives| Step::KilledAsking { arrives }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_free_when_it_was_killed_is_given_back_to_the_last_unit(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let (mut lost, mut kills) = (0, 0);
        for step in steps {
            match step {
                Step::Tick => world.tick(),
                Step::Call(tokens) => world.call(tokens),
                Step::End(used) => world.end(used),
                Step::Wait(passes) => world.now += passes,
                Step::Whole => world.write_whole(),
                Step::Killed => {
                    lost += world.free_and_spent().1;
                    kills += 1;
                    world.killed();
                }
                Step::KilledAsking { arrives } => {
                    lost += world.free_and_spent().1;
                    kills += 1;
                    world.killed_asking(arrives);
                }
            }
            world.write();
            prop_assert!(world.replay().units() == world.free_and_spent().0);
            for from in [0, world.batches.len() / 2, world.batches.len().saturating_sub(2)] {
                let twice = world.replay_twice(from);
                prop_assert_eq!(twice.units(), world.free_and_spent().0);
                prop_assert_eq!(twice.owed(1), world.replay().owed(1));
            }
        }
        lost += world.free_and_spent().1;
        world.killed();
        for _ in 0..3 {
            world.tick();
        }
        // The books are closed: what was granted came back or was spent, to the last unit.
        let (granted, returned, settled) = world.bank.books_of_windows();
        prop_assert_eq!(granted, returned + settled);
        prop_assert!(settled >= lost, "{} < {}, {} kills", settled, lost, kills);
        prop_assert!(world.holder.owed.is_empty());
        prop_assert_eq!(world.free_and_spent(), (0, 0));
    }

    #[test]
    fn a_damaged_journal_gives_nothing_back_and_ends_nothing(at in any::<prop::sample::Index>(), bits in 1_u8..) {
        let mut world = World::new();
        for _ in 0..4 {
            world.call(100);
            world.tick();
            world.write();
        }
        prop_assert!(world.free_and_spent().0 > 0);
        let batch = at.index(world.batches.len());
        let cut = at.index(world.batches[batch].len());
        let mut replay = Replay::new(BOOT);
        let mut is_cut = false;
        for (number, bytes) in world.batches.iter().enumerate() {
            let bytes = if number == batch { &bytes[..cut] } else { &bytes[..] };
            is_cut |= if number == 0 { replay.whole(bytes) } else { replay.change(bytes) }.is_err();
        }
        // A cut between two entries looks like a shorter batch; the spool's own checks find that.
        prop_assert!(!is_cut || replay.owed(1).is_empty());
        let mut replay = Replay::new(BOOT);
        for (number, bytes) in world.batches.iter().enumerate() {
            let mut bytes = bytes.clone();
            if number == batch {
                bytes[cut] ^= bits;
            }
            let _ = if number == 0 { replay.whole(&bytes) } else { replay.change(&bytes) };
        }
        drop(replay.owed(1));
    }
}

/// What is asked for is written before it is asked, so that nothing is lost of what was granted to nobody.
#[test]
fn what_was_granted_at_the_very_moment_of_a_kill_is_given_back() {
    for arrives in [true, false] {
        let mut world = World::new();
        // The first question only tells the time.
        world.call(10);
        world.tick();
        world.call(10);
        world.killed_asking(arrives);
        assert_eq!(world.bank.books().0 > 0, arrives);
        world.write();
        // Once more, before that is told: it is still known.
        world.write_whole();
        world.killed();
        world.tick();
        let (granted, returned, settled) = world.bank.books_of_windows();
        assert_eq!((granted, settled), (returned, 0));
        assert!(world.holder.owed.is_empty());
    }
}

#[test]
fn what_was_told_of_units_is_what_is_held() {
    let mut world = World::new();
    let mut batches = Vec::new();
    for number in 0..40 {
        world.call(10);
        world.tick();
        if number % 3 == 0 {
            world.end(5);
        }
        world.write();
        batches.append(&mut world.batches);
    }
    let told = free_of(&batches);
    assert!(told.len() >= 2, "{told:?}");
    for ((limit_id, window), units) in told {
        let pool = &world.holder.pools[&limit_id];
        let held = pool.iter().find(|held| held.window == window).unwrap();
        assert_eq!(held.free, units);
    }
}

#[test]
fn another_start_of_the_machine_and_another_database_give_nothing_back() {
    let mut world = World::new();
    for _ in 0..3 {
        world.call(10);
        world.tick();
        world.write();
    }
    assert!(!world.replay().owed(1).is_empty());
    assert!(world.replay().owed(2).is_empty());
    let mut later = Replay::new(BOOT + 1);
    later.whole(&world.batches[0]).unwrap();
    for change in &world.batches[1..] {
        later.change(change).unwrap();
    }
    assert!(later.owed(1).is_empty());
    let mut headless = Replay::new(BOOT);
    headless.change(&world.batches[1]).unwrap_err();
    assert!(headless.owed(1).is_empty());
    assert_eq!(Replay::new(BOOT).whole(&[9, 1]), Err(JournalError::Version));
}

#[test]
fn nothing_is_written_when_nothing_changed_or_no_journal_is_kept() {
    let mut world = World::new();
    let mut change = Vec::new();
    world.holder.take_journal(&mut change);
    assert!(change.is_empty());
    let mut bank = Bank::new(None, &[]);
    let from = bank.begin(&Arc::from("replica"));
    let mut holder = Holder::new(from, 1, 1, HolderSettings::default());
    holder.whole_journal(&mut change);
    assert!(change.is_empty());
}

#[test]
fn a_batch_that_is_too_long_says_the_same_in_parts() {
    let mut world = World::new();
    for _ in 0..60 {
        world.call(10);
        world.tick();
        world.end(3);
    }
    let mut whole = Vec::new();
    world.holder.whole_journal(&mut whole);
    let parts = split(&whole, 64).unwrap();
    assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= 64));
    let owed = |batches: &[Vec<u8>]| {
        let mut replay = Replay::new(BOOT);
        for (number, batch) in batches.iter().enumerate() {
            if number == 0 {
                replay.whole(batch)
            } else {
                replay.change(batch)
            }
            .unwrap();
        }
        replay.owed(1)
    };
    assert!(!owed(std::slice::from_ref(&whole)).is_empty());
    assert_eq!(owed(&parts), owed(std::slice::from_ref(&whole)));
    assert_eq!(split(&whole, usize::MAX).unwrap(), [whole.clone()]);
    assert!(split(&whole[..whole.len() - 1], 64).is_err());
}
