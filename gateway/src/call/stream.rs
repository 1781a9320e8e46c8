//! A streamed answer on its way to the client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use dialect::refusal::Refusal;
use dialect::{StreamEnd, tokens_of};
use provider::{AnswerBody, OnCancel};

use super::beat::Beat;
use super::fault::{self, Failed};
use super::heard::Heard;
use super::settle::Settlement;
use super::way::Way;
use crate::ledger::Outcome;
use crate::live::{Credential, Rest};

/// A stream. It asks the provider for more only when the client has taken what there was, and dropping it stops the
/// provider and settles the call.
pub(super) struct StreamBody {
    upstream: AnswerBody,
    way: Way,
    settlement: Settlement,
    provider: String,
    ready: VecDeque<Bytes>,
    /// Where the client gets signs of life while the provider says nothing, and what such a sign is.
    beat: Option<(Box<Beat>, &'static [u8])>,
    /// Room for what one push yields, kept so that it is not made anew for each piece.
    pushed: Vec<Bytes>,
    begun: bool,
    ended_with: Option<Outcome>,
    /// About what was sent, where the provider may not tell.
    input_tokens: Option<u64>,
    /// Whether the provider takes nothing for a stream that is closed before its end.
    is_free: bool,
    /// Whether the client has left, and the rest is only read for what it tells.
    is_left: bool,
    /// Whose credential it came by, and when the attempt began.
    teller: Option<(Arc<Credential>, Instant)>,
}

impl StreamBody {
    pub(super) fn new(
        upstream: AnswerBody,
        settlement: Settlement,
        way: Way,
        provider: String,
        on_cancel: OnCancel,
    ) -> Self {
        Self {
            upstream,
            way,
            settlement,
            provider,
            ready: VecDeque::new(),
            beat: None,
            pushed: Vec::new(),
            begun: false,
            ended_with: None,
            input_tokens: None,
            is_free: on_cancel == OnCancel::Free,
            is_left: false,
            teller: None,
        }
    }

    /// From now on it tells how this credential has fared.
    pub(super) fn tells(&mut self, credential: Arc<Credential>, began: Instant) {
        credential
            .health
            .fared(self.ended_with.map_or(Rest::Begun, rest_after), began);
        if self.ended_with.is_none() {
            self.teller = Some((credential, began));
        }
    }

    /// Waits for the first event. Until it is there the client has seen nothing, and can still be told with a status
    /// that there is no answer.
    pub(super) async fn begin(&mut self) -> Result<(), Failed> {
        while self.ready.is_empty() && self.ended_with.is_none() {
            let piece = self.upstream.next().await;
            self.take_in(piece)?;
        }
        self.begun = true;
        Ok(())
    }

    /// From now on the client gets signs of life.
    pub(super) fn keep_alive(&mut self, beat: Beat, sign: &'static [u8]) {
        self.beat = Some((Box::new(beat), sign));
    }

    /// Whether usage has been told already, as most dialects do at the beginning.
    pub(super) fn is_told(&self) -> bool {
        self.way.usage().is_some()
    }

    /// About how many tokens were sent, for the end, if nobody tells until then.
    pub(super) fn guess_input(&mut self, tokens: Option<u64>) {
        self.input_tokens = tokens;
    }

    /// The events with which it begins, where all that they say is that there is no answer: nothing has gone to the client, and
    /// somebody else may have one.
    pub(super) fn only_error(&self) -> Option<Vec<u8>> {
        let is_error = self.way.end() == StreamEnd::ProviderError && self.way.said_events() == 0;
        let is_open = self.ended_with.is_none();
        (is_error && is_open).then(|| self.ready.iter().flatten().copied().collect())
    }

    /// What is to be settled otherwise, when nothing has gone to the client.
    pub(super) fn hand_back(mut self) -> Settlement {
        let heard = self.heard();
        self.settlement.so_far(heard);
        self.settlement.hand_over()
    }

    fn heard(&self) -> Heard {
        Heard {
            told: self.way.usage(),
            told_all: self.way.has_told_all(),
            said_events: self.way.said_events(),
            said_tokens: tokens_of(self.way.said_bytes()),
            input_tokens: self.input_tokens,
        }
    }

