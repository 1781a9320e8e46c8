//! One run: replicas, their callers, the way to the database, and what goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Wrong;
use super::bank::Bank;
use super::plan::{EPOCH_US, Fate, Outcome, Plan, REPLICAS, STEP_US, WINDOWS};
use super::random::Random;
use super::wrong;
use crate::lease::clock::Moment;
use crate::lease::exchange::{RefillAnswer, RefillRequest};
use crate::lease::holder::{DeniedWhy, Holder, HolderSettings, Reservation, Used, Want};
use crate::lease::journal::Replay;
use crate::lease::pool::Pool;
use crate::limit::{Calendar, Cap, Limit, Period, ROLLING_SLOT_MS, ROLLING_SLOTS, Unit, Window};

/// How long callers wait.
const ACQUIRE_WAIT_US: u64 = 250_000;

/// All that there is.
struct World {
    plan: Plan,
    random: Random,
    fate: Fate,
    bank: Bank,
    /// As it was when it was copied.
    copy: Option<Bank>,
    tenant_id: Arc<str>,
    calendar: Calendar,
    /// Used in each window of each limit, as the provider saw it, by the database's clock.
    seen: BTreeMap<(usize, Window), u64>,
    /// Used in each window of each limit, by the name of the window that its units bear.
    labelled: BTreeMap<(usize, Window), u64>,
    /// Questions that are still on their way although nobody waits for an answer.
    stray: Vec<(u64, RefillRequest)>,
    /// Processes whose place was taken, and which have not heard of it.
    zombies: Vec<Replica>,
    outcome: Outcome,
}

pub(super) struct Replica {
    pub(super) holder: Holder,
    limits: Vec<Arc<Limit>>,
    /// When it hears of the caps that change.
    hears_us: u64,
    asking: Option<Asking>,
    calls: Vec<Call>,
    /// Callers who wait for an answer of the database, and until when.
    waiting: Vec<u64>,
    /// An answer has come since they looked.
    has_news: bool,
    /// Millionths by which its clock runs fast, by how much it is wrong, and when it began.
    fast_ppm: i64,
    pub(super) wall_off_us: i64,
    stopped_until: u64,
    began_us: u64,
    /// What it has written down, if it keeps a journal.
    journal: Option<Vec<Vec<u8>>>,
    /// For the variant that tells returns before they leave the hand.
    pub(super) told_early: Vec<(Arc<str>, Window, u64)>,
}

/// A question that is under way: when it arrives, when its answer does, and whether either is lost.
struct Asking {
    request: RefillRequest,
    asked: Moment,
    arrives_us: u64,
    answered_us: u64,
    answer: Option<RefillAnswer>,
    lost_there: bool,
    lost_back: bool,
}

struct Call {
    reservation: Reservation,
    sends_us: u64,
    lasts_us: u64,
    was_sent: bool,
    tokens: u64,
}

