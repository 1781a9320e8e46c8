//! Attempts: each is one try of one target with one credential. [`attempt`] makes them, one after the other, until one is
//! answered or no other may follow ([`super::again`]).
//!
//! The order is that of the plan; a credential that has to rest comes after those that have not. Each attempt takes from its
//! own limits, has its own row in the ledger, and is settled by itself. A caller whose attempts have all failed is told the
//! last error of a provider, or that there was no answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::rates::Rates;
use dialect::refusal::{Code, Refusal};
use dialect::translate::Crossing;
use dialect::{Dialect, Envelope};
use http::{Method, StatusCode};
use policy::price::Tier;
use policy::{Plan, Target};
use provider::gemini_cli::Framing;
use provider::{Errand, MayGo, Provider, ProviderKind, SendFault, echo};

use super::again::{Again, Tries};
use super::fault::{self, Failed};
use super::gemini_cli::Asking;
use super::heard::Metered;
use super::identify::Caller;
use super::limit::{Limited, Limiting, Unlimited};
use super::prepare::{Parcel, Prepared, prepare};
use super::relay::{self, Reply, ReplyBody};
use super::settle::Settlement;
use crate::clock::now_ms;
use crate::failpoint::failpoint;
use crate::ledger::{AttemptRecord, Outcome, UsageSource};
use crate::limits::PATIENCE_IN_ALL;
use crate::live::{Credential, Rest};
use crate::worker::{Request, Worker};

/// A provider's answer that may be passed on.
pub(super) struct Answer {
    pub(super) upstream: provider::Answer,
    /// Which target answered, by which credential.
    pub(super) target: Target,
    pub(super) credential_name: Option<String>,
    pub(super) attempts: u32,
    /// What of the request was lost on the way, as clients are told.
    pub(super) lossy: Option<String>,
    /// What the answer has to be put through; none between equals.
    pub(super) crossing: Option<Box<Crossing>>,
    pub(super) provider_dialect: Dialect,
    /// When the request began to be sent.
    pub(super) sent: Instant,
    /// How the caller stands with its limits.
    pub(super) rates: Option<Rates>,
}

/// An attempt of which nothing has gone to the client.
pub(super) struct Failure {
    pub(super) told: Told,
    pub(super) outcome: Outcome,
    pub(super) again: Again,
}

/// What the client is told of it, if no other attempt is answered.
pub(super) enum Told {
    Refusal(Refusal),
    /// The provider's own error.
    Reply(Box<Reply>),
}

/// A target that this caller can use now.
pub(super) struct Candidate<'a> {
    pub(super) target: &'a Target,
    pub(super) provider: &'a Provider,
    /// None for the built-in echo, which needs none.
    pub(super) credential: Option<&'a Arc<Credential>>,
}

/// What one call is, whoever is asked.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) worker: &'a Worker,
    pub(super) caller: &'a Caller,
    pub(super) plan: &'a Plan,
    pub(super) envelope: &'a Envelope,
    pub(super) body: &'a Bytes,
    pub(super) request: &'a Request<'a>,
    /// When the whole request was there.
    pub(super) started: Instant,
}

/// What is ready to be sent to a candidate.
struct Ready {
    prepared: Prepared,
    limited: Limited,
}

impl From<Failed> for Box<Failure> {
    fn from(failed: Failed) -> Self {
        Self::new(Failure {
            told: Told::Refusal(failed.refusal),
            outcome: failed.outcome,
            again: failed.again,
        })
    }
}

/// We refuse it ourselves, whoever would be asked.
impl From<Refusal> for Box<Failure> {
    fn from(refusal: Refusal) -> Self {
        Self::new(Failure {
            told: Told::Refusal(refusal),
            outcome: Outcome::Refused,
            again: Again::Never,
        })
    }
}

/// Makes attempts until one is answered.
///
/// # Errors
/// When none can be made, or none is answered. The call is settled then.
pub(super) async fn attempt(call: Call<'_>, mut settlement: Settlement) -> Result<Reply, Refusal> {
    let settings = call.worker.gateway.settings().attempts;
    let mut tries = Tries::new(settings, call.started);
    let mut failed: Option<Box<Failure>> = None;
    let mut refused = None;
    // What went by while others were asked in vain is no time of ours.
    let mut waited = Duration::ZERO;
    let mut patience = PATIENCE_IN_ALL;
    for candidate in in_order(call) {
        if failed.is_some() {
            if !tries.are_left() {
                break;
            }
            if !candidate.may_stand_in() {
                continue;
            }
        } else {
            candidate.earn();
        }
        let ready = match ready(call, &candidate, &mut patience).await {
            Ok(ready) => ready,
            // The caller is to know of what failed, and not why nobody could stand in.
            Err(_) if failed.is_some() => {
                candidate.did_not_stand_in();
                continue;
            }
            // What the first of them says is nearest to what was asked for.
            Err(Unlimited { refusal, elsewhere }) if elsewhere => {
                refused.get_or_insert(refusal);
                continue;
            }
            Err(Unlimited { refusal, .. }) => return Err(settlement.refuse(refusal, Outcome::Refused)),
        };
        let begun = Instant::now();
        match one(
            call,
            &candidate,
            ready,
            &mut settlement,
            (&mut tries, begun),
            waited,
        )
        .await
        {
            Ok(mut reply) => {
                candidate.answered(&mut reply, begun);
                return Ok(reply);
            }
            Err(failure) => {
                let again = failure.again;
                settlement.end_attempt(failure.outcome);
                failed = Some(failure.or_more_telling(failed));
                match again {
                    Again::Never => break,
                    Again::NeverAfter(rest) => {
                        candidate.fared(rest, begun);
                        break;
                    }
                    Again::Elsewhere(rest) => candidate.fared(rest, begun),
                }
                waited = waited.saturating_add(begun.elapsed());
            }
        }
    }
    match failed {
        Some(failure) => failure.tell(settlement, tries.made),
        None => {
            let refusal = refused.unwrap_or_else(|| no_credential(call.plan));
            Err(settlement.refuse(refusal, Outcome::Refused))
        }
    }
}

