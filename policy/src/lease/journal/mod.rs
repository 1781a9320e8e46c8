//! The journal: what a replica holds, written down before it can be used, so that a run that is killed loses nothing.
//!
//! After each step that changes what is held, whoever owns the [`Holder`] takes what has to be written
//! ([`Holder::take_journal`]) and writes it before anything is sent that was admitted by that step: take it and hand it on
//! under the lock that guards the holder, so that what two threads take stays in its order. The next run reads it
//! ([`Replay`]) and gives back what had been left ([`Holder::inherit`]). Entries tell how things stand, not what was done, so
//! a window that changed a hundred times between two batches is one entry.

mod replay;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

pub(super) use replay::Owed;
pub use replay::Replay;
use wire::{Entry, begin_batch};
pub use wire::{JournalError, split};

use super::exchange::{LeaseId, Return, Settled};
use super::held::Held;
use super::holder::Holder;
use super::pool::Pool;
use crate::limit::Window;

/// What is to be written of the holder's state.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The start of the machine, if a journal is kept at all.
    boot: Option<u128>,
    /// Windows that calls took from or gave back to, since the last batch.
    touched: Vec<(Arc<str>, Window)>,
    /// Limits that questions and answers were about.
    touched_limits: Vec<Arc<str>>,
    /// More than that has changed.
    is_all_touched: bool,
    /// Numbers of windows that are forgotten.
    over: Vec<u64>,
    /// Leases of windows, by their numbers, that are closed.
    closed: Vec<(u64, LeaseId)>,
    paid: Vec<LeaseId>,
    /// Wishes of windows that are forgotten.
    dropped: Vec<LeaseId>,
    next_number: u64,
}

/// What the journal has of a window.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    number: Option<u64>,
    free: u64,
    wish: Option<LeaseId>,
}

impl Journal {
    pub(super) fn touch(&mut self, limit_id: &Arc<str>, window: Window) {
        if self.boot.is_some() {
            self.touched.push((limit_id.clone(), window));
        }
    }

    pub(super) fn touch_limit(&mut self, limit_id: &Arc<str>) {
        if self.boot.is_some() {
            self.touched_limits.push(limit_id.clone());
        }
    }

    pub(super) fn touch_all(&mut self) {
        self.is_all_touched = self.boot.is_some();
    }

    /// A lease of a window is not known any more.
    pub(super) fn close(&mut self, held: &Held, lease: LeaseId) {
        if self.boot.is_some() {
            self.closed
                .extend(held.written.number.map(|number| (number, lease)));
        }
    }

    /// The window is not known any more.
    pub(super) fn forget(&mut self, held: &Held) {
        self.over.extend(held.written.number);
        self.dropped.extend(held.written.wish);
    }
}

impl Holder {
    /// Begins to keep a journal. `boot` names the start of the machine: what was written before another one is not to be
    /// believed, since the end of it may be missing. The whole of it has to be written first.
    pub fn keep_journal(&mut self, boot: u128) {
        self.journal.boot = Some(boot);
    }

    /// Appends what has changed since the last time, if anything has.
    pub fn take_journal(&mut self, out: &mut Vec<u8>) {
        let Some(_) = self.journal.boot else { return };
        let before = out.len();
        begin_batch(out);
        let empty = out.len();
        if std::mem::take(&mut self.journal.is_all_touched) {
            self.journal.touched.clear();
            self.journal.touched_limits.clear();
            for pool in self.pools.values_mut() {
                write_pool(pool, &mut self.journal.next_number, out);
            }
        }
        let mut touched = std::mem::take(&mut self.journal.touched_limits);
        for limit_id in touched.drain(..) {
            if let Some(pool) = self.pools.get_mut(&limit_id) {
                write_pool(pool, &mut self.journal.next_number, out);
            }
        }
        self.journal.touched_limits = touched;
        let mut touched = std::mem::take(&mut self.journal.touched);
        for (limit_id, window) in touched.drain(..) {
            if let Some(pool) = self.pools.get_mut(&limit_id) {
                let next_number = &mut self.journal.next_number;
                for held in pool.all().filter(|held| held.window == window) {
                    held.write(&limit_id, next_number, out);
                }
            }
        }
        // Its room is used again.
        self.journal.touched = touched;
        for (number, lease) in self.journal.closed.drain(..) {
            Entry::Closed { number, lease }.write(out);
        }
        for number in self.journal.over.drain(..) {
            Entry::Over { number }.write(out);
        }
        for lease in self.journal.paid.drain(..) {
            Entry::Paid { lease }.write(out);
        }
        for lease in self.journal.dropped.drain(..) {
            Entry::Answered { lease }.write(out);
        }
        if out.len() == empty {
            out.truncate(before);
        }
    }

