//! One call and its attempts, as they are logged and booked.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dialect::refusal::Refusal;
use dialect::{Envelope, Usage};
use policy::price::Tier;
use store::{AttemptRow, AttemptUsage};

use crate::call_id::CallId;
use crate::seeing::TraceParent;
use crate::worker::Asked;

/// One client request from its first byte to its end.
pub struct CallRecord {
    pub call_id: CallId,
    /// What was asked for, and where.
    pub operation: &'static str,
    pub route: &'static str,
    pub started_at_ms: i64,
    pub started: Instant,
    pub ended: Instant,
    pub tenant_id: Option<Arc<str>>,
    pub key_id: Option<String>,
    pub model_name: String,
    pub streamed: bool,
    /// The HTTP status that the client got; 0 when it went away before there was one.
    pub status: u16,
    /// The code of our refusal, when we refused.
    pub refusal: Option<&'static str>,
    /// Who has to act, when we refused.
    pub party: Option<&'static str>,
    /// How long the client took to send its body.
    pub body_wait: Duration,
    /// The client's span that this call is a part of, where traces are sent.
    pub trace_parent: Option<TraceParent>,
    pub attempts: Vec<AttemptRecord>,
}

/// One try of one target with one credential.
pub struct AttemptRecord {
    /// As [`CallId::of_attempt`] makes it.
    pub id: String,
    pub number: u32,
    pub provider: String,
    pub model: String,
    pub credential_id: Option<String>,
    pub dialect: &'static str,
    pub started_at_ms: i64,
    pub started: Instant,
    pub first_byte: Option<Instant>,
    pub ended: Instant,
    /// The tier of service that was asked for, or in which the provider says that it has answered.
    pub tier: Tier,
    /// It was about to be sent: all that had to be written down before was. One that never was leaves no row.
    pub began: bool,
    /// Whether the provider may have got any of it.
    pub sent: bool,
    /// The HTTP status that the provider sent; 0 when it sent none.
    pub status: u16,
    pub outcome: Outcome,
    pub usage: Option<Usage>,
    /// Where that is known from, or why it is not.
    pub usage_source: UsageSource,
    /// The provider reported usage that makes no sense; it counts as unknown.
    pub suspect: bool,
    /// The provider told nothing of it, and it was guessed.
    pub guessed: bool,
    /// In billionths of a dollar, when a price is known.
    pub cost_nano: Option<i64>,
    /// Which prices that is by.
    pub price_version: Option<String>,
    /// What limits were charged before it was sent.
    pub reserved_tokens: Option<i64>,
    /// The sequence of its INTENT, once that is written and until the attempt has ended.
    pub(crate) intent: Option<u64>,
}

/// Where the usage of an attempt is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageSource {
    /// The provider told it, at the end.
    Provider,
    /// The provider told a part or nothing, and the rest was counted.
    Estimated,
    /// There may have been some.
    Unknown,
    /// This gateway went down meanwhile, or the call did.
    UnknownCrash,
    /// There was none.
    None,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer was passed on.
    Ok,
    /// The provider answered with an error, as its status or inside the stream.
    ProviderError,
    /// The answer broke off.
    Cut,
    /// The client went away first, or this gateway was told to stop and the call ran out of time.
    ClientGone,
    /// The provider took longer than it was given.
    Timeout,
    /// No connection to the provider came about, or none of the request was answered.
    Unreachable,
    /// The request could not even be sent: what we hold for the provider cannot be used.
    Refused,
    /// This gateway went down meanwhile, or the call did, so nobody knows.
    Crashed,
}

impl Outcome {
    /// The word in the ledger and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ProviderError => "provider_error",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Crashed => "crashed",
        }
    }
}

impl UsageSource {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
            Self::UnknownCrash => "unknown_crash",
            Self::None => "none",
        }
    }
}

impl CallRecord {
    /// A call of which nothing is known yet.
    pub fn begin(call_id: CallId, started_at_ms: i64, started: Instant) -> Self {
        Self {
            call_id,
            operation: "",
            route: "",
            started_at_ms,
            started,
            ended: started,
            tenant_id: None,
            key_id: None,
            model_name: String::new(),
            streamed: false,
            status: 0,
            refusal: None,
            party: None,
            body_wait: Duration::ZERO,
            trace_parent: None,
            attempts: Vec::new(),
        }
    }

    pub(crate) fn asked(&mut self, asked: Asked<'_>) {
        self.operation = asked.operation.name();
        self.route = asked.route();
    }

