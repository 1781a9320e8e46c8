//! The database's side, as a model: the same transaction, on maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Wrong;
use crate::lease::exchange::Report;
use crate::lease::exchange::{
    Grant, Incarnation, LeaseId, LeaseStanding, RefillAnswer, RefillRequest, Standing,
};
use crate::limit::{Cap, Limit, ROLLING_SLOT_MS, ROLLING_SLOTS, Window};

/// Counters and leases.
#[derive(Debug, Clone, Default)]
pub(in crate::lease) struct Bank {
    wrong: Option<Wrong>,
    /// As whoever administers the limits has set them.
    caps: BTreeMap<Arc<str>, Cap>,
    counters: BTreeMap<(Arc<str>, Window, Arc<str>), Counter>,
    leases: BTreeMap<LeaseId, Lease>,
    incarnations: BTreeMap<Arc<str>, i64>,
    /// Another one after each fail-over; and when that was.
    epoch: i64,
    failed_over_ms: i64,
    /// Answered questions of each replica's run.
    turns: BTreeMap<Arc<str>, u64>,
    /// Those who have not told yet what may have been forgotten.
    silent: BTreeSet<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Counter {
    cap: u64,
    granted: u64,
    /// The most that was granted under any cap.
    granted_max: u64,
    contended_until_ms: i64,
    leases: Vec<LeaseId>,
}

#[derive(Debug, Clone)]
struct Lease {
    key: (Arc<str>, Window, Arc<str>),
    replica: Arc<str>,
    incarnation: i64,
    amount: u64,
    returned: u64,
    settled: u64,
    granted_at_ms: i64,
    expired: bool,
}

const CONTENDED_MS: i64 = 300;
/// After a fail-over nothing is granted for so long, and not before all have told what they hold, but for those of whom
/// nothing is heard for much longer.
const LEARNING_MS: i64 = 5_000;
const SILENT_MS: i64 = 60_000;
/// After so long without a word a lease expires, in the variant that believes in that.
const EXPIRY_MS: i64 = 5_000;

impl Bank {
    pub(in crate::lease) fn new(wrong: Option<Wrong>, limits: &[Arc<Limit>]) -> Self {
        let mut bank = Self {
            wrong,
            epoch: 1,
            failed_over_ms: i64::MIN,
            ..Self::default()
        };
        bank.set_caps(limits);
        bank
    }

    /// Limits are changed. What has been granted stays so; of a window that has more than its new cap no more is granted.
    pub(in crate::lease) fn set_caps(&mut self, limits: &[Arc<Limit>]) {
        for limit in limits {
            self.caps.insert(limit.id.clone(), limit.cap);
        }
        for ((limit_id, _, _), counter) in &mut self.counters {
            if let Some(Cap::Units(cap)) = self.caps.get(limit_id) {
                counter.cap = *cap;
            }
        }
    }

    pub(in crate::lease) fn begin(&mut self, replica: &Arc<str>) -> Incarnation {
        let number = self.incarnations.entry(replica.clone()).or_default();
        *number += 1;
        let number = *number;
        self.turns.insert(replica.clone(), 0);
        self.silent.remove(replica);
        for lease in self.leases.values_mut() {
            let calls_died = lease.key.1.end_ms == i64::MAX && lease.replica == *replica && !lease.expired;
            if calls_died && let Some(counter) = self.counters.get_mut(&lease.key) {
                let rest = lease.amount - lease.returned;
                // Only a bank that gives back by time has given it back before.
                assert!(
                    self.wrong.is_some() || rest <= counter.granted,
                    "given back twice"
                );
                counter.granted = counter.granted.saturating_sub(rest);
                lease.returned = lease.amount;
            }
        }
        Incarnation {
            replica: replica.clone(),
            number,
        }
    }

    /// This is what had been copied some time ago, and takes the place of what was lost.
    pub(in crate::lease) fn take_over(&mut self, lost: &Self, now_ms: i64) {
        self.epoch = lost.epoch + 1;
        self.failed_over_ms = now_ms;
        self.silent = self.incarnations.keys().cloned().collect();
    }

    pub(in crate::lease) fn epoch(&self) -> i64 {
        self.epoch
    }

    fn is_learning(&self, now_ms: i64) -> bool {
        let since_ms = now_ms.saturating_sub(self.failed_over_ms);
        if self.wrong == Some(Wrong::NothingLearned) {
            return false;
        }
        since_ms < LEARNING_MS || (since_ms < SILENT_MS && !self.silent.is_empty())
    }

    fn stands(&self, request: &RefillRequest, now_ms: i64) -> Standing {
        let current = self.incarnations.get(&request.from.replica).copied();
        if request.store_epoch != self.epoch {
            Standing::OtherStore
        } else if current != Some(request.from.number) {
            Standing::Superseded
        } else if self.is_learning(now_ms) {
            Standing::Learning
        } else {
            Standing::Current
        }
    }

