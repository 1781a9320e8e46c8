//! One try of one target with one credential.
//!
//! This is the place for picking among credentials and for falling back to the next target: [`choose`] names the
//! candidate, [`fault`] says which answers may not be passed on. For now the first candidate is tried, once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use dialect::refusal::{Code, Refusal};
use dialect::translate::Crossing;
use dialect::{Dialect, Envelope};
use http::{Method, StatusCode};
use policy::{Plan, Target};
use provider::{Errand, Provider, ProviderKind, SendFault, echo};

use super::fault;
use super::identify::Caller;
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
}

/// A target that this caller can use now.
pub(super) struct Candidate<'a> {
    pub(super) target: &'a Target,
    pub(super) provider: &'a Provider,
    /// None for the built-in echo, which needs none.
    pub(super) credential: Option<Arc<Credential>>,
}

/// Sends the call to the first usable target of the plan.
///
/// # Errors
/// When no target is usable, the provider could not be reached, or its answer is not one to pass on. The call is
/// settled then.
pub(super) async fn attempt(
    worker: &Worker,
    caller: &Caller,
    plan: &Plan,
    envelope: &Envelope,
    body: &Bytes,
    request: &Request<'_>,
    mut settlement: Settlement,
) -> Result<Answer, Refusal> {
    let candidate = match choose(worker, caller, plan) {
        Ok(candidate) => candidate,
        Err(refusal) => return Err(settlement.refuse(refusal, Outcome::Refused)),
    };
    let Parcel {
        dialect,
        pieces,
        path,
        crossing,
    } = match prepare(&candidate, request, envelope, body, &caller.tenant) {
        Ok(Prepared::Send(parcel)) => parcel,
        Ok(Prepared::Answered(body)) => return Ok(estimated(candidate, body, settlement)),
        Err(refusal) => return Err(settlement.refuse(refusal, Outcome::Refused)),
    };
    let number = 1;
    let sent = Instant::now();
    let begun = settlement
        .attempt(record(&candidate, dialect, number, sent))
        .await;
    begun.map_err(|refusal| settlement.refuse(refusal, Outcome::Refused))?;
    let upstream = match send(
        worker,
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
    })
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
    }
}

/// The first target that the tenant has a credential for.
fn choose<'a>(worker: &'a Worker, caller: &Caller, plan: &'a Plan) -> Result<Candidate<'a>, Refusal> {
    let usable = plan.targets.iter().find_map(|target| {
        let provider = worker.gateway.directory().catalog().get(&target.provider)?;
        let credential = caller.tenant.credentials(&target.provider).first().cloned();
        let is_usable = credential.is_some() || provider.kind == ProviderKind::Echo;
        is_usable.then_some(Candidate {
            target,
            provider,
            credential,
        })
    });
    usable.ok_or_else(|| {
        let message = format!("No credential is set up for the model `{}`.", plan.model_name);
        Refusal::new(Code::NoCredential, message).param("model")
    })
}

async fn send(
    worker: &Worker,
    candidate: &Candidate<'_>,
    (dialect, body, path): (Dialect, Vec<Bytes>, &str),
    streamed: bool,
    request: &Request<'_>,
    number: u32,
) -> Result<provider::Answer, SendFault> {
    if candidate.provider.kind == ProviderKind::GeminiCli {
        return Err(SendFault::SwitchedOff);
    }
    let Some(credential) = &candidate.credential else {
        return Ok(echo::answer(&body, now_ms() / 1000, request.call_id.as_str()));
    };
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