    /// Appends all that is held, so that what was written before is not needed any more.
    pub fn whole_journal(&mut self, out: &mut Vec<u8>) {
        let Some(boot) = self.journal.boot else { return };
        self.journal = Journal {
            boot: Some(boot),
            ..Journal::default()
        };
        begin_batch(out);
        let begin = Entry::Begin {
            boot,
            run: self.from.number,
            store_epoch: self.store_epoch,
        };
        begin.write(out);
        for pool in self.pools.values_mut() {
            for held in pool.all() {
                held.written = Written::default();
                held.leases.iter_mut().for_each(|lease| lease.written = None);
            }
            write_pool(pool, &mut self.journal.next_number, out);
        }
        for (lease, owed) in &self.owed {
            let (lease, returned, settled) = (*lease, owed.returned, owed.settled);
            Entry::Owed {
                lease,
                returned,
                settled,
            }
            .write(out);
        }
    }

    /// Takes over what an earlier run of this replica left: it is given back with the next questions.
    pub fn inherit(&mut self, replay: Replay) {
        self.owed.extend(replay.owed(self.store_epoch));
    }

    /// What has to be told of earlier runs, so many at a time.
    pub(super) fn tell_owed(&self, at_once: usize, returns: &mut Vec<Return>, settled: &mut Vec<Settled>) {
        for (lease, owed) in self.owed.iter().take(at_once) {
            let lease = *lease;
            returns.push(Return {
                lease,
                returned_in_all: owed.returned,
                closed: true,
            });
            settled.push(Settled {
                lease,
                settled_in_all: owed.settled,
                overdraft_in_all: 0,
            });
        }
    }

    pub(super) fn paid(&mut self, lease: LeaseId) {
        if self.owed.remove(&lease).is_some() && self.journal.boot.is_some() {
            self.journal.paid.push(lease);
        }
    }
}

fn write_pool(pool: &mut Pool, next_number: &mut u64, out: &mut Vec<u8>) {
    let limit_id = pool.limit.id.clone();
    for held in pool.all() {
        held.write(&limit_id, next_number, out);
    }
}

impl Held {
    /// Writes what the journal does not have yet. That something is wished for comes before it is asked: if this run ends
    /// before it knows the answer, the next one gives back whatever came of it.
    fn write(&mut self, limit_id: &Arc<str>, next_number: &mut u64, out: &mut Vec<u8>) {
        self.write_held(limit_id, next_number, out);
        let wish = self.wish.as_ref().map(|wish| wish.lease);
        if self.written.wish != wish {
            if let Some(lease) = self.written.wish {
                Entry::Answered { lease }.write(out);
            }
            if let Some(lease) = wish {
                Entry::Wished { lease }.write(out);
            }
            self.written.wish = wish;
        }
    }

    fn write_held(&mut self, limit_id: &Arc<str>, next_number: &mut u64, out: &mut Vec<u8>) {
        if self.leases.is_empty() && self.written.number.is_none() {
            return;
        }
        let number = *self.written.number.get_or_insert_with(|| {
            let number = *next_number;
            *next_number += 1;
            Entry::Window {
                number,
                limit_id: limit_id.clone(),
                window: self.window,
            }
            .write(out);
            number
        });
        for lease in &mut self.leases {
            let (id, amount, returned) = (lease.id, lease.amount, lease.returned);
            if lease.written.is_none() {
                Entry::Lease {
                    number,
                    lease: id,
                    amount,
                }
                .write(out);
            }
            if lease.written.unwrap_or_default() != returned {
                Entry::Returned {
                    number,
                    lease: id,
                    units: returned,
                }
                .write(out);
            }
            lease.written = Some(returned);
        }
        if self.free != self.written.free {
            self.written.free = self.free;
            let units = self.free;
            Entry::Free { number, units }.write(out);
        }
    }
}
