//! What a replica asks of the database, and tells it, once a tick; and what it makes of the answer.
//!
//! A question that has no answer is unknown, not failed: its wishes are asked again under the same names, and its returns
//! are told again, until an answer comes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::clock::{Interval, Moment};
use super::demand::Demand;
use super::exchange::{Grant, GrantWish, LeaseId, RefillAnswer, RefillRequest, Standing};
use super::held::Held;
use super::holder::Holder;
use super::pool::{Pool, bounds, is_over};
use crate::limit::{Cap, Period, Window};

/// What is asked for ahead of need: so many seconds of use.
pub(super) const CHUNK_S: f64 = 0.5;
/// The same in windows of an hour or more, where so much more is at stake that less often is often enough.
const LONG_CHUNK_S: f64 = 10.0;
const LONG_MS: i64 = 3_600_000;
/// What is kept although others wait: so many seconds of use.
const KEPT_S: f64 = 0.2;
/// The time at the database is asked for so long after the last answer, in microseconds, though nothing else is needed: what
/// is known of it grows vague, and a replica that is not heard of counts as gone.
const QUIET_US: u64 = 5_000_000;
/// A replica that has heard nothing for so long, in microseconds, may count as gone: what is held only while calls last has
/// been given to others. No call lasts that long.
const GONE_US: u64 = 65 * 60 * 1_000_000;
/// Empty answers before a window counts as used up.
const DRY_ANSWERS: u32 = 4;
/// Limits that one question is about, those for which callers wait first; the others have their turn with the next ones. Both
/// the database and the lock that all calls take are held up for no longer than that many need.
const LIMITS_AT_ONCE: usize = 1_000;
/// And so many wishes or returns, but for those of the last limit.
const SAID_AT_ONCE: usize = 2_000;
/// Between two looks for what is remembered of windows that are over, in microseconds.
const FORGET_US: u64 = 10_000_000;

impl Holder {
    /// The question that is due now, if there is one.
    pub fn due(&mut self, now: Moment) -> Option<RefillRequest> {
        let is_soon = |asked: Moment| now < asked.saturating_add(self.settings.tick_us);
        if self.superseded || self.asked_at.is_some_and(is_soon) {
            return None;
        }
        if let Some(report) = self.report() {
            self.asked_at = Some(now);
            return Some(report);
        }
        let mut request = self.question();
        self.tell_owed(SAID_AT_ONCE, &mut request.returns, &mut request.settled);
        if let Some(time) = self.clock.at(now) {
            self.go_round(now, time, &mut request);
            if now.saturating_sub(self.forgot_at) >= FORGET_US {
                self.forgot_at = now;
                self.dormant.forget(time);
            }
        }
        let has_something = !(request.wishes.is_empty() && request.returns.is_empty());
        let is_quiet = self
            .heard_at
            .is_none_or(|heard| now.saturating_sub(heard) >= QUIET_US);
        let is_due = has_something || (is_quiet && !self.holds_nothing());
        if is_due {
            self.asked_at = Some(now);
        }
        is_due.then_some(request)
    }

    /// Looks at the limits whose turn it is.
    fn go_round(&mut self, now: Moment, time: Interval, request: &mut RefillRequest) {
        let mut pools = std::mem::take(&mut self.pools);
        let mut forgotten: Vec<Arc<str>> = Vec::new();
        let mut looked = 0;
        let mut look = |holder: &mut Self, pool: &mut Pool| {
            if pool.looked_at != Some(now) {
                pool.looked_at = Some(now);
                looked += 1;
                holder.ask(pool, now, time, request);
                if holder.is_forgotten(pool, now) {
                    forgotten.push(pool.limit.id.clone());
                }
            }
            looked < LIMITS_AT_ONCE && request.wishes.len().max(request.returns.len()) < SAID_AT_ONCE
        };
        let mut wanted = std::mem::take(&mut self.wanted);
        let mut goes_on = true;
        while goes_on && let Some(limit_id) = wanted.pop_front() {
            if let Some(pool) = pools.get_mut(&limit_id) {
                pool.is_wanted = false;
                goes_on = look(self, pool);
            }
        }
        self.wanted = wanted;
        let (all, first) = (pools.len(), self.next_pool.min(pools.len()));
        let mut passed = 0;
        for place in [first..all, 0..first] {
            for pool in pools.values_mut().skip(place.start).take(place.len()) {
                if !goes_on {
                    break;
                }
                passed += 1;
                goes_on = look(self, pool);
            }
        }
        self.next_pool = (first + passed).checked_rem(all).unwrap_or(0);
        for limit_id in forgotten {
            if let Some(mut pool) = pools.remove(&limit_id) {
                pool.iter().for_each(|held| self.journal.forget(held));
                self.dormant.put(&mut pool);
            }
        }
        self.pools = pools;
    }