impl Failure {
    /// A provider's own words tell more than that there are none.
    fn or_more_telling(self: Box<Self>, before: Option<Box<Self>>) -> Box<Self> {
        match before {
            Some(before) if matches!((&before.told, &self.told), (Told::Reply(_), Told::Refusal(_))) => {
                before
            }
            _ => self,
        }
    }

    /// The last word of the call.
    fn tell(self, mut settlement: Settlement, attempts: u32) -> Result<Reply, Refusal> {
        match self.told {
            Told::Refusal(refusal) => Err(settlement.refuse(refusal, self.outcome)),
            Told::Reply(mut reply) => {
                reply.head.attempts = attempts;
                settlement.answered(reply.head.status.as_u16());
                settlement.close(self.outcome, Metered::default());
                Ok(*reply)
            }
        }
    }
}

impl Candidate<'_> {
    fn may_be_asked(&self) -> bool {
        self.credential
            .is_none_or(|credential| credential.health.may_be_asked())
    }

    /// How it has fared with an attempt that began then.
    fn fared(&self, rest: Rest, begun: Instant) {
        if let Some(credential) = self.credential {
            credential.health.fared(rest, begun);
        }
    }

    /// It was answered; how a stream ends is told by the stream. An answer of the gateway's own says nothing.
    fn answered(&self, reply: &mut Reply, begun: Instant) {
        match (&mut reply.body, self.credential) {
            _ if reply.head.attempts == 0 => {}
            (ReplyBody::Stream(stream), Some(credential)) => stream.tells(credential.clone(), begun),
            _ => self.fared(Rest::None, begun),
        }
    }

    fn earn(&self) {
        if let Some(credential) = self.credential {
            credential.health.earn();
        }
    }

    /// It was to be asked after others had failed, and is not.
    fn did_not_stand_in(&self) {
        if let Some(credential) = self.credential {
            credential.health.did_not_stand_in();
        }
    }

    fn may_stand_in(&self) -> bool {
        self.credential
            .is_none_or(|credential| credential.health.may_stand_in())
    }
}

/// One attempt.
async fn one(
    call: Call<'_>,
    candidate: &Candidate<'_>,
    Ready { prepared, limited }: Ready,
    settlement: &mut Settlement,
    (tries, sent): (&mut Tries, Instant),
    waited: Duration,
) -> Result<Reply, Box<Failure>> {
    let Parcel {
        dialect,
        pieces,
        streamed,
        path,
        lossy,
        crossing,
    } = match prepared {
        Prepared::Send(parcel) => parcel,
        Prepared::Answered(body) => {
            let answer = estimated(candidate, body);
            return relay::relay(answer, call, waited, settlement).await;
        }
    };
    let number = tries.begin();
    let rates = limited.rates;
    let attempt_id = call.request.call_id.of_attempt(number);
    let begun = record(call, candidate, dialect, (attempt_id.clone(), number), sent);
    if let Err(refusal) = settlement.attempt(begun, limited, &call.caller.prices).await {
        return Err(refusal.into());
    }
    failpoint("begun");
    let name = &candidate.provider.name;
    let may_go = || settlement.still_holds();
    let upstream = match send(
        call,
        candidate,
        (dialect, pieces, streamed, &path),
        &attempt_id,
        &may_go,
    )
    .await
    {
        Ok(upstream) => upstream,
        Err(SendFault::Late) => return Err(settlement.too_late().into()),
        Err(fault) => {
            if fault.is_before_the_first_byte() {
                settlement.never_sent();
            }
            return Err(fault::no_answer(name, fault).into());
        }
    };
    settlement.update(|attempt| attempt.status = upstream.status.as_u16());
    failpoint("relayed");
    if let Some(failed) = fault::not_for_clients(name, upstream.status) {
        return Err(failed.into());
    }
    let answer = Answer {
        upstream,
        target: candidate.target.clone(),
        credential_name: candidate.credential.map(|credential| credential.name.clone()),
        attempts: number,
        lossy,
        crossing,
        provider_dialect: dialect,
        sent,
        rates,
    };
    relay::relay(answer, call, waited, settlement).await
}

