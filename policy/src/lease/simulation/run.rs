//! One run: replicas, their callers, the way to the database, and what goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Wrong;
use super::bank::Bank;
use super::random::Random;
use crate::lease::clock::{DatabaseClock, Moment};
use crate::lease::exchange::{GrantWish, RefillAnswer, RefillRequest};
use crate::lease::holder::{Holder, HolderSettings, Reservation, Used, Want};
use crate::lease::pool::Pool;
use crate::limit::{Calendar, Cap, Firmness, Limit, Mode, Period, Subject, Unit, Window};

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub wrong: Option<Wrong>,
    /// Without, nothing goes wrong.
    pub faults: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// The most that a window saw beyond its cap.
    pub excess: u64,
    /// Of the caps of windows with demand enough, in thousandths.
    pub used_permille: u64,
    pub sent: u64,
    /// Calls refused while another replica held idle units, for longer than 300 ms.
    pub commits: u64,
}

const STEP_US: u64 = 5_000;
const WINDOWS: u64 = 3;
const REPLICAS: usize = 3;
const EPOCH_US: i64 = 1_700_000_040_000_000;
const ZONE: &str = "UTC";

struct World {
    plan: Plan,
    random: Random,
    bank: Bank,
    limits: Vec<Arc<Limit>>,
    tenant_id: Arc<str>,
    /// Used in each window of each limit, as the provider saw it.
    seen: BTreeMap<(usize, Window), u64>,
    calendar: Calendar,
    outcome: Outcome,
    /// Tokens of a call at most.
    tokens_max: u64,
    /// Calls in a thousand steps of a replica.
    rate_permille: u64,
    outage: Option<(u64, u64)>,
}

struct Replica {
    holder: Holder,
    /// A way that is under way: when the question arrives, when the answer does, and whether either is lost.
    asking: Option<Asking>,
    calls: Vec<Call>,
    /// Millionths by which its clock runs fast, and where it began.
    fast_ppm: i64,
    wall_off_us: i64,
    stopped_until: u64,
    began_us: u64,
    /// For the variant that tells returns before they leave the hand.
    told_early: Vec<(Arc<str>, Window, u64)>,
}

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
    tokens: u64,
}