    /// Gives everything back that is not in use, and asks for nothing more.
    pub fn stop(&mut self) -> Option<RefillRequest> {
        let report = self.report();
        if report.is_some() {
            return report;
        }
        self.journal.touch_all();
        let mut request = self.question();
        self.tell_owed(SAID_AT_ONCE, &mut request.returns, &mut request.settled);
        let mut pools = std::mem::take(&mut self.pools);
        for pool in pools.values_mut() {
            let has_cap = pool.limit.cap != Cap::Unlimited;
            let owing = pool
                .iter()
                .filter(|held| has_cap && held.owed() > 0 && held.dry == 0);
            let owing: Vec<Window> = owing.map(|held| held.window).collect();
            for held in pool.all() {
                held.let_go(held.free);
                held.close(true);
                if request.wishes.len().max(request.returns.len()) < SAID_AT_ONCE {
                    // What was wished for may have been granted: it is asked for once more, so that it can be given back.
                    request.wishes.extend(held.wish.clone());
                    held.tell(&mut request.returns, &mut request.settled);
                }
            }
            for window in owing {
                self.wish_owed(pool, window, &mut request);
            }
        }
        self.pools = pools;
        let has_something = !(request.wishes.is_empty() && request.returns.is_empty());
        has_something.then_some(request)
    }

    fn question(&self) -> RefillRequest {
        RefillRequest {
            from: self.from.clone(),
            store_epoch: self.store_epoch,
            turn: self.turn,
            wishes: Vec::new(),
            returns: Vec::new(),
            settled: Vec::new(),
            reports: None,
        }
    }

    /// What a database has to be told that may have forgotten it, before anything else is asked of it.
    fn report(&self) -> Option<RefillRequest> {
        let known = self.reporting?;
        let mut reports = Vec::new();
        for pool in self.pools.values() {
            pool.reports(known, &mut reports);
        }
        self.dormant.reports(known, &mut reports);
        Some(RefillRequest {
            reports: Some(reports),
            ..self.question()
        })
    }

    fn is_forgotten(&self, pool: &Pool, now: Moment) -> bool {
        pool.is_empty() && now.saturating_sub(pool.last_used) > self.settings.idle_us.saturating_mul(10)
    }

    fn ask(&mut self, pool: &mut Pool, now: Moment, time: Interval, request: &mut RefillRequest) {
        self.look_at_sums(pool);
        self.journal.touch_limit(&pool.limit.id);
        pool.demand.look(now);
        if self.settings.ahead_permille > 0 {
            self.end_ahead(pool, time);
        }
        pool.forget(time, |held| self.journal.forget(held));
        let (demand, is_idle) = (pool.demand, now.saturating_sub(pool.last_used) > self.idle_us());
        for held in pool.all() {
            let over = is_over(time, held.window);
            if over || is_idle {
                held.let_go(held.free);
            } else {
                share(held, demand);
            }
            held.close(over && held.under_way == 0 && held.wish.is_none());
            held.tell(&mut request.returns, &mut request.settled);
        }
        if pool.limit.cap == Cap::Unlimited {
            return;
        }
        let asked_before = request.wishes.len();
        let current = pool.current(time);
        // What was given back since nobody uses it would be granted and given back again, for ever. What was used beyond what
        // was granted is owed all the same: once it is granted the database knows of it, whatever becomes of this process.
        if let Some(current) = current.filter(|current| is_idle && pool.owes(*current)) {
            self.wish_owed(pool, current, request);
        }
        if let Some(current) = current.filter(|_| !is_idle) {
            self.wish(pool, now, current, request);
            let ends_soon = time.to_us >= bounds(current).1.saturating_sub(self.settings.ahead_us);
            if ends_soon && pool.limit.period != Period::Always {
                let next = pool.next(current);
                self.wish(pool, now, next, request);
            }
            if self.settings.ahead_permille > 0 {
                self.wish_ahead(pool, current, request);
            }
        }
        // What was asked before and never answered.
        for wish in pool.iter().filter_map(|held| held.wish.as_ref()) {
            let of_this = request.wishes.get(asked_before..).unwrap_or_default();
            if of_this.iter().all(|asked| asked.lease != wish.lease) {
                request.wishes.push(wish.clone());
            }
        }
    }