    pub(crate) fn caller(&mut self, tenant_id: Arc<str>, key_id: String) {
        self.tenant_id = Some(tenant_id);
        self.key_id = Some(key_id);
    }

    pub(crate) fn envelope(&mut self, envelope: &Envelope) {
        self.model_name.clone_from(&envelope.model);
        self.streamed = envelope.stream;
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.status = refusal.code.status();
        self.refusal = Some(refusal.code.as_str());
        self.party = Some(refusal.code.party().as_str());
        self.ended = Instant::now();
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn left(&mut self) {
        self.ended = Instant::now();
    }

    /// From the head of the request to the end of the answer.
    pub(crate) fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.started)
    }

    /// What the gateway itself took: neither the client sending its body nor the provider answering.
    pub(crate) fn overhead(&self) -> Duration {
        let upstream: Duration = self.attempts.iter().map(AttemptRecord::duration).sum();
        self.duration()
            .saturating_sub(self.body_wait)
            .saturating_sub(upstream)
    }

    /// The line in the log: who called what, how it ended, what it took. No secret and no text of a prompt is in a
    /// record, so none can be in the line.
    pub(crate) fn log(&self) {
        let last = self.attempts.last();
        let usage = last.and_then(|attempt| attempt.usage);
        tracing::info!(
            target: "tollgate::call",
            call_id = self.call_id.as_str(),
            operation = self.operation,
            tenant = self.tenant_id.as_deref(),
            key_id = self.key_id.as_deref(),
            model_name = %self.model_name,
            provider = last.map(|attempt| attempt.provider.as_str()),
            model = last.map(|attempt| attempt.model.as_str()),
            credential_id = last.and_then(|attempt| attempt.credential_id.as_deref()),
            attempts = self.attempts.len(),
            streamed = self.streamed,
            status = self.status,
            outcome = last.map(|attempt| attempt.outcome.as_str()),
            refusal = self.refusal,
            input_tokens = usage.map(|usage| usage.input_tokens),
            output_tokens = usage.map(|usage| usage.output_tokens),
            suspect_usage = last.filter(|attempt| attempt.suspect).map(|_| true),
            duration_us = micros(self.duration()),
            first_byte_us = last.and_then(|attempt| attempt.first_byte).map(|at| micros(at - self.started)),
            "call"
        );
    }

    /// The row that books an attempt of this call.
    pub(crate) fn row<'a>(&'a self, attempt: &'a AttemptRecord) -> AttemptRow<Cow<'a, str>> {
        AttemptRow {
            attempt_id: attempt.id.as_str().into(),
            call_id: self.call_id.as_str().into(),
            attempt_number: i64::from(attempt.number),
            tenant_id: self.tenant_id.as_deref().unwrap_or_default().into(),
            key_id: self.key_id.as_deref().unwrap_or_default().into(),
            credential_id: attempt.credential_id.as_deref().map(Cow::from),
            provider: attempt.provider.as_str().into(),
            model_name: self.model_name.as_str().into(),
            model: attempt.model.as_str().into(),
            dialect: attempt.dialect.into(),
            streamed: self.streamed,
            started_at_ms: attempt.started_at_ms,
            duration_us: micros(attempt.duration()),
            first_byte_us: attempt
                .first_byte
                .map(|at| micros(at.saturating_duration_since(attempt.started))),
            status: i64::from(attempt.status),
            outcome: attempt.outcome.as_str().into(),
            operation: self.operation.into(),
            usage: attempt.usage.map(usage_columns),
            usage_source: attempt.usage_source.as_str().into(),
            cost_nano: attempt.cost_nano,
            price_version: attempt.price_version.as_deref().map(Cow::from),
            reserved_tokens: attempt.reserved_tokens,
        }
    }
}

impl AttemptRecord {
    /// From sending to the end of the answer.
    pub(crate) fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.started)
    }
}

fn usage_columns(usage: Usage) -> AttemptUsage {
    AttemptUsage {
        input_tokens: column(usage.input_tokens),
        cached_input_tokens: column(usage.cached_input_tokens),
        cache_write_tokens: column(usage.cache_write_tokens),
        cache_write_1h_tokens: column(usage.cache_write_1h_tokens),
        output_tokens: column(usage.output_tokens),
        reasoning_tokens: column(usage.reasoning_tokens),
        audio_input_tokens: column(usage.audio_input_tokens),
        audio_output_tokens: column(usage.audio_output_tokens),
        image_output_tokens: column(usage.image_output_tokens),
    }
}

/// A count as the database holds it. A provider that reports more than that is not to be believed any further.
fn column(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
