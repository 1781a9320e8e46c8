//! What a call has taken from its limits.

use std::sync::Arc;

use policy::lease::{Holder, Moment, Reservation, Used};

use super::{Like, Limits};

/// Units that one attempt may use. Whoever drops them without a word leaves them spent.
pub(crate) struct Taken {
    limits: Arc<Limits>,
    /// None when nothing was limited, or it has been settled.
    reservation: Option<Reservation>,
    /// Where a soft limit was met: of what its use is to be learned.
    like: Option<Like>,
}

impl Taken {
    /// Of a call that nothing limits.
    pub(crate) fn nothing(limits: &Arc<Limits>) -> Self {
        Self {
            limits: limits.clone(),
            reservation: None,
            like: None,
        }
    }

    pub(super) fn new(limits: &Arc<Limits>, reservation: Reservation) -> Self {
        Self {
            limits: limits.clone(),
            reservation: Some(reservation),
            like: None,
        }
    }

    /// What it uses is learned.
    pub(crate) fn note_like(&mut self, like: Option<Like>) {
        self.like = like;
    }

    /// Whether it still holds: when it is written down, and just before the first byte goes out.
    pub(crate) fn still_holds(&self) -> bool {
        self.reservation.as_ref().is_none_or(|reservation| {
            let now = self.limits.now();
            let held = self.limits.held();
            held.as_ref()
                .is_some_and(|holder| holder.may_send(reservation, now))
        })
    }

    /// The attempt is over, and used this.
    pub(crate) fn settle(mut self, used: &Used) {
        self.end_with(used, Holder::settle);
        if let Some(like) = &self.like {
            self.limits.expected.learn(like, used);
        }
    }

    /// The attempt is over, and used this at least: nobody knows how much more, so hard limits keep what was reserved. Of what
    /// may be more nothing is learned.
    pub(crate) fn settle_at_least(mut self, used: &Used) {
        self.end_with(used, Holder::settle_at_least);
    }

    fn end_with(&mut self, used: &Used, settle: impl FnOnce(&mut Holder, Reservation, &Used, Moment)) {
        let limits = self.limits.clone();
        self.end(|holder, reservation, now| {
            for (unit, period, units) in holder.overdrawn(&reservation, used) {
                limits.figures.overdrawn(unit, period, units);
            }
            settle(holder, reservation, used, now);
        });
    }

    /// Nothing of it was ever sent.
    pub(crate) fn give_back(mut self) {
        self.end(|holder, reservation, now| holder.unused(reservation, now));
    }

    fn end(&mut self, end: impl FnOnce(&mut Holder, Reservation, Moment)) {
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        let now = self.limits.now();
        if let Some(holder) = self.limits.held().as_mut() {
            end(holder, reservation, now);
            self.limits.journal.note(holder);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.end(|holder, reservation, now| holder.settle(reservation, &Used::default(), now));
    }
}
