//! Granting wishes, on rows that are locked.

use std::collections::{BTreeMap, HashSet};

use policy::lease::{Grant, GrantWish, Incarnation, LeaseId, LeaseStanding, RefillRequest, Report};
use policy::limit::{Cap, Window};

use super::books::{Books, Closed, Key};

/// Whoever waits says so again at each of his questions.
const CONTENDED_MS: i64 = 300;

impl Books {
    /// What a replica holds, and has held, is counted as it says, also where that is more than the cap: it is so.
    pub(super) fn learn(&mut self, request: &RefillRequest, new: &HashSet<LeaseId>) {
        for report in request.reports.iter().flatten() {
            let is_own = self.leases.get(&report.lease).is_some_and(|lease| {
                *lease.replica == *request.from.replica
                    && lease.incarnation <= request.from.number
                    && lease.key == key_of_report(report)
            });
            if !is_own {
                continue;
            }
            if new.contains(&report.lease) {
                let amount = i64::try_from(report.amount).unwrap_or(i64::MAX);
                self.remember(report.lease, amount);
            }
            self.take_back(report.lease, report.returned_in_all);
            self.settle(report.lease, report.settled_in_all, report.overdraft_in_all);
            if report.closed {
                self.close(report.lease, Closed::ByHolder);
            }
        }
    }

    /// Returns come first: what one replica gives back, it or another may need in this very transaction.
    pub(super) fn tell(&mut self, request: &RefillRequest) {
        for told in &request.returns {
            if self.may_tell(&request.from, request.store_epoch, told.lease) {
                self.take_back(told.lease, told.returned_in_all);
            }
        }
        for told in &request.settled {
            if self.may_tell(&request.from, request.store_epoch, told.lease) {
                self.settle(told.lease, told.settled_in_all, told.overdraft_in_all);
            }
        }
        for told in request.returns.iter().filter(|told| told.closed) {
            if self.may_tell(&request.from, request.store_epoch, told.lease) {
                self.close(told.lease, Closed::ByHolder);
            }
        }
    }

    /// A replica speaks for the leases of this and of its earlier runs, as long as the database is the same.
    fn may_tell(&self, from: &Incarnation, epoch: i64, id: LeaseId) -> bool {
        self.leases.get(&id).is_some_and(|lease| {
            *lease.replica == *from.replica && lease.incarnation <= from.number && lease.epoch == epoch
        })
    }

    /// Grants what is left to leases that are `new`; others have the answer that they had.
    pub(super) fn grant(
        &mut self,
        request: &RefillRequest,
        new: &HashSet<LeaseId>,
        now_ms: i64,
    ) -> Vec<Grant> {
        let mut grants = Vec::with_capacity(request.wishes.len());
        let mut named = HashSet::with_capacity(request.wishes.len());
        for wish in &request.wishes {
            let key = key_of(wish);
            if wish.contended {
                self.contend(&key, now_ms.saturating_add(CONTENDED_MS));
            }
            if wish.units == 0 {
                continue;
            }
            let is_first = named.insert(wish.lease) && new.contains(&wish.lease);
            if is_first && self.is_open(&key, wish.window, now_ms) {
                let units = i64::try_from(wish.units).unwrap_or(i64::MAX).min(self.left(&key));
                self.give(wish.lease, units);
            }
            grants.push(self.granted(&request.from, request.store_epoch, wish));
        }
        grants
    }

    fn is_open(&self, key: &Key, window: Window, now_ms: i64) -> bool {
        now_ms < window.end_ms && self.rule(key).is_some_and(|rule| rule.has(window))
    }

    /// The answer to a wish whose lease is there.
    fn granted(&self, from: &Incarnation, epoch: i64, wish: &GrantWish) -> Grant {
        let of_this = self.leases.get(&wish.lease).filter(|lease| {
            *lease.replica == *from.replica && lease.incarnation == from.number && lease.epoch == epoch
        });
        Grant {
            lease: wish.lease,
            window: of_this.map_or(wish.window, |lease| lease.window()),
            units: of_this.map_or(0, |lease| u64::try_from(lease.amount).unwrap_or(0)),
        }
    }

    /// How the windows stand that a replica wished of, or returned to.
    pub(super) fn standings(&self, request: &RefillRequest, now_ms: i64) -> Vec<LeaseStanding> {
        let wished = request.wishes.iter().map(|wish| (key_of(wish), wish.window));
        let returned = request.returns.iter().filter_map(|told| {
            let lease = self.leases.get(&told.lease)?;
            (*lease.replica == *request.from.replica).then(|| (lease.key.clone(), lease.window()))
        });
        let windows: BTreeMap<Key, Window> = returned.chain(wished).collect();
        windows
            .into_iter()
            .filter_map(|(key, window)| {
                let counter = self.counters.get(&key)?;
                let cap = counter.cap.map_or(Cap::Unlimited, |cap| Cap::Units(units(cap)));
                let granted = match counter.cap {
                    Some(cap) => cap.saturating_sub(self.left(&key)),
                    None => counter.granted,
                };
                Some(LeaseStanding {
                    limit_id: key.limit_id,
                    window,
                    cap,
                    granted: units(granted),
                    contended: counter.contended_until_ms > now_ms,
                })
            })
            .collect()
    }
}

pub(super) fn key_of_report(report: &Report) -> Key {
    Key {
        tenant_id: report.tenant_id.clone(),
        limit_id: report.limit_id.clone(),
        starts_at_ms: report.window.start_ms,
    }
}

pub(super) fn key_of(wish: &GrantWish) -> Key {
    Key {
        tenant_id: wish.tenant_id.clone(),
        limit_id: wish.limit_id.clone(),
        starts_at_ms: wish.window.start_ms,
    }
}

fn units(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
