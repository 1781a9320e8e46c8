//! One try of one target with one credential.
//!
//! This is the place for picking among credentials and for falling back to the next target: [`choose`] names the
//! candidate, [`fault`] says which answers may not be passed on. For now the first candidate is tried, once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use dialect::rates::Rates;
use dialect::refusal::{Code, Refusal};
use dialect::translate::Crossing;
use dialect::{Dialect, Envelope};
use http::{Method, StatusCode};
use policy::{Plan, Target};
use provider::gemini_cli::{Commission, Framing};
use provider::{Errand, Provider, ProviderKind, SendFault, echo};

use super::fault;
use super::identify::Caller;
use super::limit::{Limited, Limiting, Unlimited};
use super::prepare::{Parcel, Prepared, prepare};
use super::settle::Settlement;
use crate::clock::now_ms;
use crate::ledger::{AttemptRecord, Outcome, UsageSource};
use crate::live::Credential;
use crate::worker::{Request, Worker};

/// A provider's answer that may be passed on.
pub(super) struct Answer {
    pub(super) upstream: provider::Answer,
    pub(super) settlement: Settlement,
    /// Which target answered, by which credential.
    pub(super) target: Target,
    pub(super) credential_name: Option<String>,
    pub(super) attempts: u32,
    /// What the answer has to be put through; none between equals.
    pub(super) crossing: Option<Box<Crossing>>,
    pub(super) provider_dialect: Dialect,
    /// When the request began to be sent.
    pub(super) sent: Instant,
    /// How the caller stands with its limits.
    pub(super) rates: Option<Rates>,
}

/// A target that this caller can use now.
pub(super) struct Candidate<'a> {
    pub(super) target: &'a Target,
    pub(super) provider: &'a Provider,
    /// None for the built-in echo, which needs none.
    pub(super) credential: Option<Arc<Credential>>,
}

/// What is ready to be sent to a candidate.
struct Ready<'a> {
    candidate: Candidate<'a>,
    prepared: Prepared,
    limited: Limited,
}

/// Sends the call to the first target of the plan that is usable, and whose limits let it through.
///
/// # Errors
/// When there is none, the provider could not be reached, or its answer is not one to pass on. The call is settled then.
pub(super) async fn attempt(
    worker: &Worker,
    caller: &Caller,
    plan: &Plan,
    envelope: &Envelope,
    body: &Bytes,
    request: &Request<'_>,
    mut settlement: Settlement,
) -> Result<Answer, Refusal> {
    let Ready {
        candidate,
        prepared,
        limited,
    } = match ready(worker, caller, plan, envelope, body, request).await {
        Ok(ready) => ready,
        Err(refusal) => return Err(settlement.refuse(refusal, Outcome::Refused)),
    };
    let Parcel {
        dialect,
        pieces,
        path,
        crossing,
    } = match prepared {
        Prepared::Send(parcel) => parcel,
        Prepared::Answered(body) => return Ok(estimated(candidate, body, settlement)),
    };
    let number = 1;
    let sent = Instant::now();
    let rates = limited.rates;
    let begun = record(&candidate, dialect, number, sent);
    if let Err(refusal) = settlement.attempt(begun, limited, &caller.prices).await {
        return Err(settlement.refuse(refusal, Outcome::Refused));
    }
    let upstream = match send(
        worker,
        caller,
        &candidate,
        (dialect, pieces, &path),
        envelope.stream,
        request,
        number,
    )
    .await
    {
        Ok(upstream) => upstream,
        Err(fault) => {
            if fault.is_before_the_first_byte() {
                settlement.never_sent();
            }
            let (refusal, outcome) = fault::no_answer(&candidate.provider.name, fault);
            return Err(settlement.refuse(refusal, outcome));
        }
    };
    settlement.update(|attempt| attempt.status = upstream.status.as_u16());
    if let Some((refusal, outcome)) = fault::not_for_clients(&candidate.provider.name, upstream.status) {
        return Err(settlement.refuse(refusal, outcome));
    }
    Ok(Answer {
        upstream,
        settlement,
        target: candidate.target.clone(),
        credential_name: candidate.credential.map(|credential| credential.name.clone()),
        attempts: number,
        crossing,
        provider_dialect: dialect,
        sent,
        rates,
    })
}