    /// Wishes for units of a window, or only asks how it stands while some are held.
    fn wish(&mut self, pool: &mut Pool, now: Moment, window: Window, request: &mut RefillRequest) {
        let (limit_id, tenant_id, cap) = (pool.limit.id.clone(), pool.tenant_id.clone(), pool.limit.cap);
        let (demand, replicas) = (pool.demand, u64::from(self.replicas.max(1)));
        let held = pool.held(window);
        if held.wish.is_some() || held.dry_until > now {
            return;
        }
        let left = held.standing.map(|known| known.left);
        let is_contended = held.standing.is_some_and(|known| known.contended);
        let chunk_max = left.map_or(1, |left| (left / (2 * replicas)).max(1));
        let is_long = window.end_ms.saturating_sub(window.start_ms) >= LONG_MS && !held.is_endless();
        let chunk_s = if is_long { LONG_CHUNK_S } else { CHUNK_S };
        let mut chunk = demand.at_least_one_call(chunk_s).clamp(1, chunk_max);
        let mut low = demand.at_least_one_call(CHUNK_S / 2.0).min(chunk_max);
        if is_long && !is_contended && self.settings.ahead_permille > 0 {
            chunk = self.chunk_ahead(pool, left, chunk);
            low = low.max(chunk / 2);
        }
        let held = pool.held(window);
        held.low = low;
        let unmet = std::mem::take(&mut held.unmet);
        let is_low = held.free < low && left != Some(0);
        let units = match (unmet > 0, is_low) {
            (true, _) => unmet.max(chunk),
            (false, true) => chunk,
            (false, false) => 0,
        };
        let units = units.saturating_add(held.owed());
        if units == 0 && held.free == 0 {
            return;
        }
        let wish = GrantWish {
            lease: self.lease_id(),
            tenant_id,
            limit_id,
            window,
            cap,
            units,
            contended: unmet > left.unwrap_or(u64::MAX),
        };
        // To ask how a window stands needs no answer.
        if units > 0 {
            held.wish = Some(wish.clone());
        }
        request.wishes.push(wish);
    }

    /// Wishes for what is owed to a window, and no more.
    fn wish_owed(&mut self, pool: &mut Pool, window: Window, request: &mut RefillRequest) {
        let (limit_id, tenant_id, cap) = (pool.limit.id.clone(), pool.tenant_id.clone(), pool.limit.cap);
        let held = pool.held(window);
        if held.wish.is_some() {
            return;
        }
        let wish = GrantWish {
            lease: self.lease_id(),
            tenant_id,
            limit_id,
            window,
            cap,
            units: held.owed(),
            contended: false,
        };
        held.wish = Some(wish.clone());
        request.wishes.push(wish);
    }

    /// Takes in the answer to a question that was asked at `asked` and answered at `answered`. Those who wait should look
    /// again then.
    pub fn answered(
        &mut self,
        request: &RefillRequest,
        answer: &RefillAnswer,
        asked: Moment,
        answered: Moment,
    ) {
        self.away_since = None;
        // What was asked by another run, or of another database, changes nothing here.
        if request.from != self.from || request.store_epoch != self.store_epoch {
            self.broken.answers += u64::from(!answer.grants.is_empty());
            return;
        }
        match answer.standing {
            Standing::Superseded => {
                self.superseded = true;
                return self.burn();
            }
            Standing::OtherStore => return self.found_another(answer),
            Standing::Current | Standing::Learning => {}
        }
        self.broken.answers += u64::from(answer.store_epoch != self.store_epoch);
        if request.reports.is_some() {
            self.reporting = None;
            self.asked_at = None;
        }
        self.is_learning = answer.standing == Standing::Learning;
        self.turn = self.turn.max(answer.turn);
        self.replicas = answer.replicas;
        let unheard_us = self.heard_at.map(|heard| asked.saturating_sub(heard));
        self.heard_at = Some(answered);
        // Whoever waits has waited for the time alone so far, and need not wait for the next tick as well.
        if self.clock.at(answered).is_none() {
            self.asked_at = None;
        }
        if unheard_us > Some(GONE_US) {
            self.journal.touch_all();
            let all = self.pools.values_mut().flat_map(Pool::all);
            all.filter(|held| held.is_endless()).for_each(Held::burn_all);
        }
        if !self.clock.learn(asked, answered, answer.database_ms) {
            self.anomalies += 1;
            self.journal.touch_all();
            self.give_up_windows();
        }
        self.take_grants(request, answer, answered);
        let counted: HashSet<LeaseId> = answer.returns.iter().copied().collect();
        for told in request
            .returns
            .iter()
            .filter(|told| counted.contains(&told.lease))
        {
            if let Some(limit_id) = self.homes.get(&told.lease)
                && let Some(pool) = self.pools.get_mut(limit_id)
            {
                let flow = self.flows.of(pool.limit.unit, pool.limit.period);
                for held in pool.all() {
                    if held.counted(told, answer.turn, flow) {
                        self.journal.close(held, told.lease);
                        self.homes.remove(&told.lease);
                        break;
                    }
                }
            }
            self.paid(told.lease);
        }
        for standing in &answer.counters {
            if let Some(pool) = self.pools.get_mut(&standing.limit_id) {
                let held = pool.held(standing.window);
                held.told(standing);
                // Somebody waits for what is idle here: that is told in half a tick.
                if standing.contended && held.free > 0 && held.unmet == 0 {
                    self.asked_at = Some(asked.saturating_sub(self.settings.tick_us / 2));
                    if !std::mem::replace(&mut pool.is_wanted, true) {
                        self.wanted.push_back(standing.limit_id.clone());
                    }
                }
            }
        }
    }

