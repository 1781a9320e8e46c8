//! The end of a call, whichever way it ends.
//!
//! A [`Settlement`] travels with the call from its permit on. Whoever learns how the call ended tells it; if nobody
//! does, because the client went away and everything was dropped, dropping it says just that. Either way the end is
//! written to the spool at once and the record goes into the place in the ledger that the permit had reserved, so it
//! cannot fail and does not wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use dialect::Usage;
use dialect::refusal::{Code, Refusal};
use policy::lease::Used;
use policy::price::{PriceBook, Priced, Tier};
use tokio::task::yield_now;

use super::admit::{Permit, RETRY_S};
use super::heard::{Heard, Metered};
use super::limit::Limited;
use crate::admission::InFlight;
use crate::failpoint::failpoint;
use crate::ledger::{
    AttemptRecord, CallRecord, LedgerPlace, LedgerUnavailable, Outcome, Settled, UsageSource,
};
use crate::limits::Taken;
use crate::room::CallRoom;

/// Books one call when it is over.
pub(super) struct Settlement {
    /// Taken when booked; `None` means that it has been.
    open: Option<Open>,
    /// Held for its drop.
    in_flight: Option<(InFlight, CallRoom)>,
}

struct Open {
    record: Box<CallRecord>,
    place: LedgerPlace,
    /// What the attempt under way holds of its limits.
    taken: Option<Taken>,
    prices: PriceBook,
    /// What was heard of an answer that has not come to its end.
    so_far: Heard,
    /// The end of an attempt that is not yet written.
    settled: Option<Settled>,
}

impl Settlement {
    pub(super) fn new(record: Box<CallRecord>, permit: Permit) -> Self {
        Self {
            open: Some(Open {
                record,
                place: permit.place,
                taken: None,
                prices: PriceBook::default(),
                so_far: Heard::default(),
                settled: None,
            }),
            in_flight: Some((permit.in_flight, permit.room)),
        }
    }

    /// The same settlement, for another to hold; this one has nothing left to do.
    pub(super) fn hand_over(&mut self) -> Self {
        Self {
            open: self.open.take(),
            in_flight: self.in_flight.take(),
        }
    }

    /// A new attempt begins; what comes after concerns it. When this returns, it is written down and may be sent.
    ///
    /// # Errors
    /// When it cannot be written down: then it must not be sent.
    pub(super) async fn attempt(
        &mut self,
        attempt: AttemptRecord,
        limited: Limited,
        prices: &PriceBook,
    ) -> Result<(), Refusal> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let attempt = AttemptRecord {
            reserved_tokens: limited.reserved_tokens,
            ..attempt
        };
        open.prices = prices.clone();
        let taken = open.taken.insert(limited.taken);
        if !taken.still_holds() {
            open.give_back();
            return Err(between_windows());
        }
        if let Err(LedgerUnavailable) = open.attempt(attempt).await {
            open.give_back();
            return Err(unavailable());
        }
        open.update(|attempt| (attempt.began, attempt.sent) = (true, true));
        Ok(())
    }

    /// Whether what the attempt under way has taken of its limits may still be used: a window may have ended meanwhile.
    pub(super) fn still_holds(&self) -> bool {
        let taken = self.open.as_ref().and_then(|open| open.taken.as_ref());
        taken.is_none_or(Taken::still_holds)
    }

    /// It may not, and nothing has been sent.
    pub(super) fn too_late(&mut self) -> Refusal {
        self.never_sent();
        self.update(|attempt| attempt.began = false);
        between_windows()
    }

    /// Nothing of the attempt under way has reached the provider: its limits get back what it had taken.
    pub(super) fn never_sent(&mut self) {
        if let Some(open) = &mut self.open {
            open.update(|attempt| attempt.sent = false);
            open.give_back();
        }
    }

    /// Changes the attempt under way.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut AttemptRecord)) {
        if let Some(open) = &mut self.open {
            open.update(change);
        }
    }

    /// What is known of the attempt under way, if nobody comes to tell how it ended.
    pub(super) fn so_far(&mut self, heard: Heard) {
        if let Some(open) = &mut self.open {
            open.so_far = heard;
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
        let mut refusal = refusal;
        if let Some(open) = &mut self.open {
            open.record.refused(&refusal);
            refusal.attempts = u32::try_from(open.record.attempts.len()).unwrap_or(u32::MAX);
        }
        self.close(outcome, Metered::default());
        refusal
    }

    /// The attempt under way is over, and the call is not: another may follow.
    pub(super) fn end_attempt(&mut self, outcome: Outcome) {
        if let Some(open) = &mut self.open {
            open.end_attempt(outcome, Metered::default());
            open.write();
        }
    }

    /// The call is over: books it, once. Tells what the last attempt cost in nano-dollars, where that is known.
    pub(super) fn close(&mut self, outcome: Outcome, metered: Metered) -> Option<i64> {
        let open = self.open.as_mut()?;
        open.end_attempt(outcome, metered);
        open.write();
        self.open.take()?.book()
    }

    /// The same, for who can wait: whoever else can go on in this thread goes first, so that one write does for all whose
    /// calls are over.
    pub(super) async fn close_together(&mut self, outcome: Outcome, metered: Metered) -> Option<i64> {
        self.open.as_mut()?.end_attempt(outcome, metered);
        yield_now().await;
        self.close(outcome, metered)
    }
}

impl Drop for Settlement {
    /// A panic may have brought it here; another one would end the process.
    fn drop(&mut self) {
        let outcome = if thread::panicking() {
            Outcome::Crashed
        } else {
            Outcome::ClientGone
        };
        let _booked_or_not = catch_unwind(AssertUnwindSafe(|| self.close(outcome, Metered::default())));
    }
}