/// Plays one run.
pub fn run(plan: Plan) -> Outcome {
    let mut world = World::new(plan);
    let mut replicas: Vec<Replica> = (0..REPLICAS).map(|number| world.replica(number, 0)).collect();
    let end_us = WINDOWS * 60_000_000;
    let mut now_us = 0;
    while now_us < end_us {
        for (number, replica) in replicas.iter_mut().enumerate() {
            world.step(number, replica, now_us);
        }
        now_us += STEP_US;
    }
    world.finish()
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let cap = match random.between(0, 5) {
            0 => 1,
            1 => 3,
            2 => 10,
            3 | 4 => 100,
            _ => 1_000,
        };
        let cap = if plan.faults { cap } else { cap.max(100) };
        let period = match random.between(0, 3) {
            0 if plan.faults => Period::RollingMinute,
            _ => Period::Minute,
        };
        let tokens_max = random.between(1, 20);
        // Demand from 0.7 to 12 times the cap.
        let demand_tenths = if plan.faults {
            random.between(7, 120)
        } else {
            random.between(30, 120)
        };
        let steps = 60_000_000 / STEP_US * REPLICAS as u64;
        let limit = |id: &str, unit, period, cap| {
            Arc::new(Limit {
                id: Arc::from(id),
                subject: Subject::Tenant,
                unit,
                period,
                zone: Arc::from(ZONE),
                cap: Cap::Units(cap),
                mode: Mode::Enforce,
                firmness: Firmness::Hard,
            })
        };
        let limits = vec![
            limit("requests", Unit::Requests, period, cap),
            limit(
                "tokens",
                Unit::Tokens,
                Period::Minute,
                cap * tokens_max * 3 / 4 + tokens_max,
            ),
            limit("day", Unit::Requests, Period::Day, cap * WINDOWS * 2),
        ];
        let outage = (plan.faults && random.once_in(2)).then(|| {
            let begins = random.between(1, WINDOWS * 60 - 16) * 1_000_000;
            (begins, begins + random.between(1, 15) * 1_000_000)
        });
        Self {
            bank: Bank::new(plan.wrong),
            limits,
            tenant_id: Arc::from("tenant"),
            seen: BTreeMap::new(),
            calendar: Calendar::utc(),
            outcome: Outcome::default(),
            tokens_max,
            rate_permille: (cap * demand_tenths * 100 / steps).max(1),
            outage,
            plan,
            random,
        }
    }

    fn replica(&mut self, number: usize, now_us: u64) -> Replica {
        let name: Arc<str> = Arc::from(format!("replica-{number}"));
        let from = self.bank.begin(&name);
        let first_lease = u128::from(self.random.next()) << 64;
        let skewed = |random: &mut Random, by: u64| {
            i64::try_from(random.between(0, 2 * by)).unwrap_or(0) - i64::try_from(by).unwrap_or(0)
        };
        let (fast_ppm, wall_off_us) = if self.plan.faults {
            (skewed(&mut self.random, 100), skewed(&mut self.random, 2_000_000))
        } else {
            (0, 0)
        };
        Replica {
            holder: Holder::new(from, 1, first_lease, HolderSettings::default()),
            asking: None,
            calls: Vec::new(),
            fast_ppm,
            wall_off_us,
            stopped_until: 0,
            began_us: now_us,
            told_early: Vec::new(),
        }
    }

    fn step(&mut self, number: usize, replica: &mut Replica, now_us: u64) {
        self.database_side(replica, now_us);
        if self.plan.faults {
            if self.random.once_in(40_000) {
                replica.stopped_until = now_us + self.random.between(10, 10_000) * 1_000;
            }
            if self.random.once_in(25_000) {
                // What was under way is gone, whether it had been sent or not.
                *replica = self.replica(number, now_us);
                return;
            }
        }
        if now_us < replica.stopped_until {
            return;
        }
        let local = replica.local(now_us);
        self.hear(replica, now_us, local);
        if self.plan.wrong == Some(Wrong::OwnClock) {
            replica.holder.clock = own_clock(replica, now_us, local);
        }
        self.call(replica, now_us, local);
        self.send(replica, now_us, local);
        self.ask(replica, now_us, local);
        for held in replica.holder.pools.values().flat_map(Pool::iter) {
            let may_be_odd = self.plan.wrong.is_some();
            assert!(
                may_be_odd || held.is_sound(),
                "I2 of seed {}: {held:?}",
                self.plan.seed
            );
        }
    }

    fn is_out(&self, now_us: u64) -> bool {
        self.outage
            .is_some_and(|(from, until)| (from..until).contains(&now_us))
    }

    /// What happens at the database does so also while the replica stands still.
    fn database_side(&mut self, replica: &mut Replica, now_us: u64) {
        let is_out = self.is_out(now_us);
        if let Some(asking) = &mut replica.asking
            && asking.answer.is_none()
            && !asking.lost_there
            && now_us >= asking.arrives_us
        {
            if is_out {
                asking.lost_there = true;
            } else {
                asking.answer = Some(self.bank.refill(&asking.request, database_ms(now_us)));
                self.outcome.commits += 1;
            }
        }
    }

    fn hear(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        let Some(asking) = replica.asking.take_if(|asking| now_us >= asking.answered_us) else {
            return;
        };
        match asking.answer {
            Some(answer) if !asking.lost_back => {
                let mut request = asking.request;
                let mut answer = answer;
                if self.plan.wrong == Some(Wrong::LateAnswerUnlabelled) {
                    unlabel(&mut replica.holder, &mut request, &mut answer, local);
                }
                replica.holder.answered(&request, &answer, asking.asked, local);
                replica.forget_told(&answer);
            }
            _ => {
                replica.holder.unanswered(local);
                if self.plan.wrong == Some(Wrong::NoAnswerGrants) {
                    let granted = believed(&asking.request);
                    for wish in &asking.request.wishes {
                        replica.holder.grant(wish, &granted, local);
                    }
                }
            }
        }
    }

    fn ask(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        if replica.asking.is_some() {
            return;
        }
        if self.plan.wrong == Some(Wrong::ReturnBeforeRemoved) {
            replica.tell_early(&mut self.random);
        }
        let Some(mut request) = replica.holder.due(local) else {
            return;
        };
        replica.add_told_early(&mut request);
        let (slow, faults) = (self.plan.faults && self.random.once_in(30), self.plan.faults);
        let mut way = || {
            if slow {
                500_000
            } else {
                self.random.between(500, 15_000)
            }
        };
        let arrives_us = now_us + way();
        let answered_us = arrives_us + way();
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

    /// Callers come. A refused one goes away; the next one asks again.
    fn call(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        let mut calls = self.rate_permille / 1_000;
        calls += u64::from(self.random.between(0, 999) < self.rate_permille % 1_000);
        for _ in 0..calls {
            let wants: Vec<Want<'_>> = self
                .limits
                .iter()
                .map(|limit| Want {
                    tenant_id: &self.tenant_id,
                    limit,
                    units: if limit.unit == Unit::Tokens {
                        self.tokens_max
                    } else {
                        1
                    },
                })
                .collect();
            let Ok(reservation) = replica.holder.reserve(local, &wants) else {
                continue;
            };
            let pause_us = if self.plan.faults && self.random.once_in(50) {
                self.random.between(0, 3_000_000)
            } else {
                0
            };
            let tokens = self.random.between(0, self.tokens_max);
            replica.calls.push(Call {
                reservation,
                sends_us: now_us + pause_us,
                tokens,
            });
        }
    }

    fn send(&mut self, replica: &mut Replica, now_us: u64, local: Moment) {
        let mut later = Vec::new();
        for call in std::mem::take(&mut replica.calls) {
            if call.sends_us > now_us {
                later.push(call);
            } else if replica.holder.may_send(&call.reservation, local) {
                self.see(&call, now_us);
                let used = Used {
                    input_tokens: Some(call.tokens),
                    output_tokens: Some(0),
                    nano_dollars: None,
                };
                replica.holder.settle(call.reservation, &used, local);
            } else {
                replica.holder.unused(call.reservation, local);
            }
        }
        replica.calls = later;
    }

    fn see(&mut self, call: &Call, now_us: u64) {
        self.outcome.sent += 1;
        for (number, limit) in self.limits.iter().enumerate() {
            let window = self.calendar.window(limit.period, database_ms(now_us));
            let units = if limit.unit == Unit::Tokens {
                call.tokens
            } else {
                1
            };
            *self.seen.entry((number, window)).or_default() += units;
        }
    }

    fn finish(mut self) -> Outcome {
        let (mut used, mut caps) = (0, 0);
        for (number, limit) in self.limits.iter().enumerate() {
            let Cap::Units(cap) = limit.cap else { continue };
            let windows: Vec<(Window, u64)> = self
                .seen
                .iter()
                .filter(|((of, _), _)| *of == number)
                .map(|((_, window), units)| (*window, *units))
                .collect();
            for (window, units) in &windows {
                let near = windows.iter().filter(|(other, _)| {
                    other.start_ms >= window.start_ms && other.start_ms < window.start_ms + 60_000
                });
                let in_all: u64 = if limit.period == Period::RollingMinute {
                    near.map(|(_, units)| units).sum()
                } else {
                    *units
                };
                self.outcome.excess = self.outcome.excess.max(in_all.saturating_sub(cap));
            }
            if limit.period == Period::Minute && limit.unit == Unit::Requests {
                used += windows.iter().map(|(_, units)| units).sum::<u64>();
                caps += cap * WINDOWS;
            }
        }
        self.outcome.used_permille = (used * 1_000).checked_div(caps).unwrap_or(1_000);
        let (granted, returned, settled) = self.bank.books();
        let is_right = self.plan.wrong.is_some() || returned + settled <= granted;
        assert!(is_right, "C3 of seed {}", self.plan.seed);
        self.outcome
    }
}