    fn take_grants(&mut self, request: &RefillRequest, answer: &RefillAnswer, now: Moment) {
        let grants: HashMap<LeaseId, &Grant> =
            answer.grants.iter().map(|grant| (grant.lease, grant)).collect();
        let used_up: HashSet<(&Arc<str>, Window)> = answer
            .counters
            .iter()
            .filter(|standing| standing.left() == 0)
            .map(|standing| (&standing.limit_id, standing.window))
            .collect();
        for wish in &request.wishes {
            if let Some(grant) = grants.get(&wish.lease) {
                let is_last = used_up.contains(&(&wish.limit_id, wish.window));
                self.grant(wish, grant, is_last, now);
            }
        }
    }

    /// Takes in what a wish came to; `is_last` when there is no more.
    pub(super) fn grant(&mut self, wish: &GrantWish, grant: &Grant, is_last: bool, now: Moment) {
        let dry_us = self.settings.dry_us;
        let Some(pool) = self.pools.get_mut(&wish.limit_id) else {
            return;
        };
        self.journal.touch_limit(&wish.limit_id);
        let (unit, period) = (pool.limit.unit, pool.limit.period);
        let held = pool.held(wish.window);
        if held
            .wish
            .as_ref()
            .is_none_or(|awaited| awaited.lease != wish.lease)
        {
            return;
        }
        held.wish = None;
        // Whoever still waits says so again.
        held.unmet = 0;
        if grant.window == wish.window && grant.units <= wish.units {
            held.granted(grant);
            if grant.units > 0 {
                self.homes.insert(grant.lease, wish.limit_id.clone());
            }
            self.flows.of(unit, period).granted += grant.units;
        } else {
            self.broken.grants += 1;
        }
        if self.is_learning && grant.units == 0 {
            return;
        }
        // A rest that is too little for a call serves nobody, however often it is given.
        let is_in_vain = grant.units == 0 || (grant.units < wish.units && is_last);
        held.dry = if is_in_vain { held.dry + 1 } else { 0 };
        // Callers wait who found nothing: that is told in half a tick, so that others give what they do not need.
        if held.dry == 1 {
            self.asked_at = Some(now.saturating_sub(self.settings.tick_us / 2));
        }
        if held.dry >= DRY_ANSWERS {
            held.dry = 0;
            held.dry_until = now.saturating_add(dry_us);
        }
    }

    /// The database may have forgotten what it granted last. What is held is still held, and nobody else is granted it once
    /// it is told; until then that database grants nothing.
    fn found_another(&mut self, answer: &RefillAnswer) {
        self.journal.touch_all();
        self.store_epoch = answer.store_epoch;
        let known = self.reporting.unwrap_or(u64::MAX).min(answer.turn);
        self.reporting = Some(known);
        self.asked_at = None;
        for held in self.pools.values_mut().flat_map(Pool::all) {
            held.doubt();
        }
    }

    /// No answer came. Whether the question arrived is unknown.
    pub fn unanswered(&mut self, now: Moment) {
        self.away_since.get_or_insert(now);
    }

    /// The clocks disagree: what is held of windows that end may be of one that has ended. What calls hold while they last
    /// knows no time.
    fn give_up_windows(&mut self) {
        let all = self.pools.values_mut().flat_map(Pool::all);
        all.filter(|held| !held.is_endless()).for_each(Held::burn);
    }

    /// Nothing that is held may be spent any more.
    fn burn(&mut self) {
        self.journal.touch_all();
        for held in self.pools.values_mut().flat_map(Pool::all) {
            held.burn();
            held.wish = None;
        }
    }
}

/// Gives back what others wait for and is not needed here; and what is too little for those who wait here, so that
/// somebody has enough.
fn share(held: &mut Held, demand: Demand) {
    let is_contended = held.standing.is_some_and(|known| known.contended);
    if held.unmet > held.free && held.dry > 0 {
        held.let_go(held.free);
    } else if is_contended && held.unmet == 0 {
        let idle = held.free.saturating_sub(demand.within(KEPT_S));
        held.let_go(idle);
    }
}