/// Plays one run.
pub fn run(plan: Plan) -> Outcome {
    let mut world = World::new(plan);
    let mut replicas: Vec<Replica> = (0..REPLICAS).map(|number| world.replica(number, 0)).collect();
    let end_us = WINDOWS * 60_000_000;
    let mut now_us = 0;
    while now_us < end_us {
        world.arrive(now_us);
        for (number, replica) in replicas.iter_mut().enumerate() {
            world.step(number, replica, now_us);
        }
        for mut zombie in std::mem::take(&mut world.zombies) {
            world.live(&mut zombie, now_us);
            if !zombie.holder.is_superseded() {
                world.zombies.push(zombie);
            }
        }
        world.look_at_calls(&replicas);
        now_us += STEP_US;
    }
    world.close_books(replicas, now_us);
    world.finish()
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let fate = Fate::of(plan, &mut random);
        Self {
            plan,
            random,
            bank: Bank::new(plan.wrong, &fate.limits),
            copy: None,
            fate,
            tenant_id: Arc::from("tenant"),
            calendar: Calendar::utc(),
            seen: BTreeMap::new(),
            labelled: BTreeMap::new(),
            stray: Vec::new(),
            zombies: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    fn replica(&mut self, number: usize, now_us: u64) -> Replica {
        let name: Arc<str> = Arc::from(format!("replica-{number}"));
        let from = self.bank.begin(&name);
        let first_lease = u128::from(self.random.next()) << 64;
        let (fast_ppm, wall_off_us) = if self.plan.faults {
            (self.random.around(100), self.random.around(2_000_000))
        } else {
            (0, 0)
        };
        let settings = HolderSettings {
            ahead_permille: self.fate.ahead_permille,
            ..HolderSettings::default()
        };
        let mut holder = Holder::new(from, self.bank.epoch(), first_lease, settings);
        let journal = self.fate.keeps_journals.then(|| {
            holder.keep_journal(1);
            let mut whole = Vec::new();
            holder.whole_journal(&mut whole);
            vec![whole]
        });
        let (limits, hears_us) = match &self.fate.change {
            Some((at_us, limits)) if now_us >= *at_us => (limits.clone(), u64::MAX),
            Some((at_us, _)) => {
                let hears_us = at_us + self.random.between(0, 1_000_000);
                (self.fate.limits.clone(), hears_us)
            }
            None => (self.fate.limits.clone(), u64::MAX),
        };
        Replica {
            holder,
            limits,
            hears_us,
            asking: None,
            calls: Vec::new(),
            waiting: Vec::new(),
            has_news: false,
            fast_ppm,
            wall_off_us,
            stopped_until: 0,
            began_us: now_us,
            journal,
            told_early: Vec::new(),
        }
    }

    fn database_ms(&self, now_us: u64) -> i64 {
        let now = EPOCH_US + i64::try_from(now_us).unwrap_or(i64::MAX);
        let jumped = self.fate.jump.filter(|(at_us, _)| now_us >= *at_us);
        (now + jumped.map_or(0, |(_, by_us)| by_us)).div_euclid(1_000)
    }

    fn refill(&mut self, request: &RefillRequest, now_us: u64) -> RefillAnswer {
        self.outcome.commits += 1;
        self.bank.refill(request, self.database_ms(now_us))
    }

    /// What happens at the database by itself.
    fn arrive(&mut self, now_us: u64) {
        if let Some((at_us, limits)) = &self.fate.change
            && (*at_us..at_us + STEP_US).contains(&now_us)
        {
            self.bank.set_caps(limits);
        }
        if let Some((copied_us, taken_over_us)) = self.fate.fail_over {
            if (copied_us..copied_us + STEP_US).contains(&now_us) {
                self.copy = Some(self.bank.clone());
            }
            if (taken_over_us..taken_over_us + STEP_US).contains(&now_us)
                && let Some(copy) = self.copy.take()
            {
                let lost = std::mem::replace(&mut self.bank, copy);
                self.bank.take_over(&lost, self.database_ms(now_us));
                // Whoever administers the limits sees to it that they are as they were.
                let changed = self.fate.change.as_ref().filter(|(at_us, _)| now_us >= *at_us);
                self.bank
                    .set_caps(changed.map_or(&self.fate.limits, |(_, limits)| limits));
            }
        }
        if self.stray.iter().any(|(arrives_us, _)| *arrives_us <= now_us) {
            for (arrives_us, request) in std::mem::take(&mut self.stray) {
                if arrives_us > now_us {
                    self.stray.push((arrives_us, request));
                } else if !self.fate.is_out(now_us) {
                    self.refill(&request, now_us);
                }
            }
        }
    }

    fn step(&mut self, number: usize, replica: &mut Replica, now_us: u64) {
        if self.plan.faults {
            if self.random.once_in(40_000) {
                let most_ms = if self.random.once_in(4) { 70_000 } else { 10_000 };
                let stopped_until = now_us + self.random.between(10, most_ms) * 1_000;
                replica.stopped_until = stopped_until.min(self.fate.waited_until_us(now_us));
            }
            if self.random.once_in(25_000) && !self.fate.is_irreplaceable(now_us) {
                return self.die(number, replica, now_us);
            }
        }
        self.live(replica, now_us);
    }

    /// The process ends, and another takes its place. What was under way is gone, whether it had been sent or not.
    fn die(&mut self, number: usize, replica: &mut Replica, now_us: u64) {
        let mut next = self.replica(number, now_us);
        std::mem::swap(replica, &mut next);
        let mut old = next;
        if old.journal.is_none() && self.random.once_in(4) {
            // Somewhere else, with the same name: the old one does not know that it is not wanted any more.
            return self.zombies.push(old);
        }
        let on_its_way = old.asking.take();
        self.stray.extend(
            on_its_way
                .filter(|asking| asking.answer.is_none() && !asking.lost_there)
                .map(|asking| (asking.arrives_us, asking.request)),
        );
        if let Some(batches) = old.journal {
            let mut replay = Replay::new(1);
            for (number, batch) in batches.iter().enumerate() {
                let read = if number == 0 {
                    replay.whole(batch)
                } else {
                    replay.change(batch)
                };
                assert_eq!(read, Ok(()), "the journal of seed {}", self.plan.seed);
            }
            replica.holder.inherit(replay);
            replica.write_whole();
        }
    }

    fn live(&mut self, replica: &mut Replica, now_us: u64) {
        self.database_side(replica, now_us);
        if now_us < replica.stopped_until {
            return;
        }
        if now_us >= replica.hears_us
            && let Some((_, limits)) = &self.fate.change
        {
            replica.limits.clone_from(limits);
            replica.hears_us = u64::MAX;
        }
        let local = replica.local(now_us);
        self.hear(replica, now_us, local);
        if self.plan.wrong == Some(Wrong::OwnClock) {
            wrong::own_clock(replica, self.database_ms(now_us), local);
        }
        self.call(replica, now_us, local);
        self.send(replica, now_us, local);
        if now_us.is_multiple_of(4 * STEP_US) {
            self.ask(replica, now_us, local);
            self.check(replica);
        }
    }

    fn check(&self, replica: &mut Replica) {
        let broken = replica.holder.take_broken();
        let mut all = replica.holder.pools.values().flat_map(Pool::iter);
        let odd = all.find(|held| !held.is_sound());
        assert!(
            (odd.is_none() && broken.all() == 0) || self.plan.wrong.is_some(),
            "I2 of seed {}: {odd:?} {broken:?}",
            self.plan.seed
        );
    }

    /// What happens at the database does so also while the replica stands still.
    fn database_side(&mut self, replica: &mut Replica, now_us: u64) {
        let is_out = self.fate.is_out(now_us);
        let Some(asking) = &mut replica.asking else { return };
        let arrives = asking.answer.is_none() && !asking.lost_there && now_us >= asking.arrives_us;
        if !arrives {
            return;
        }
        if is_out {
            asking.lost_there = true;
        } else {
            asking.answer = Some(self.refill(&asking.request, now_us));
        }
    }

    fn hear(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        let Some(asking) = replica.asking.take_if(|asking| now_us >= asking.answered_us) else {
            return;
        };
        replica.has_news = true;
        let mut request = asking.request;
        match asking.answer {
            Some(mut answer) if !asking.lost_back => {
                if self.plan.wrong == Some(Wrong::OwnClock) {
                    answer.database_ms = wrong::shown_ms(replica, self.database_ms(now_us));
                }
                if self.plan.wrong == Some(Wrong::LateAnswerUnlabelled) {
                    wrong::unlabel(&mut replica.holder, &mut request, &mut answer, local);
                }
                replica.holder.answered(&request, &answer, asking.asked, local);
                wrong::forget_told_early(replica);
            }
            answer => {
                replica.holder.unanswered(local);
                if self.plan.wrong == Some(Wrong::NoAnswerGrants) {
                    wrong::believe(&mut replica.holder, &request, local);
                }
                // Some that seem lost arrive after all, much later.
                if answer.is_none() && self.random.once_in(2) {
                    let arrives_us = now_us + self.random.between(0, 20_000_000);
                    self.stray.push((arrives_us, request));
                }
            }
        }
    }

    fn ask(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        if replica.asking.is_some() {
            return;
        }
        if self.plan.wrong == Some(Wrong::ReturnBeforeRemoved) {
            wrong::tell_early(replica, &mut self.random);
        }
        let Some(mut request) = replica.holder.due(local) else {
            return;
        };
        replica.write();
        wrong::add_told_early(replica, &mut request);
        let faults = self.plan.faults;
        let slow = faults && self.random.once_in(30);
        let way = |random: &mut Random| {
            if slow {
                500_000
            } else {
                random.between(500, 15_000)
            }
        };
        let arrives_us = now_us + way(&mut self.random);
        let answered_us = arrives_us + way(&mut self.random);
        replica.asking = Some(Asking {
            request,
            asked: local,
            arrives_us,
            answered_us,
            answer: None,
            lost_there: faults && self.random.once_in(25),
            lost_back: faults && self.random.once_in(25),
        });
    }

    /// Callers come. Those for whom it is worth waiting do so for a while.
    fn call(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        let looks_again = std::mem::take(&mut replica.has_news);
        let waiting = std::mem::take(&mut replica.waiting);
        let (mut looking, waiting): (Vec<u64>, Vec<u64>) = waiting
            .into_iter()
            .partition(|until_us| looks_again || now_us >= *until_us);
        replica.waiting = waiting;
        let mut calls = self.fate.rate_permille / 1_000;
        calls += u64::from(self.random.between(0, 999) < self.fate.rate_permille % 1_000);
        looking.extend((0..calls).map(|_| now_us + ACQUIRE_WAIT_US));
        if looking.is_empty() {
            return;
        }
        let wants: Vec<Want<'_>> = replica
            .limits
            .iter()
            .map(|limit| Want {
                tenant_id: &self.tenant_id,
                limit,
                units: units(limit, self.fate.tokens_max),
            })
            .collect();
        for until_us in looking {
            let reservation = match replica.holder.reserve(local, &wants) {
                Ok(reservation) => reservation,
                Err(denied) => {
                    let may_wait = matches!(denied.why, DeniedWhy::Waiting | DeniedWhy::Boundary);
                    replica
                        .waiting
                        .extend((may_wait && now_us < until_us).then_some(until_us));
                    continue;
                }
            };
            let rarely = |random: &mut Random, times, most_us| {
                if self.plan.faults && random.once_in(times) {
                    random.between(0, most_us)
                } else {
                    0
                }
            };
            replica.calls.push(Call {
                reservation,
                sends_us: now_us + rarely(&mut self.random, 50, 3_000_000),
                lasts_us: rarely(&mut self.random, 4, 5_000_000),
                was_sent: false,
                tokens: self.random.between(0, self.fate.tokens_max),
            });
        }
    }

    fn send(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        if replica.calls.is_empty() {
            return;
        }
        replica.write();
        for mut call in std::mem::take(&mut replica.calls) {
            let is_due = now_us >= call.sends_us;
            if is_due && call.was_sent {
                let used = Used {
                    input_tokens: Some(call.tokens),
                    output_tokens: Some(0),
                    nano_dollars: None,
                };
                replica.holder.settle(call.reservation, &used, local);
            } else if is_due {
                let fails = self.plan.faults && self.random.once_in(50);
                if fails || !replica.holder.may_send(&call.reservation, local) {
                    replica.holder.unused(call.reservation, local);
                    continue;
                }
                self.see(&call, now_us);
                call.was_sent = true;
                call.sends_us += call.lasts_us.max(STEP_US);
                replica.calls.push(call);
            } else {
                replica.calls.push(call);
            }
        }
    }

    /// The provider gets a call.
    fn see(&mut self, call: &Call, now_us: u64) {
        self.outcome.sent += 1;
        let database_ms = self.database_ms(now_us);
        let counted = |limit: &Limit| limit.unit != Unit::Concurrent;
        let of_windows = self.fate.limits.iter().enumerate();
        for (number, limit) in of_windows.filter(|(_, limit)| counted(limit)) {
            let window = self.calendar.window(limit.period, database_ms);
            *self.seen.entry((number, window)).or_default() += units(limit, call.tokens);
        }
        let labels = call.reservation.pieces.iter().zip(&self.fate.limits).enumerate();
        for (number, (piece, limit)) in labels.filter(|(_, (_, limit))| counted(limit)) {
            *self.labelled.entry((number, piece.window)).or_default() += units(limit, call.tokens);
        }
    }

    /// How many calls are under way, at whichever replica. One whose place was taken is no replica any more.
    fn look_at_calls(&mut self, replicas: &[Replica]) {
        let Some(most) = self.fate.calls_max else { return };
        let calls = replicas.iter().flat_map(|replica| &replica.calls);
        let under_way = calls.filter(|call| call.was_sent).count() as u64;
        self.outcome.excess = self.outcome.excess.max(under_way.saturating_sub(most));
    }

    /// All are killed, and those who come after them give back what they left.
    fn close_books(&mut self, replicas: Vec<Replica>, now_us: u64) {
        // What is dropped when a clock jumps, and what a database forgets, is lost.
        let is_exact = self.plan.wrong.is_none() && self.fate.jump.is_none() && self.fate.fail_over.is_none();
        if !self.fate.keeps_journals || !is_exact {
            return;
        }
        for (number, mut replica) in replicas.into_iter().enumerate() {
            self.die(number, &mut replica, now_us);
            let local = replica.local(now_us);
            if let Some(request) = replica.holder.due(local) {
                self.refill(&request, now_us);
            }
        }
        let (granted, returned, settled) = self.bank.books_of_windows();
        assert_eq!(granted, returned + settled, "burnt by seed {}", self.plan.seed);
    }

    fn finish(mut self) -> Outcome {
        let mut excess = self.outcome.excess.max(self.excess(&self.labelled));
        // Where the database's own clock jumps, a call may lie in another window by it than the one whose units it has.
        if self.fate.jump.is_none() {
            excess = excess.max(self.excess(&self.seen));
        }
        self.outcome.excess = excess;
        let (mut used, mut caps) = (0, 0);
        for (number, limit) in self.fate.limits.iter().enumerate() {
            let Cap::Units(cap) = limit.cap else { continue };
            let is_free = self.fate.calls_max.is_none();
            if is_free && limit.period == Period::Minute && limit.unit == Unit::Requests {
                let windows = self.seen.iter().filter(|((of, _), _)| *of == number);
                used += windows.map(|(_, units)| units).sum::<u64>();
                caps += cap * WINDOWS;
            }
        }
        self.outcome.used_permille = (used * 1_000).checked_div(caps).map(|used| used.min(1_000));
        let (granted, returned, settled) = self.bank.books_of_windows();
        let is_right = self.plan.wrong.is_some() || returned + settled <= granted;
        assert!(is_right, "C3 of seed {}", self.plan.seed);
        self.outcome
    }

    /// The most that any window saw beyond its cap.
    fn excess(&self, seen: &BTreeMap<(usize, Window), u64>) -> u64 {
        let beyond = |((number, window), units): (&(usize, Window), &u64)| {
            let limit = self.fate.limits.get(*number)?;
            let rolls_to = window.start_ms + ROLLING_SLOTS * ROLLING_SLOT_MS;
            let in_all: u64 = if limit.period == Period::RollingMinute {
                let from = (*number, *window);
                let slots = seen
                    .range(from..)
                    .take_while(|((of, slot), _)| of == number && slot.start_ms < rolls_to);
                slots.map(|(_, units)| units).sum()
            } else {
                *units
            };
            Some(in_all.saturating_sub(self.fate.cap(*number, *window)))
        };
        seen.iter().filter_map(beyond).max().unwrap_or_default()
    }
}

impl Replica {
    /// Its clock that only runs, which begins anew with the process.
    fn local(&self, now_us: u64) -> Moment {
        let ran = now_us - self.began_us;
        let off = i64::try_from(ran).unwrap_or(0) * self.fast_ppm / 1_000_000;
        ran.saturating_add_signed(off) + 1
    }

    fn write(&mut self) {
        if let Some(batches) = &mut self.journal {
            let mut change = Vec::new();
            self.holder.take_journal(&mut change);
            if !change.is_empty() {
                batches.push(change);
            }
            if batches.len() > 500 {
                self.write_whole();
            }
        }
    }

    fn write_whole(&mut self) {
        if let Some(batches) = &mut self.journal {
            let mut whole = Vec::new();
            self.holder.whole_journal(&mut whole);
            *batches = vec![whole];
        }
    }
}

fn units(limit: &Limit, tokens: u64) -> u64 {
    if limit.unit == Unit::Tokens { tokens } else { 1 }
}