impl Open {
    async fn attempt(&mut self, attempt: AttemptRecord) -> Result<(), LedgerUnavailable> {
        let row = self.record.row(&attempt);
        let intended = self.place.intend(&row)?;
        drop(row);
        let intent = Some(intended.sequence);
        // Most calls have one, and streams keep it for long.
        self.record.attempts.reserve_exact(1);
        self.record.attempts.push(AttemptRecord { intent, ..attempt });
        self.place.made_safe(&intended).await
    }

    fn give_back(&mut self) {
        if let Some(taken) = self.taken.take() {
            taken.give_back();
        }
    }

    fn update(&mut self, change: impl FnOnce(&mut AttemptRecord)) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            change(attempt);
        }
    }

    /// Puts down how the attempt under way has ended, if one is.
    fn end_attempt(&mut self, outcome: Outcome, metered: Metered) {
        let metered = if metered.usage.is_none() {
            self.so_far.metered(outcome)
        } else {
            metered
        };
        let last = self.record.attempts.last_mut();
        let Some((intent, attempt)) = last.and_then(|attempt| Some((attempt.intent?, attempt))) else {
            return;
        };
        if !attempt.began {
            self.place.withdraw(intent);
            self.record.attempts.pop();
            return self.give_back();
        }
        let is_free = metered.is_free;
        // Whoever fell on the way through here comes again, and knows no better how it ended.
        if attempt.outcome == Outcome::Crashed {
            judge(attempt, outcome, metered);
            price(attempt, &self.prices);
        }
        if let Some(taken) = self.taken.take() {
            if attempt.sent && attempt.usage_source == UsageSource::Estimated && !is_free {
                taken.settle_at_least(&used(attempt));
            } else if attempt.sent {
                taken.settle(&used(attempt));
            } else {
                taken.give_back();
            }
        }
        failpoint("settle");
        if let Some(attempt) = self.record.attempts.last() {
            self.settled = Some(self.place.settle(intent, &self.record.row(attempt)));
        }
        self.so_far = Heard::default();
        // Only now it is over: whoever falls on the way here comes again.
        self.update(|attempt| attempt.intent = None);
    }

    /// Writes what was put down of that.
    fn write(&mut self) {
        if let Some(settled) = self.settled.take() {
            self.place.write(settled);
        }
    }

    /// All is written down that there is to say. Tells what the last attempt has cost.
    fn book(self) -> Option<i64> {
        let Self {
            mut record, place, ..
        } = self;
        let cost = record.attempts.last().and_then(|attempt| attempt.cost_nano);
        record.ended = Instant::now();
        place.book(record);
        cost
    }
}

/// How an attempt ended, and what it is known to have used.
fn judge(attempt: &mut AttemptRecord, outcome: Outcome, metered: Metered) {
    let Metered {
        usage,
        is_guess,
        is_whole,
        ..
    } = metered;
    attempt.outcome = outcome;
    attempt.guessed = is_guess;
    attempt.usage = usage.filter(Usage::makes_sense);
    attempt.suspect = usage.is_some() && attempt.usage.is_none();
    // A provider may answer in another tier than it was asked for, and charges for that.
    if let Some(told) = attempt.usage.and_then(|usage| usage.tier) {
        attempt.tier = Tier::of_vendor(Some(told.as_str()));
    }
    attempt.usage_source = source(attempt, is_whole);
    attempt.ended = Instant::now();
}

/// What it cost, by the price that held when it was sent.
fn price(attempt: &mut AttemptRecord, prices: &PriceBook) {
    let Some(usage) = &attempt.usage else {
        return;
    };
    let cost = prices.cost(
        &attempt.provider,
        &attempt.model,
        attempt.started_at_ms,
        usage,
        attempt.tier,
    );
    if let Priced::Cost {
        nano_dollars,
        version,
    } = cost
    {
        attempt.cost_nano = i64::try_from(nano_dollars).ok();
        attempt.price_version = Some(version);
    }
}

/// What is known of what it used. An answer that is an error costs nothing but the request.
fn used(attempt: &AttemptRecord) -> Used {
    match (&attempt.usage, attempt.usage_source) {
        (Some(usage), _) => Used {
            input_tokens: Some(usage.input_tokens),
            output_tokens: Some(usage.output_tokens),
            nano_dollars: attempt.cost_nano.and_then(|cost| u64::try_from(cost).ok()),
        },
        (None, UsageSource::None) => Used {
            input_tokens: Some(0),
            output_tokens: Some(0),
            nano_dollars: Some(0),
        },
        (None, _) => Used::default(),
    }
}

/// The window in which the call was let through has ended before it could be sent.
fn between_windows() -> Refusal {
    let message = "The window of a limit ended just before this call was to be sent.";
    Refusal::new(Code::LimitReached, message).retry_after(RETRY_S)
}

/// Where the usage of an attempt that has ended is known from.
fn source(attempt: &AttemptRecord, is_whole: bool) -> UsageSource {
    match (attempt.usage, attempt.outcome) {
        (Some(_), _) if is_whole => UsageSource::Provider,
        (Some(_), _) => UsageSource::Estimated,
        // Nothing was sent, or it was answered with an error, for which nobody pays. Where a connection broke after it had
        // been, nobody knows.
        (None, Outcome::Refused) => UsageSource::None,
        (None, Outcome::Crashed) => UsageSource::UnknownCrash,
        (None, _) if !attempt.sent || attempt.status >= 300 => UsageSource::None,
        (None, _) => UsageSource::Unknown,
    }
}

fn unavailable() -> Refusal {
    let message = "The gateway cannot book this call at the moment, so it is not made.";
    Refusal::new(Code::LedgerUnavailable, message).retry_after(RETRY_S)
}
