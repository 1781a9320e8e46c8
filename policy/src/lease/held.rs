//! What a replica holds of one window of one limit.

use super::clock::Moment;
use super::exchange::{Grant, GrantWish, LeaseId, LeaseStanding, Return, Settled};
use super::journal::Written;
use super::past::{Closed, Past};
use super::sound::Flow;
use crate::limit::Window;

/// Units of one window. Of what was granted, some are free, some are spent (by calls that may still be under way), and some
/// have been returned; nothing else ever happens to a unit.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) window: Window,
    /// May be spent.
    pub(super) free: u64,
    /// Reserved by calls, or used by them.
    pub(super) spent: u64,
    /// Used beyond what was granted: asked for at once, and taken from the next grants of this window.
    pub(super) debt: u64,
    /// Used beyond what was granted, and not yet told.
    pub(super) overdraft: u64,
    /// Lost: granted, and neither to be spent nor returned any more.
    pub(super) burnt: u64,
    /// Spent by calls that are under way, and not to be spent again when they give it back.
    pub(super) doomed: u64,
    /// Reservations that are not settled.
    pub(super) under_way: u64,
    /// And the units that they hold.
    pub(super) under_way_units: u64,
    /// With less than this at hand more is to be asked for, as of the last question about it.
    pub(super) low: u64,
    /// Units that callers asked for in vain since the last question.
    pub(super) unmet: u64,
    /// Answers one after the other that gave nothing although callers waited.
    pub(super) dry: u32,
    /// Until then nobody is asked again, and callers are refused at once.
    pub(super) dry_until: Moment,
    /// How the window stands over all replicas, as last told.
    pub(super) standing: Option<Known>,
    /// It was asked for before its time, for when the database is away.
    pub(super) is_ahead: bool,
    /// Asked for and not answered: asked for again under the same name until it is.
    pub(super) wish: Option<GrantWish>,
    pub(super) leases: Vec<Lease>,
    /// Those that are closed.
    pub(super) past: Past,
    /// What the journal has of it.
    pub(super) written: Written,
}

/// The part of a window that one grant gave.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) amount: u64,
    /// All that left the holder's hands, told or not.
    pub(super) returned: u64,
    /// What of it the database is known to have counted.
    confirmed: u64,
    /// And of that, what whoever counts units has been told.
    reckoned: u64,
    /// What was used of it, once that is known for good: then it is to be closed.
    pub(super) settled: Option<u64>,
    /// Used beyond what was granted, told with this lease.
    pub(super) overdraft: u64,
    /// What the journal has as returned of it, if it has it.
    pub(super) written: Option<u64>,
}

impl Lease {
    /// What of it has not been returned.
    pub(super) fn rest(&self) -> u64 {
        self.amount - self.returned
    }

    pub(super) fn has_told_no_more(&self) -> bool {
        self.confirmed <= self.returned && self.returned <= self.amount
    }
}

/// A window over all replicas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Not granted to anybody.
    pub(super) left: u64,
    pub(super) contended: bool,
}

