//! The end of a call, whichever way it ends.
//!
//! A [`Settlement`] travels with the call from its permit on. Whoever learns how the call ended tells it; if nobody
//! does, because the client went away and everything was dropped, dropping it says just that. Either way the record
//! goes into the place in the ledger that the permit had reserved, so it cannot fail and does not wait.

use std::time::Instant;

use dialect::Usage;
use dialect::refusal::Refusal;

use super::admit::Permit;
use crate::admission::InFlight;
use crate::ledger::{AttemptRecord, CallRecord, LedgerPlace, Outcome};

/// Books one call when it is over.
pub(super) struct Settlement {
    /// Taken when booked; `None` means that it has been.
    open: Option<Open>,
    #[expect(dead_code, reason = "it is held for its drop")]
    in_flight: InFlight,
}

struct Open {
    record: Box<CallRecord>,
    place: LedgerPlace,
}

impl Settlement {
    pub(super) fn new(record: Box<CallRecord>, permit: Permit) -> Self {
        Self {
            open: Some(Open {
                record,
                place: permit.place,
            }),
            in_flight: permit.in_flight,
        }
    }

    /// A new attempt begins; what comes after concerns it.
    pub(super) fn attempt(&mut self, attempt: AttemptRecord) {
        if let Some(open) = &mut self.open {
            open.record.attempts.push(attempt);
        }
    }

    /// Changes the attempt under way.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut AttemptRecord)) {
        if let Some(attempt) = self
            .open
            .as_mut()
            .and_then(|open| open.record.attempts.last_mut())
        {
            change(attempt);
        }
    }

    /// The status that the client gets.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(open) = &mut self.open {
            open.record.status = status;
        }
    }

    /// The call ends with a refusal; the attempt under way, if there is one, ended like this.
    pub(super) fn refuse(&mut self, refusal: Refusal, outcome: Outcome) -> Refusal {
        if let Some(open) = &mut self.open {
            open.record.refused(&refusal);
        }
        self.close(outcome, None);
        refusal
    }

    /// The call is over: books it, once.
    pub(super) fn close(&mut self, outcome: Outcome, usage: Option<Usage>) {
        let Some(Open { mut record, place }) = self.open.take() else {
            return;
        };
        if let Some(attempt) = record.attempts.last_mut() {
            attempt.outcome = outcome;
            attempt.usage = usage.filter(Usage::makes_sense);
            attempt.suspect = usage.is_some() && attempt.usage.is_none();
            attempt.ended = Instant::now();
        }
        record.ended = Instant::now();
        place.book(record);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.close(Outcome::ClientGone, None);
    }
}