    pub(in crate::lease) fn refill(&mut self, request: &RefillRequest, now_ms: i64) -> RefillAnswer {
        if let Some(reports) = &request.reports
            && request.store_epoch == self.epoch
        {
            self.learn(request, reports);
        }
        let standing = self.stands(request, now_ms);
        let turn = self.turns.entry(request.from.replica.clone()).or_default();
        *turn += u64::from(matches!(standing, Standing::Current | Standing::Learning));
        let mut answer = RefillAnswer {
            standing,
            store_epoch: self.epoch,
            turn: *turn,
            database_ms: now_ms,
            grants: Vec::new(),
            returns: Vec::new(),
            counters: Vec::new(),
            replicas: u32::try_from(self.incarnations.len()).unwrap_or(u32::MAX),
        };
        if !matches!(standing, Standing::Current | Standing::Learning) {
            return answer;
        }
        self.expire(now_ms);
        self.take_back(request, &mut answer);
        self.grant(request, now_ms, &mut answer);
        self.check(request);
        answer
    }

    /// What a replica holds, and has held, is as it says.
    fn learn(&mut self, request: &RefillRequest, reports: &[Report]) {
        let replica = &request.from.replica;
        let number = self.incarnations.entry(replica.clone()).or_default();
        if *number > request.from.number {
            return;
        }
        *number = request.from.number;
        self.silent.remove(replica);
        let turn = self.turns.entry(replica.clone()).or_default();
        *turn = (*turn).max(request.turn);
        for report in reports {
            let Some(Cap::Units(cap)) = self.caps.get(&report.limit_id).copied() else {
                continue;
            };
            let key = (report.limit_id.clone(), report.window, Arc::from(""));
            let counter = self
                .counters
                .entry(key.clone())
                .or_insert_with(|| Counter::new(cap));
            let lease = self.leases.entry(report.lease).or_insert_with(|| {
                counter.granted += report.amount;
                counter.leases.push(report.lease);
                Lease {
                    key,
                    replica: replica.clone(),
                    incarnation: request.from.number,
                    amount: report.amount,
                    returned: 0,
                    settled: 0,
                    granted_at_ms: 0,
                    expired: false,
                }
            });
            let more = report.returned_in_all.saturating_sub(lease.returned);
            counter.granted = counter.granted.saturating_sub(more);
            counter.granted_max = counter.granted_max.max(counter.granted);
            lease.returned = lease.returned.max(report.returned_in_all);
            lease.settled = lease.settled.max(report.settled_in_all);
        }
    }

    fn take_back(&mut self, request: &RefillRequest, answer: &mut RefillAnswer) {
        for told in &request.settled {
            if let Some(lease) = self.leases.get_mut(&told.lease) {
                lease.settled = told.settled_in_all;
            }
        }
        for told in &request.returns {
            let Some(lease) = self.leases.get_mut(&told.lease) else {
                // It will never count: to tell it again is of no use.
                answer.returns.push(told.lease);
                continue;
            };
            let is_own = lease.replica == request.from.replica && lease.incarnation <= request.from.number;
            if is_own && told.returned_in_all > lease.returned && !lease.expired {
                let more = told.returned_in_all.min(lease.amount) - lease.returned;
                lease.returned += more;
                if let Some(counter) = self.counters.get_mut(&lease.key) {
                    counter.granted -= more;
                }
            }
            answer.returns.push(told.lease);
        }
    }

    fn grant(&mut self, request: &RefillRequest, now_ms: i64, answer: &mut RefillAnswer) {
        for wish in &request.wishes {
            let Some(Cap::Units(cap)) = self.caps.get(&wish.limit_id).copied() else {
                continue;
            };
            let whose: Arc<str> = match self.wrong {
                Some(Wrong::LocalCounters) => request.from.replica.clone(),
                _ => Arc::from(""),
            };
            let key = (wish.limit_id.clone(), wish.window, whose);
            let counter = self
                .counters
                .entry(key.clone())
                .or_insert_with(|| Counter::new(cap));
            if wish.contended {
                counter.contended_until_ms = now_ms + CONTENDED_MS;
            }
            let (contended, cap) = (counter.contended_until_ms > now_ms, counter.cap);
            if wish.units > 0 {
                let is_learning = self.is_learning(now_ms);
                let left = if is_learning { 0 } else { self.left(&key, now_ms) };
                let lease = self.leases.entry(wish.lease).or_insert_with(|| {
                    let amount = wish.units.min(left);
                    Lease {
                        key: key.clone(),
                        replica: request.from.replica.clone(),
                        incarnation: request.from.number,
                        amount: 0,
                        returned: amount,
                        settled: 0,
                        granted_at_ms: now_ms,
                        expired: false,
                    }
                });
                // A new one carries its amount in `returned` until it is counted here, once.
                if lease.amount == 0 && lease.returned > 0 {
                    lease.amount = std::mem::take(&mut lease.returned);
                    if let Some(counter) = self.counters.get_mut(&key) {
                        counter.granted += lease.amount;
                        counter.granted_max = counter.granted_max.max(counter.granted);
                        assert!(counter.granted <= counter.cap, "I1 of {key:?}");
                        counter.leases.push(wish.lease);
                    }
                }
                answer.grants.push(Grant {
                    lease: wish.lease,
                    window: lease.key.1,
                    units: lease.amount,
                });
            }
            let left = self.left(&key, now_ms);
            answer.counters.push(LeaseStanding {
                limit_id: wish.limit_id.clone(),
                window: wish.window,
                cap: Cap::Units(cap),
                granted: cap.saturating_sub(left),
                contended,
            });
        }
    }

