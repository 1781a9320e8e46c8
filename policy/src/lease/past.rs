//! What a replica remembers of leases that are closed, for as long as their windows last: a database that turns out to be an
//! older copy of itself has to be told of them again, or it would grant the same units once more.
//!
//! The latest are kept one by one. Older ones are added up: a copy that lacks only a part of them counts that part twice, so
//! it grants too little then, and never too much.

use std::collections::HashMap;
use std::sync::Arc;

use super::clock::Interval;
use super::exchange::{LeaseId, Report};
use super::held::Held;
use super::pool::{Pool, is_of_no_account};
use crate::limit::Window;

/// Closed leases of one window.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    latest: Vec<Closed>,
    /// Those before, as if they were one.
    sum: Option<Closed>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    pub(super) lease: LeaseId,
    pub(super) amount: u64,
    pub(super) returned: u64,
    pub(super) settled: u64,
    pub(super) overdraft: u64,
    /// The question by which it was told for the last time.
    pub(super) turn: u64,
}

/// Windows of limits that nobody has used for a while.
#[derive(Debug, Default)]
pub(super) struct Dormant(HashMap<(Arc<str>, Window), Asleep>);

#[derive(Debug)]
struct Asleep {
    tenant_id: Arc<str>,
    past: Past,
}

const LATEST_MAX: usize = 64;

impl Past {
    pub(super) fn push(&mut self, closed: Closed) {
        self.latest.push(closed);
        if self.latest.len() > LATEST_MAX {
            self.add_up(LATEST_MAX / 2);
        }
    }

    fn is_empty(&self) -> bool {
        self.latest.is_empty() && self.sum.is_none()
    }

    /// Keeps so many of the latest one by one.
    fn add_up(&mut self, kept: usize) {
        let older = self.latest.len().saturating_sub(kept);
        for closed in self.latest.drain(..older) {
            let sum = self.sum.get_or_insert(Closed {
                amount: 0,
                returned: 0,
                settled: 0,
                overdraft: 0,
                ..closed
            });
            *sum = Closed {
                amount: sum.amount + closed.amount,
                returned: sum.returned + closed.returned,
                settled: sum.settled + closed.settled,
                overdraft: sum.overdraft + closed.overdraft,
                turn: sum.turn.max(closed.turn),
                lease: sum_after(closed.lease),
            };
        }
    }

    /// What a database does not know that has answered so many questions.
    fn since(&self, turn: u64) -> impl Iterator<Item = &Closed> {
        let all = self.sum.iter().chain(&self.latest);
        all.filter(move |closed| closed.turn > turn)
    }
}

/// The name of a sum that ends with a lease: another one, since the lease itself may be known where the sum is not. Names are
/// ULIDs, of which none has this bit for some thousand years.
fn sum_after(lease: LeaseId) -> LeaseId {
    LeaseId(lease.0 | 1 << (u128::BITS - 1))
}

impl Dormant {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A limit is used no more, for now.
    pub(super) fn put(&mut self, pool: &mut Pool) {
        let (tenant_id, limit_id) = (pool.tenant_id.clone(), pool.limit.id.clone());
        for held in pool.all().filter(|held| !held.past.is_empty()) {
            let mut past = std::mem::take(&mut held.past);
            past.add_up(0);
            let asleep = Asleep {
                tenant_id: tenant_id.clone(),
                past,
            };
            self.0.insert((limit_id.clone(), held.window), asleep);
        }
    }

    /// A limit is used again.
    pub(super) fn take(&mut self, limit_id: &Arc<str>, held: &mut Held) {
        if !self.0.is_empty()
            && let Some(asleep) = self.0.remove(&(limit_id.clone(), held.window))
        {
            held.past = asleep.past;
        }
    }

    /// Forgets what is over.
    pub(super) fn forget(&mut self, time: Interval) {
        self.0.retain(|(_, window), _| !is_of_no_account(time, *window));
    }

    pub(super) fn reports(&self, turn: u64, reports: &mut Vec<Report>) {
        for ((limit_id, window), asleep) in &self.0 {
            let closed = asleep.past.since(turn);
            reports.extend(closed.map(|closed| closed.report(&asleep.tenant_id, limit_id, *window)));
        }
    }
}

impl Closed {
    fn report(&self, tenant_id: &Arc<str>, limit_id: &Arc<str>, window: Window) -> Report {
        Report {
            lease: self.lease,
            tenant_id: tenant_id.clone(),
            limit_id: limit_id.clone(),
            window,
            amount: self.amount,
            returned_in_all: self.returned,
            settled_in_all: self.settled,
            overdraft_in_all: self.overdraft,
            closed: true,
        }
    }
}

impl Pool {
    /// What a database may be missing that has answered so many questions: whatever is open, and what was closed since then.
    pub(super) fn reports(&self, turn: u64, reports: &mut Vec<Report>) {
        for held in self.iter() {
            let closed = held.past.since(turn);
            reports.extend(closed.map(|closed| closed.report(&self.tenant_id, &self.limit.id, held.window)));
            reports.extend(held.leases.iter().map(|lease| Report {
                lease: lease.id,
                tenant_id: self.tenant_id.clone(),
                limit_id: self.limit.id.clone(),
                window: held.window,
                amount: lease.amount,
                returned_in_all: lease.returned,
                settled_in_all: lease.settled.unwrap_or(0),
                overdraft_in_all: lease.overdraft,
                closed: lease.settled.is_some(),
            }));
        }
    }
}