/// The first candidate whose limits let the call through. A credential that is used up leaves it to the next one.
async fn ready<'a>(
    worker: &'a Worker,
    caller: &Caller,
    plan: &'a Plan,
    envelope: &Envelope,
    body: &Bytes,
    request: &Request<'_>,
) -> Result<Ready<'a>, Refusal> {
    let mut refused = None;
    for candidate in candidates(worker, caller, plan) {
        let limiting = Limiting {
            worker,
            caller,
            candidate: &candidate,
            request,
            envelope,
            body,
        };
        let bound = limiting.bound();
        let cap = limiting.cap(bound.as_ref());
        let prepared = prepare(&candidate, request, envelope, body, &caller.tenant, cap)?;
        match limiting.take(bound, prepared.sent_bytes()).await {
            Ok(limited) => {
                return Ok(Ready {
                    candidate,
                    prepared,
                    limited,
                });
            }
            Err(Unlimited { refusal, elsewhere }) if elsewhere => refused = Some(refusal),
            Err(Unlimited { refusal, .. }) => return Err(refusal),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let message = format!("No credential is set up for the model `{}`.", plan.model_name);
        Refusal::new(Code::NoCredential, message).param("model")
    }))
}

/// An answer of our own, for which nobody was asked: no attempt, and nothing to be booked.
fn estimated(candidate: Candidate<'_>, body: Bytes, settlement: Settlement) -> Answer {
    Answer {
        upstream: provider::Answer::ready(StatusCode::OK, "application/json", vec![body]),
        settlement,
        target: candidate.target.clone(),
        credential_name: candidate.credential.map(|credential| credential.name.clone()),
        attempts: 0,
        crossing: None,
        provider_dialect: candidate.provider.dialect,
        sent: Instant::now(),
        rates: None,
    }
}

/// What the tenant can use of the plan, in its order: each credential of each target's provider.
fn candidates<'a>(
    worker: &'a Worker,
    caller: &Caller,
    plan: &'a Plan,
) -> impl Iterator<Item = Candidate<'a>> {
    plan.targets.iter().flat_map(|target| {
        let provider = worker.gateway.directory().catalog().get(&target.provider);
        let own = caller
            .tenant
            .credentials(&target.provider)
            .iter()
            .cloned()
            .map(Some);
        let needs_none = provider.is_some_and(|provider| provider.kind == ProviderKind::Echo);
        let credentials = own.chain(needs_none.then_some(None));
        credentials.filter_map(move |credential| {
            Some(Candidate {
                target,
                provider: provider?,
                credential,
            })
        })
    })
}

async fn send(
    worker: &Worker,
    caller: &Caller,
    candidate: &Candidate<'_>,
    (dialect, body, path): (Dialect, Vec<Bytes>, &str),
    streamed: bool,
    request: &Request<'_>,
    number: u32,
) -> Result<provider::Answer, SendFault> {
    let Some(credential) = &candidate.credential else {
        return Ok(echo::answer(&body, now_ms() / 1000, request.call_id.as_str()));
    };
    if candidate.provider.kind == ProviderKind::GeminiCli {
        let gemini_cli = worker.upstreams.gemini_cli().ok_or(SendFault::SwitchedOff)?;
        let commission = Commission {
            tenant_id: &caller.tenant.id,
            credential_id: &credential.id,
            secret: credential.secret.as_ref(),
            base_url: &credential.base_url,
            model: &candidate.target.model,
            body: &body,
            framing: framing(request, dialect, streamed),
            attempt_id: &request.call_id.of_attempt(number),
        };
        // In a box, since it is large and rare: all calls would carry room for it.
        return Box::pin(gemini_cli.answer(commission)).await;
    }
    let errand = Errand {
        credential_id: &credential.id,
        base_url: &credential.base_url,
        auth: candidate.provider.auth,
        dialect,
        betas: &candidate.provider.betas,
        secret: credential.secret.as_ref(),
        method: Method::POST,
        path,
        body,
        streamed,
        attempt_id: &request.call_id.of_attempt(number),
        client_headers: request.headers,
        timeouts: &worker.gateway.settings().timeouts,
    };
    worker.upstreams.send(errand).await
}

/// How an answer of Gemini's is written for this client, or to be translated.
fn framing(request: &Request<'_>, dialect: Dialect, streamed: bool) -> Framing {
    match streamed {
        false => Framing::Whole,
        true if request.asked.in_path.is_array && request.asked.dialect == dialect => Framing::Array,
        true => Framing::Events,
    }
}

fn record(candidate: &Candidate<'_>, dialect: Dialect, number: u32, started: Instant) -> AttemptRecord {
    AttemptRecord {
        number,
        provider: candidate.target.provider.clone(),
        model: candidate.target.model.clone(),
        credential_id: candidate
            .credential
            .as_ref()
            .map(|credential| credential.id.clone()),
        dialect: dialect.as_str(),
        started_at_ms: now_ms(),
        started,
        first_byte: None,
        ended: started,
        status: 0,
        outcome: Outcome::Crashed,
        usage: None,
        usage_source: UsageSource::UnknownCrash,
        suspect: false,
        cost_nano: None,
        price_version: None,
        reserved_tokens: None,
        units: Vec::new(),
        intent: None,
    }
}