impl Held {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            free: 0,
            spent: 0,
            debt: 0,
            overdraft: 0,
            burnt: 0,
            doomed: 0,
            dry: 0,
            dry_until: 0,
            under_way: 0,
            under_way_units: 0,
            low: 0,
            unmet: 0,
            standing: None,
            is_ahead: false,
            wish: None,
            leases: Vec::new(),
            past: Past::default(),
            written: Written::default(),
        }
    }

    /// Takes units for a call; the caller has seen that they are there.
    pub(super) fn spend(&mut self, units: u64) {
        self.free -= units;
        self.spent += units;
        self.under_way += 1;
        self.under_way_units += units;
    }

    /// A call is over that had so many.
    pub(super) fn ended(&mut self, units: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.under_way_units = self.under_way_units.saturating_sub(units);
    }

    /// Gives units of a call back, which did not use them. Only inside the window.
    pub(super) fn give_back(&mut self, units: u64) {
        let units = units.min(self.spent);
        let doomed = units.min(self.doomed);
        self.spent -= units;
        self.doomed -= doomed;
        self.burnt += doomed;
        self.free += units - doomed;
        self.pay_debt();
    }

    /// A call used more than it had reserved.
    pub(super) fn overdraw(&mut self, units: u64) {
        let covered = units.min(self.free);
        self.free -= covered;
        self.spent += covered;
        self.debt += units - covered;
        self.overdraft += units - covered;
    }

    /// What has to be asked for, since it was used beyond what was granted: nothing while nobody has any.
    pub(super) fn owed(&self) -> u64 {
        let is_used_up = self.standing.is_some_and(|known| known.left == 0);
        if is_used_up { 0 } else { self.debt }
    }

    fn pay_debt(&mut self) {
        let paid = self.debt.min(self.free);
        self.debt -= paid;
        self.free -= paid;
        self.spent += paid;
    }

    /// An answer gave units of this window.
    pub(super) fn granted(&mut self, grant: &Grant) {
        if grant.units == 0 {
            return;
        }
        self.leases.push(Lease {
            id: grant.lease,
            amount: grant.units,
            returned: 0,
            confirmed: 0,
            reckoned: 0,
            settled: None,
            overdraft: 0,
            written: None,
        });
        self.free += grant.units;
        self.pay_debt();
    }

    pub(super) fn told(&mut self, standing: &LeaseStanding) {
        self.standing = Some(Known {
            left: standing.left(),
            contended: standing.contended,
        });
    }

    /// Takes free units out of hand, for good: they are told to the database from now on, until it has counted them. The
    /// latest leases give first, since the units of the first ones are spent.
    pub(super) fn let_go(&mut self, units: u64) {
        let mut left = units.min(self.free);
        self.free -= left;
        let open = self
            .leases
            .iter_mut()
            .rev()
            .filter(|lease| lease.settled.is_none());
        for lease in open {
            let of_this = left.min(lease.rest());
            lease.returned += of_this;
            left -= of_this;
        }
        // What was granted covers what is free, so nothing is left; if it did not, it would be lost.
        self.burnt += left;
    }

    /// Closes the leases of which nothing is free, nor may come back: all of them, once the window is over. The units that
    /// calls are done with are laid upon the leases in their order.
    pub(super) fn close(&mut self, is_over: bool) {
        let (mut done, mut lost) = (self.spent - self.under_way_units.min(self.spent), self.burnt);
        for lease in &mut self.leases {
            let settled = lease.settled.unwrap_or(done.min(lease.rest()));
            let burnt = if lease.settled.is_some() {
                lease.rest() - settled
            } else {
                lost.min(lease.rest() - settled)
            };
            done = done.saturating_sub(settled);
            lost = lost.saturating_sub(burnt);
            if lease.settled.is_none() && (is_over || settled + burnt == lease.rest()) {
                lease.settled = Some(settled);
                lease.overdraft = std::mem::take(&mut self.overdraft);
            }
        }
    }

    /// What has to be told of leases.
    pub(super) fn tell(&self, returns: &mut Vec<Return>, settlements: &mut Vec<Settled>) {
        for lease in &self.leases {
            if lease.returned > lease.confirmed || lease.settled.is_some() {
                returns.push(Return {
                    lease: lease.id,
                    returned_in_all: lease.returned,
                    closed: lease.settled.is_some(),
                });
            }
            settlements.extend(lease.settled.map(|settled_in_all| Settled {
                lease: lease.id,
                settled_in_all,
                overdraft_in_all: lease.overdraft,
            }));
        }
    }

    /// The database has counted this, with its answer of that number. Of a lease that is closed there is nothing more to be
    /// known.
    pub(super) fn counted(&mut self, told: &Return, turn: u64, flow: &mut Flow) -> bool {
        let Some(at) = self.leases.iter().position(|lease| lease.id == told.lease) else {
            return false;
        };
        // It was found there.
        #[expect(clippy::indexing_slicing, reason = "the place was found a line ago")]
        let lease = &mut self.leases[at];
        lease.confirmed = lease.confirmed.max(told.returned_in_all);
        flow.returned += lease.confirmed.saturating_sub(lease.reckoned);
        lease.reckoned = lease.reckoned.max(lease.confirmed);
        let is_done = told.closed && lease.confirmed == lease.returned;
        if is_done {
            let rest = lease.rest();
            let spent = lease.settled.unwrap_or(rest).min(self.spent);
            self.spent -= spent;
            let burnt = (rest - spent).min(self.burnt);
            self.burnt -= burnt;
            flow.spent += spent;
            flow.burnt += burnt;
            let lease = self.leases.remove(at);
            self.past.push(Closed {
                lease: lease.id,
                amount: lease.amount,
                returned: lease.returned,
                settled: lease.settled.unwrap_or(rest),
                overdraft: lease.overdraft,
                turn,
            });
        }
        is_done
    }

    /// What was counted may have been forgotten.
    pub(super) fn doubt(&mut self) {
        for lease in &mut self.leases {
            lease.confirmed = 0;
        }
    }

    /// Its units come back when calls end, not when it does.
    pub(super) fn is_endless(&self) -> bool {
        self.window.end_ms == i64::MAX
    }

    /// Nothing more has to be told or heard of it.
    pub(super) fn is_told(&self) -> bool {
        self.wish.is_none() && self.leases.is_empty()
    }

    /// The free units are not to be spent any more, by nobody.
    pub(super) fn burn(&mut self) {
        self.burnt += std::mem::take(&mut self.free);
    }

    /// Nor are those that calls have now.
    pub(super) fn burn_all(&mut self) {
        self.burn();
        self.doomed = self.spent;
    }
}