    /// The next piece for the client; `None` at the end. A stream that breaks ends with an error event.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                if let Some((beat, _)) = &mut self.beat {
                    beat.told();
                }
                return Poll::Ready(Some(piece));
            }
            if self.ended_with.is_some() {
                return Poll::Ready(None);
            }
            let Poll::Ready(piece) = self.upstream.poll_next(context) else {
                return self.poll_beat(context);
            };
            if let Err(failed) = self.take_in(piece) {
                self.end(failed.outcome);
                self.ready
                    .push_back(Bytes::from(self.way.refuse(&failed.refusal)));
            }
        }
    }

    /// A sign of life, when it is time for one. What went to the client before was whole events.
    fn poll_beat(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some((beat, sign)) = self.beat.as_mut().filter(|_| !self.way.is_done()) else {
            return Poll::Pending;
        };
        ready!(beat.poll(context));
        Poll::Ready(Some(Bytes::from_static(sign)))
    }

    /// Whether the provider may have more to say that matters.
    pub(super) fn has_more(&self) -> bool {
        self.ended_with.is_none() && !self.way.is_done() && self.way.end() != StreamEnd::ProviderError
    }

    /// The client has left. What is ready for it is dropped as it is read.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.beat = None;
    }

    /// Takes in what the provider sent, or that it has ended.
    fn take_in(&mut self, piece: Option<Result<Bytes, provider::BodyFault>>) -> Result<(), Failed> {
        match piece {
            Some(Ok(bytes)) => self.push(bytes),
            // What comes after the provider's last word concerns nobody.
            Some(Err(_)) if self.way.is_done() => {
                self.end(Outcome::Ok);
                Ok(())
            }
            Some(Err(fault)) => Err(fault::broken(&self.provider, fault)),
            None => self.finish(),
        }
    }

    fn push(&mut self, bytes: Bytes) -> Result<(), Failed> {
        if !self.begun && !bytes.is_empty() {
            self.settlement.update(|attempt| {
                attempt.first_byte.get_or_insert_with(Instant::now);
            });
        }
        let pushed = self.way.push(bytes, &mut self.pushed);
        self.ready.extend(self.pushed.drain(..));
        if self.way.is_over() {
            self.end(Outcome::Ok);
            return Ok(());
        }
        // Who says more after the last word is not listened to, and not asked again on this connection.
        if self.way.is_done() && (self.way.goes_on() || pushed.is_err()) {
            return self.finish();
        }
        pushed.map_err(|_| fault::too_large(&self.provider))?;
        self.upstream
            .judged(self.way.has_said())
            .map_err(|fault| fault::broken(&self.provider, fault))
    }

    /// What the client is told when this side of the stream breaks, which ends the call.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Bytes {
        if self.ended_with.is_none() {
            self.end(Outcome::Crashed);
        }
        Bytes::from(self.way.refuse(refusal))
    }

    fn finish(&mut self) -> Result<(), Failed> {
        let end = self.way.finish(&mut self.pushed);
        self.ready.extend(self.pushed.drain(..));
        match end {
            StreamEnd::Complete => self.end(Outcome::Ok),
            StreamEnd::ProviderError => self.end(Outcome::ProviderError),
            StreamEnd::Cut => {
                return Err(fault::unfinished(&self.provider));
            }
        }
        Ok(())
    }

    fn end(&mut self, outcome: Outcome) {
        self.ended_with = Some(outcome);
        if let Some((credential, began)) = self.teller.take() {
            credential.health.fared(rest_after(outcome), began);
        }
        let heard = self.heard();
        // Who leaves when the provider has said its last word has closed nothing, and nothing of it is a guess.
        let is_complete = self.way.end() == StreamEnd::Complete;
        let metered = match outcome {
            Outcome::ClientGone if is_complete && self.way.is_done() => heard.metered(Outcome::Ok),
            Outcome::ClientGone if self.is_free && !is_complete => Heard::free(),
            outcome => heard.metered(outcome),
        };
        if self.is_left {
            // It was read to its end for nobody, but the provider has told what it used.
            self.settlement.close(Outcome::ClientGone, metered);
        } else {
            self.settlement.close(outcome, metered);
        }
    }
}

/// What the end of a stream says of the credential that it came by.
fn rest_after(outcome: Outcome) -> Rest {
    match outcome {
        Outcome::Cut | Outcome::Timeout => Rest::Usual,
        Outcome::Ok => Rest::None,
        _ => Rest::Begun,
    }
}

impl Drop for StreamBody {
    /// A client that leaves after the last event has its whole answer.
    fn drop(&mut self) {
        if self.ended_with.is_none() {
            let outcome = match self.way.end() {
                _ if !self.ready.is_empty() => Outcome::ClientGone,
                StreamEnd::Complete if self.way.is_done() => Outcome::Ok,
                StreamEnd::ProviderError => Outcome::ProviderError,
                _ => Outcome::ClientGone,
            };
            self.end(outcome);
        }
    }
}
