//! What a run that was killed had left in its hands, as its journal tells it.
//!
//! The journal may end before the last thing that was done, but never before something that was sent: what it calls free has
//! not been used. So that is given back, by the very code that would have given it back at a clean stop. A journal of another
//! start of the machine may lack what was sent; nothing is given back by it.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{Entry, JournalError, Reader};
use crate::lease::exchange::{Grant, LeaseId};
use crate::lease::held::Held;

/// Reads what one earlier run wrote, batch by batch, in its order.
#[derive(Debug, Default)]
pub struct Replay {
    boot: u128,
    /// Which run it was, and which database it knew, once that has been read.
    begun: Option<Begun>,
    windows: BTreeMap<u64, Told>,
    owed: BTreeMap<LeaseId, Owed>,
    /// Asked for, and not known to be answered.
    wished: BTreeSet<LeaseId>,
    failed: Option<JournalError>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    boot: u128,
    store_epoch: i64,
}

/// One window, as the journal tells it.
#[derive(Debug)]
struct Told {
    held: Held,
    free: u64,
}

/// What is still to be said of a lease of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lease) struct Owed {
    pub(in crate::lease) returned: u64,
    pub(in crate::lease) settled: u64,
}

impl Replay {
    /// For this start of the machine.
    pub fn new(boot: u128) -> Self {
        Self {
            boot,
            ..Self::default()
        }
    }

    /// Takes in a batch that tells everything that was held; what was told before does not matter any more.
    ///
    /// # Errors
    /// When it is damaged: then nothing is given back.
    pub fn whole(&mut self, batch: &[u8]) -> Result<(), JournalError> {
        *self = Self::new(self.boot);
        self.read(batch)
    }

    /// Takes in a batch that tells what changed.
    ///
    /// # Errors
    /// When it is damaged, or one before it was: then nothing is given back.
    pub fn change(&mut self, batch: &[u8]) -> Result<(), JournalError> {
        if self.begun.is_none() {
            self.failed.get_or_insert(JournalError::Nonsense);
        }
        self.read(batch)
    }

    fn read(&mut self, batch: &[u8]) -> Result<(), JournalError> {
        let read = |replay: &mut Self| {
            let mut reader = Reader::new(batch)?;
            while let Some(entry) = reader.next()? {
                replay.take(entry)?;
            }
            Ok(())
        };
        let read = match self.failed {
            Some(failed) => Err(failed),
            None => read(self),
        };
        self.failed = read.err();
        read
    }

    /// What is read for the second time may be about windows and leases that are over by what came after it: it changes nothing
    /// then, and what comes after it is read again as well.
    fn take(&mut self, entry: Entry) -> Result<(), JournalError> {
        match entry {
            Entry::Begin {
                boot, store_epoch, ..
            } => self.begun = Some(Begun { boot, store_epoch }),
            Entry::Window { number, window, .. } => {
                let held = Held::new(window);
                self.windows.insert(number, Told { held, free: 0 });
            }
            Entry::Lease {
                number,
                lease,
                amount,
            } => {
                if let Some(told) = self.windows.get_mut(&number) {
                    told.granted(lease, amount);
                }
            }
            Entry::Returned { number, lease, units } => {
                if let Some(told) = self.windows.get_mut(&number) {
                    told.returned(lease, units)?;
                }
            }
            Entry::Closed { number, lease } => {
                if let Some(told) = self.windows.get_mut(&number) {
                    told.held.leases.retain(|kept| kept.id != lease);
                }
            }
            Entry::Free { number, units } => {
                if let Some(told) = self.windows.get_mut(&number) {
                    told.free = units;
                }
            }
            Entry::Over { number } => {
                self.windows.remove(&number);
            }
            Entry::Owed {
                lease,
                returned,
                settled,
            } => {
                self.owed.insert(lease, Owed { returned, settled });
            }
            Entry::Paid { lease } => {
                self.owed.remove(&lease);
            }
            Entry::Wished { lease } => {
                self.wished.insert(lease);
            }
            Entry::Answered { lease } => {
                self.wished.remove(&lease);
            }
        }
        Ok(())
    }

    /// Units that the run had free when it ended, in windows that end; for whoever tells people.
    pub fn units(&self) -> u64 {
        self.windows
            .values()
            .filter(|told| !told.held.is_endless())
            .map(|told| told.free)
            .sum()
    }

    /// What has to be told of the leases of that run; nothing if it is not to be believed, or knew another database.
    pub(in crate::lease) fn owed(self, store_epoch: i64) -> BTreeMap<LeaseId, Owed> {
        let is_of_here = self
            .begun
            .is_some_and(|begun| begun.boot == self.boot && begun.store_epoch == store_epoch);
        if self.failed.is_some() || !is_of_here {
            return BTreeMap::new();
        }
        let mut owed = self.owed;
        // What may have been granted, and was never known to be: the run that has begun since then has put an end to that
        // question, so the lease is there now, or never will be.
        let none_of_it = Owed {
            returned: u64::MAX,
            settled: 0,
        };
        owed.extend(self.wished.into_iter().map(|lease| (lease, none_of_it)));
        // What calls hold only while they last has been given back for all of them, when this run began.
        for told in self.windows.into_values().filter(|told| !told.held.is_endless()) {
            let Some(held) = told.at_the_end() else {
                return BTreeMap::new();
            };
            let (mut returns, mut settled) = (Vec::new(), Vec::new());
            held.tell(&mut returns, &mut settled);
            owed.extend(returns.iter().zip(&settled).map(|(told, settled)| {
                let (returned, settled) = (told.returned_in_all, settled.settled_in_all);
                (told.lease, Owed { returned, settled })
            }));
        }
        owed
    }
}

impl Told {
    fn granted(&mut self, id: LeaseId, amount: u64) {
        if self.held.leases.iter().all(|lease| lease.id != id) {
            self.held.granted(&Grant {
                lease: id,
                window: self.held.window,
                units: amount,
            });
        }
    }

    fn returned(&mut self, id: LeaseId, units: u64) -> Result<(), JournalError> {
        let Some(lease) = self.held.leases.iter_mut().find(|lease| lease.id == id) else {
            return Ok(());
        };
        if units > lease.amount {
            return Err(JournalError::Nonsense);
        }
        lease.returned = units;
        Ok(())
    }

    /// What was held, with everything given back that was free. `None` when more was free than was granted.
    fn at_the_end(self) -> Option<Held> {
        let Self { mut held, free } = self;
        let not_returned = held
            .leases
            .iter()
            .try_fold(0_u64, |sum, lease| sum.checked_add(lease.rest()))?;
        held.spent = not_returned.checked_sub(free)?;
        held.free = free;
        held.let_go(free);
        held.close(true);
        Some(held)
    }
}

/// For tests: what a journal says is held, by limit and window.
#[cfg(test)]
pub(super) fn free_of(batches: &[Vec<u8>]) -> BTreeMap<(std::sync::Arc<str>, crate::limit::Window), u64> {
    let mut names = BTreeMap::new();
    let mut free = BTreeMap::new();
    for batch in batches {
        let mut reader = Reader::new(batch).unwrap();
        while let Some(entry) = reader.next().unwrap() {
            match entry {
                Entry::Window {
                    number,
                    limit_id,
                    window,
                } => {
                    names.insert(number, (limit_id, window));
                }
                Entry::Free { number, units } => {
                    free.insert(names[&number].clone(), units);
                }
                Entry::Over { number } => {
                    free.remove(&names[&number]);
                }
                _ => {}
            }
        }
    }
    free.retain(|_, units| *units > 0);
    free
}