    /// What may be granted of a window. Of a rolling minute, all slots that touch sixty seconds count.
    fn left(&self, key: &(Arc<str>, Window, Arc<str>), now_ms: i64) -> u64 {
        let (limit_id, window, whose) = key;
        let Some(counter) = self.counters.get(key) else {
            return 0;
        };
        if now_ms >= window.end_ms {
            return 0;
        }
        if window.end_ms.saturating_sub(window.start_ms) != ROLLING_SLOT_MS {
            return counter.cap.saturating_sub(counter.granted);
        }
        let near_ms = (ROLLING_SLOTS - 1) * ROLLING_SLOT_MS;
        let slot = |start_ms| Window {
            start_ms,
            end_ms: start_ms + ROLLING_SLOT_MS,
        };
        let first = (limit_id.clone(), slot(window.start_ms - near_ms), Arc::from(""));
        let beyond = (
            limit_id.clone(),
            slot(window.start_ms + near_ms + 1),
            Arc::from(""),
        );
        let near = self.counters.range(first..beyond);
        let granted: u64 = near
            .filter(|((_, _, of), _)| of == whose)
            .map(|(_, counter)| counter.granted)
            .sum();
        counter.cap.saturating_sub(granted)
    }

    /// The variant in which time gives units back.
    fn expire(&mut self, now_ms: i64) {
        if self.wrong != Some(Wrong::ExpiryReturns) {
            return;
        }
        for lease in self.leases.values_mut() {
            if !lease.expired && now_ms > lease.granted_at_ms + EXPIRY_MS {
                lease.expired = true;
                let unreported =
                    lease.amount - lease.returned - lease.settled.min(lease.amount - lease.returned);
                if let Some(counter) = self.counters.get_mut(&lease.key) {
                    counter.granted = counter.granted.saturating_sub(unreported);
                }
            }
        }
    }

    /// I1: what leases hold is what counters say, and that is never more than the cap. What this commit did not touch was
    /// looked at when it was.
    fn check(&self, request: &RefillRequest) {
        if self.wrong == Some(Wrong::ExpiryReturns) {
            return;
        }
        let told = request.returns.iter().map(|told| told.lease);
        let asked = request.wishes.iter().map(|wish| wish.lease);
        let mut keys: Vec<_> = told
            .chain(asked)
            .filter_map(|lease| self.leases.get(&lease))
            .map(|lease| &lease.key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let Some(counter) = self.counters.get(key) else {
                continue;
            };
            let leases = counter.leases.iter().filter_map(|id| self.leases.get(id));
            let held: u64 = leases.map(|lease| lease.amount - lease.returned).sum();
            assert_eq!(held, counter.granted, "I1 of {key:?}");
            assert!(counter.granted <= counter.granted_max, "I1 of {key:?}");
        }
    }

    /// C3: of what was granted: returned, settled.
    #[cfg(test)]
    pub(in crate::lease) fn books(&self) -> (u64, u64, u64) {
        books(self.leases.values())
    }

    /// The same, of windows that end.
    pub(in crate::lease) fn books_of_windows(&self) -> (u64, u64, u64) {
        books(self.leases.values().filter(|lease| lease.key.1.end_ms < i64::MAX))
    }
}

impl Counter {
    fn new(cap: u64) -> Self {
        Self {
            cap,
            granted: 0,
            granted_max: 0,
            contended_until_ms: 0,
            leases: Vec::new(),
        }
    }
}

fn books<'a>(leases: impl Iterator<Item = &'a Lease>) -> (u64, u64, u64) {
    leases.fold((0, 0, 0), |(granted, returned, settled), lease| {
        (
            granted + lease.amount,
            returned + lease.returned,
            settled + lease.settled,
        )
    })
}