impl Replica {
    /// Its clock that only runs, which begins anew with the process.
    fn local(&self, now_us: u64) -> Moment {
        let ran = now_us - self.began_us;
        let off = i64::try_from(ran).unwrap_or(0) * self.fast_ppm / 1_000_000;
        ran.saturating_add_signed(off) + 1
    }

    fn tell_early(&mut self, random: &mut Random) {
        for pool in self.holder.pools.values_mut() {
            let limit_id = pool.limit.id.clone();
            for held in pool.all() {
                if held.free > 0 && random.once_in(200) {
                    self.told_early.push((limit_id.clone(), held.window, held.free));
                }
            }
        }
    }

    fn add_told_early(&mut self, request: &mut RefillRequest) {
        for (limit_id, window, units) in &self.told_early {
            let Some(pool) = self.holder.pools.get(limit_id) else {
                continue;
            };
            let held = pool.iter().find(|held| held.window == *window);
            // The same units are told and go on being spent until the answer is there.
            let mut copy = held.cloned();
            if let Some(copy) = &mut copy {
                copy.let_go(*units);
                request.returns.extend(copy.returns(false));
            }
        }
    }

    fn forget_told(&mut self, answer: &RefillAnswer) {
        let _ = answer;
        for (limit_id, window, units) in std::mem::take(&mut self.told_early) {
            if let Some(pool) = self.holder.pools.get_mut(&limit_id) {
                pool.held(window).let_go(units);
            }
        }
    }
}

fn database_ms(now_us: u64) -> i64 {
    (EPOCH_US + i64::try_from(now_us).unwrap_or(i64::MAX)) / 1_000
}

/// A clock that is believed to show exactly the database's time.
fn own_clock(replica: &Replica, now_us: u64, local: Moment) -> DatabaseClock {
    let shown_ms = database_ms(now_us) + replica.wall_off_us / 1_000;
    let mut clock = DatabaseClock::default();
    clock.learn(local, local, shown_ms);
    clock
}

fn believed(request: &RefillRequest) -> RefillAnswer {
    let grants = request.wishes.iter().map(|wish| crate::lease::exchange::Grant {
        lease: wish.lease,
        window: wish.window,
        units: wish.units,
    });
    RefillAnswer {
        standing: crate::lease::exchange::Standing::Current,
        store_epoch: request.store_epoch,
        database_ms: 0,
        grants: grants.collect(),
        returns: Vec::new(),
        counters: Vec::new(),
        replicas: 3,
    }
}

/// Makes the units of an answer belong to whatever window is under way.
fn unlabel(holder: &mut Holder, request: &mut RefillRequest, answer: &mut RefillAnswer, now: Moment) {
    let Some(time) = holder.clock.at(now) else { return };
    for wish in &mut request.wishes {
        let Some(pool) = holder.pools.get_mut(&wish.limit_id) else {
            continue;
        };
        let Some(current) = pool.current(time) else {
            continue;
        };
        let asked: Option<GrantWish> = pool.held(wish.window).wish.take();
        pool.held(current).wish = asked.or(pool.held(current).wish.take());
        wish.window = current;
        for grant in answer.grants.iter_mut().filter(|grant| grant.lease == wish.lease) {
            grant.window = current;
        }
    }
}