/// What this candidate is to be sent, and what the call holds of its limits for it.
async fn ready(
    call: Call<'_>,
    candidate: &Candidate<'_>,
    patience: &mut Duration,
) -> Result<Ready, Unlimited> {
    let limiting = Limiting { call, candidate };
    let bound = limiting.bound();
    let cap = limiting.cap(bound.as_ref());
    let tenant = &call.caller.tenant;
    let prepared = prepare(candidate, call.request, call.envelope, call.body, tenant, cap);
    let prepared = prepared.map_err(|refusal| Unlimited {
        refusal,
        elsewhere: true,
    })?;
    // What is answered here uses nobody's limits.
    let bound = bound.filter(|_| matches!(prepared, Prepared::Send(_)));
    let limited = limiting.take(bound, prepared.sent_bytes(), patience).await?;
    Ok(Ready { prepared, limited })
}

fn no_credential(plan: &Plan) -> Refusal {
    let message = format!("No credential is set up for the model `{}`.", plan.model_name);
    Refusal::new(Code::NoCredential, message).param("model")
}

/// An answer of our own, for which nobody was asked: no attempt, and nothing to be booked.
fn estimated(candidate: &Candidate<'_>, body: Bytes) -> Answer {
    Answer {
        upstream: provider::Answer::ready(StatusCode::OK, "application/json", vec![body]),
        target: candidate.target.clone(),
        credential_name: candidate.credential.map(|credential| credential.name.clone()),
        attempts: 0,
        lossy: None,
        crossing: None,
        provider_dialect: candidate.provider.dialect,
        sent: Instant::now(),
        rates: None,
    }
}

/// The candidates, those that have to rest after the others. Whether one has to is looked at when its turn comes: what is then
/// taken of it is not taken for a call that others answer.
fn in_order(call: Call<'_>) -> impl Iterator<Item = Candidate<'_>> {
    let mut turn = candidates(call).enumerate();
    let (mut is_second, mut passed_over) = (false, Vec::new());
    std::iter::from_fn(move || {
        loop {
            match turn.next() {
                Some((place, candidate)) if is_second => {
                    if passed_over.contains(&place) {
                        return Some(candidate);
                    }
                }
                Some((_, candidate)) if candidate.may_be_asked() => return Some(candidate),
                Some((place, _)) => passed_over.push(place),
                None if is_second || passed_over.is_empty() => return None,
                None => (turn, is_second) = (candidates(call).enumerate(), true),
            }
        }
    })
}

/// What the tenant can use of the plan, in its order: each credential of each target's provider.
fn candidates(call: Call<'_>) -> impl Iterator<Item = Candidate<'_>> {
    call.plan.targets.iter().flat_map(move |target| {
        let provider = call.worker.gateway.directory().catalog().get(&target.provider);
        let own = call.caller.tenant.credentials(&target.provider).iter().map(Some);
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
    call: Call<'_>,
    candidate: &Candidate<'_>,
    (dialect, body, streamed, path): (Dialect, Vec<Bytes>, bool, &str),
    attempt_id: &str,
    may_go: MayGo<'_>,
) -> Result<provider::Answer, SendFault> {
    let Call {
        worker,
        caller,
        request,
        ..
    } = call;
    let Some(credential) = candidate.credential else {
        return Ok(echo::answer(&body, now_ms() / 1000, request.call_id.as_str()));
    };
    if candidate.provider.kind == ProviderKind::GeminiCli {
        if !may_go() {
            return Err(SendFault::Late);
        }
        let asking = Asking {
            cli: worker.upstreams.gemini_cli().ok_or(SendFault::SwitchedOff)?,
            logins: &worker.logins,
            tenant_id: &caller.tenant.id,
            credential,
            model: &candidate.target.model,
            body: &body,
            framing: framing(request, dialect, streamed),
            attempt_id,
        };
        // In a box, since it is large and rare: all calls would carry room for it.
        return Box::pin(asking.send()).await;
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
        attempt_id,
        client_headers: request.headers,
        timeouts: &worker.gateway.settings().timeouts,
        may_go,
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

fn record(
    call: Call<'_>,
    candidate: &Candidate<'_>,
    dialect: Dialect,
    (id, number): (String, u32),
    started: Instant,
) -> AttemptRecord {
    AttemptRecord {
        id,
        number,
        provider: candidate.target.provider.clone(),
        model: candidate.target.model.clone(),
        credential_id: candidate.credential.map(|credential| credential.id.clone()),
        dialect: dialect.as_str(),
        started_at_ms: now_ms(),
        started,
        first_byte: None,
        ended: started,
        tier: Tier::of_vendor(call.envelope.tier.as_deref()),
        began: false,
        sent: false,
        status: 0,
        outcome: Outcome::Crashed,
        usage: None,
        usage_source: UsageSource::UnknownCrash,
        suspect: false,
        guessed: false,
        cost_nano: None,
        price_version: None,
        reserved_tokens: None,
        intent: None,
    }
}
