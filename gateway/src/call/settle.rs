//! The end of a call, whichever way it ends.
//!
//! A [`Settlement`] travels with the call from its permit on. Whoever learns how the call ended tells it; if nobody
//! does, because the client went away and everything was dropped, dropping it says just that. Either way the end is
//! written to the spool at once and the record goes into the place in the ledger that the permit had reserved, so it
//! cannot fail and does not wait.

use std::time::Instant;

use dialect::Usage;
use dialect::refusal::{Code, Refusal};

use super::admit::{Permit, RETRY_S};
use crate::admission::InFlight;
use crate::ledger::{AttemptRecord, CallRecord, LedgerPlace, LedgerUnavailable, Outcome, UsageSource};

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

    /// A new attempt begins; what comes after concerns it. When this returns, it is written down and may be sent.
    ///
    /// # Errors
    /// When it cannot be written down: then it must not be sent.
    pub(super) async fn attempt(&mut self, attempt: AttemptRecord) -> Result<(), Refusal> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.attempt(attempt)
            .await
            .map_err(|LedgerUnavailable| unavailable())
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

    /// The attempt under way is over, and the call is not: another may follow.
    #[expect(dead_code, reason = "falling back will need it")]
    pub(super) fn end_attempt(&mut self, outcome: Outcome, usage: Option<Usage>) {
        if let Some(open) = &mut self.open {
            open.end_attempt(outcome, usage);
        }
    }

    /// The call is over: books it, once.
    pub(super) fn close(&mut self, outcome: Outcome, usage: Option<Usage>) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.end_attempt(outcome, usage);
        let Open { mut record, place } = open;
        record.ended = Instant::now();
        place.book(record);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.close(Outcome::ClientGone, None);
    }
}

impl Open {
    async fn attempt(&mut self, attempt: AttemptRecord) -> Result<(), LedgerUnavailable> {
        let row = self.record.row(&attempt);
        let intended = self.place.intend(&row, &attempt.units)?;
        drop(row);
        let intent = Some(intended.sequence);
        self.record.attempts.push(AttemptRecord { intent, ..attempt });
        self.place.made_safe(&intended).await
    }

    /// Writes down how the attempt under way has ended, if one is.
    fn end_attempt(&mut self, outcome: Outcome, usage: Option<Usage>) {
        let last = self.record.attempts.last_mut();
        let Some((intent, attempt)) = last.and_then(|attempt| Some((attempt.intent.take()?, attempt))) else {
            return;
        };
        attempt.outcome = outcome;
        attempt.usage = usage.filter(Usage::makes_sense);
        attempt.suspect = usage.is_some() && attempt.usage.is_none();
        attempt.usage_source = source(attempt);
        attempt.ended = Instant::now();
        if let Some(attempt) = self.record.attempts.last() {
            self.place.settle(intent, &self.record.row(attempt));
        }
    }
}

/// Where the usage of an attempt that has ended is known from.
fn source(attempt: &AttemptRecord) -> UsageSource {
    let is_whole = matches!(attempt.outcome, Outcome::Ok | Outcome::ProviderError);
    match (attempt.usage, attempt.outcome) {
        (Some(_), _) if is_whole => UsageSource::Provider,
        (Some(_), _) => UsageSource::Estimated,
        // Nothing was sent, or it was answered with an error, for which nobody pays.
        (None, Outcome::Refused | Outcome::Unreachable) => UsageSource::None,
        (None, _) if attempt.status >= 300 => UsageSource::None,
        (None, _) => UsageSource::Unknown,
    }
}

fn unavailable() -> Refusal {
    let message = "The gateway cannot book this call at the moment, so it is not made.";
    Refusal::new(Code::LedgerUnavailable, message).retry_after(RETRY_S)
}
