//! What of its limits a call takes before it is sent to a candidate.
//!
//! Limits on the tenant, the gateway key, the model and the credential are taken from together. Where one of them has to
//! know how much the call may use, and the client set no cap for the answer, the model's own maximum is sent as the cap: then
//! what is reserved is never passed.

use std::sync::Arc;
use std::time::Duration;

use dialect::rates::Rates;
use dialect::refusal::Refusal;
use dialect::{Weight, weigh};
use policy::bound::{Answer, Ask, Bound};
use policy::expect::Use;
use policy::limit::Subject;

use super::attempt::{Call, Candidate};
use crate::clock::now_ms;
use crate::limits::{
    Like, Party, Taken, are_measured, has_soft, is_of_credential, needs, rates, refuse, unpriced,
};
use crate::worker::Operation;

/// What an attempt holds of its limits until it is settled.
pub(super) struct Limited {
    pub(super) taken: Taken,
    pub(super) rates: Option<Rates>,
    /// Input and output together, where they are limited.
    pub(super) reserved_tokens: Option<i64>,
}

/// Why it holds nothing.
pub(super) struct Unlimited {
    pub(super) refusal: Refusal,
    /// Whether the same call might pass with another credential, or at another target.
    pub(super) elsewhere: bool,
}

/// One call, and to whom it would go.
pub(super) struct Limiting<'a> {
    pub(super) call: Call<'a>,
    pub(super) candidate: &'a Candidate<'a>,
}

/// What is expected of a call before anything is known of its like: a token for so many bytes, and an answer of so many.
const BYTES_A_TOKEN: u64 = 4;
const ANSWER_TOKENS: u64 = 1_024;
/// The most that an answer of a model is let have of which nobody knows the maximum.
const ANSWER_TOKENS_UNKNOWN: u64 = 16_384;

impl Limiting<'_> {
    /// What the call may use at most; `None` where nothing limits it.
    pub(super) fn bound(&self) -> Option<Bound> {
        self.party().limits().next()?;
        if self.counts_only() {
            return Some(Bound::of_counting());
        }
        let weight = weigh(self.call.request.asked.dialect, self.call.body);
        Some(Bound::of(&self.ask(&weight), &self.call.caller.prices))
    }

    /// What the answer has to be capped to, so that the bound holds; `None` where it need not be.
    pub(super) fn cap(&self, bound: Option<&Bound>) -> Option<u64> {
        bound?.cap.filter(|_| are_measured(self.party()))
    }

    /// Takes what the call needs. `sent_bytes` is how long the request became on the way to another dialect.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) async fn take(
        &self,
        bound: Option<Bound>,
        sent_bytes: usize,
        patience: &mut Duration,
    ) -> Result<Limited, Unlimited> {
        let limits = self.call.worker.gateway.limits();
        let Some(mut bound) = bound else {
            return Ok(Limited {
                taken: Taken::nothing(limits),
                rates: None,
                reserved_tokens: None,
            });
        };
        let more = if self.counts_only() {
            0
        } else {
            sent_bytes.saturating_sub(self.call.body.len()) as u64
        };
        bound.input_tokens = bound.input_tokens.map(|tokens| tokens.saturating_add(more));
        let (expected, like) = self.expected(&bound);
        let needs = needs(self.party(), &bound, &expected).map_err(|limit| Unlimited {
            refusal: unpriced(&limit, &self.candidate.target.model),
            elsewhere: true,
        })?;
        match limits.take(&self.call.caller.tenant.id, &needs, patience).await {
            Ok(mut taken) => {
                taken.note_like(like);
                Ok(Limited {
                    taken,
                    rates: rates(limits, &needs),
                    reserved_tokens: bound.tokens().and_then(|tokens| i64::try_from(tokens).ok()),
                })
            }
            Err(denied) => Err(Unlimited {
                refusal: refuse(&denied).rates(rates(limits, &needs)),
                elsewhere: is_of_credential(&denied.limit)
                    || matches!(denied.limit.subject, Subject::Model(_)),
            }),
        }
    }

    fn counts_only(&self) -> bool {
        matches!(self.call.request.asked.operation, Operation::CountTokens(_))
    }

    fn party(&self) -> Party<'_> {
        let credential = self.candidate.credential;
        Party {
            tenant: &self.call.caller.tenant,
            key_id: &self.call.caller.key.id,
            credential_id: credential.map(|credential| credential.id.as_str()),
            model: &self.candidate.target.model,
        }
    }

    fn ask<'a>(&'a self, weight: &'a Weight) -> Ask<'a> {
        let answers = self.call.request.asked.operation == Operation::Generate;
        Ask {
            provider: &self.candidate.provider.name,
            model: &self.candidate.target.model,
            dialect: self
                .candidate
                .provider
                .dialect_for(self.call.request.asked.dialect),
            at_ms: now_ms(),
            weight,
            answer: answers.then_some(Answer {
                choices: self.call.envelope.choices,
                max_tokens: self.call.envelope.max_tokens,
                catalog_max: Some(ANSWER_TOKENS_UNKNOWN),
            }),
        }
    }

    /// What the call will probably use, and of what that is learned; the bound itself where only that matters.
    fn expected(&self, bound: &Bound) -> (Bound, Option<Like>) {
        if !has_soft(self.party()) {
            return (*bound, None);
        }
        let like = Like {
            model: Arc::from(self.candidate.target.model.as_str()),
            key: Arc::from(self.call.caller.key.id.as_str()),
        };
        let first = Use {
            input_tokens: self.call.body.len() as u64 / BYTES_A_TOKEN + 1,
            output_tokens: ANSWER_TOKENS,
            nano_dollars: u64::MAX,
        };
        let limits = self.call.worker.gateway.limits();
        (limits.expected.of(&like, bound, first), Some(like))
    }
}
