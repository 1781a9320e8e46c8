//! A call as spans: one for the call, and one below it for each attempt.
//!
//! They are made when the call is over, from its record, with the times at which things really happened. A record holds
//! no secret and nothing of a prompt or an answer, so no span can.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dialect::Usage;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::words::{AttemptError, METHOD, call_error, provider};
use crate::ledger::{AttemptRecord, CallRecord};

/// The spans of a call; none when the client's trace is not kept.
pub(super) fn spans(record: &CallRecord, scope: &InstrumentationScope) -> Vec<SpanData> {
    if record.trace_parent.is_some_and(|parent| !parent.sampled) {
        return Vec::new();
    }
    let writing = Writing { record, scope };
    let attempts = record.attempts.iter().map(|attempt| writing.attempt(attempt));
    std::iter::once(writing.call()).chain(attempts).collect()
}

struct Writing<'a> {
    record: &'a CallRecord,
    scope: &'a InstrumentationScope,
}

impl Writing<'_> {
    fn call(&self) -> SpanData {
        let record = self.record;
        let mut attributes = vec![
            pair("http.request.method", METHOD),
            pair("http.route", record.route),
            pair("gen_ai.operation.name", record.operation),
            pair("gen_ai.request.stream", record.streamed),
            pair("tollgate.call.id", record.call_id.to_string()),
            pair("tollgate.attempts", count(record.attempts.len())),
        ];
        if record.status > 0 {
            attributes.push(pair("http.response.status_code", i64::from(record.status)));
        }
        if !record.model_name.is_empty() {
            attributes.push(pair("gen_ai.request.model", record.model_name.clone()));
        }
        if let Some(tenant_id) = &record.tenant_id {
            attributes.push(pair("tollgate.tenant.id", tenant_id.to_string()));
        }
        if let Some(key_id) = &record.key_id {
            attributes.push(pair("tollgate.key.id", key_id.clone()));
        }
        if let Some(party) = record.party {
            attributes.push(pair("tollgate.error.party", party));
        }
        // To a server's span, what the client did wrong is no error; a stream that broke after its 200 is.
        let error = call_error(record);
        let is_ours = record.status >= 500 || (record.status < 400 && error.is_some());
        let parent = record.trace_parent.map_or(SpanId::INVALID, |parent| {
            SpanId::from_bytes(parent.span_id.to_be_bytes())
        });
        let mut span = self.span(0, parent, (record.started, record.ended), attributes);
        span.name = Cow::Owned(format!("{METHOD} {}", record.route));
        span.span_kind = SpanKind::Server;
        span.parent_span_is_remote = record.trace_parent.is_some();
        with_error(&mut span, error, is_ours);
        span
    }

    fn attempt(&self, attempt: &AttemptRecord) -> SpanData {
        let mut attributes = vec![
            pair("gen_ai.operation.name", self.record.operation),
            pair("gen_ai.provider.name", provider(&attempt.provider).to_owned()),
            pair("gen_ai.request.model", attempt.model.clone()),
            pair("gen_ai.request.stream", self.record.streamed),
            pair("tollgate.attempt", i64::from(attempt.number)),
            pair("tollgate.outcome", attempt.outcome.as_str()),
        ];
        if attempt.status > 0 {
            attributes.push(pair("http.response.status_code", i64::from(attempt.status)));
        }
        if let Some(credential_id) = &attempt.credential_id {
            attributes.push(pair("tollgate.credential.id", credential_id.clone()));
        }
        if let Some(first_byte) = attempt.first_byte.filter(|_| self.record.streamed) {
            let waited = first_byte.saturating_duration_since(attempt.started);
            attributes.push(pair("gen_ai.response.time_to_first_chunk", waited.as_secs_f64()));
        }
        attributes.extend(attempt.usage.iter().flat_map(usage));
        let call = span_id(self.record, 0);
        let mut span = self.span(attempt.number, call, (attempt.started, attempt.ended), attributes);
        span.name = Cow::Owned(format!("{} {}", self.record.operation, attempt.model));
        with_error(&mut span, AttemptError::of(attempt), true);
        span
    }

    fn span(
        &self,
        number: u32,
        parent_span_id: SpanId,
        (started, ended): (Instant, Instant),
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                trace_id(self.record),
                span_id(self.record, number),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id,
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: Cow::Borrowed(self.record.operation),
            start_time: self.at(started),
            end_time: self.at(ended),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// All times of a call are counted from the one instant whose wall-clock time is known, so that a clock that is set
    /// meanwhile cannot turn them round.
    fn at(&self, instant: Instant) -> SystemTime {
        let began = Duration::from_millis(u64::try_from(self.record.started_at_ms).unwrap_or(0));
        UNIX_EPOCH + began + instant.saturating_duration_since(self.record.started)
    }
}

/// The client's trace, or one of the call's own, which is the call's id: what a client is told as `x-request-id` can be
/// looked up.
fn trace_id(record: &CallRecord) -> TraceId {
    let own = record.call_id.bits();
    TraceId::from_bytes(
        record
            .trace_parent
            .map_or(own, |parent| parent.trace_id)
            .to_be_bytes(),
    )
}

/// The call's span has number 0, its attempts follow. The lower half of a call's id is chance alone.
fn span_id(record: &CallRecord, number: u32) -> SpanId {
    let [.., a, b, c, d, e, f, g, h] = record.call_id.bits().to_be_bytes();
    let call = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    // Zero would be no id.
    SpanId::from_bytes(call.wrapping_add(u64::from(number)).max(1).to_be_bytes())
}

fn usage(usage: &Usage) -> Vec<KeyValue> {
    let told = |name: &'static str, tokens: u64| pair(name, i64::try_from(tokens).unwrap_or(i64::MAX));
    let mut attributes = vec![
        told("gen_ai.usage.input_tokens", usage.input_tokens),
        told("gen_ai.usage.output_tokens", usage.output_tokens),
    ];
    let parts = [
        ("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens),
        (
            "gen_ai.usage.cache_creation.input_tokens",
            usage.cache_write_tokens,
        ),
        ("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens),
        ("gen_ai.usage.audio.input_tokens", usage.audio_input_tokens),
        ("gen_ai.usage.audio.output_tokens", usage.audio_output_tokens),
    ];
    let some = parts.into_iter().filter(|(_, tokens)| *tokens > 0);
    attributes.extend(some.map(|(name, tokens)| told(name, tokens)));
    attributes
}

/// Says what it failed of, and whether that makes the span one that failed.
fn with_error(span: &mut SpanData, error: Option<AttemptError>, is_failure: bool) {
    let Some(error) = error else {
        return;
    };
    span.attributes.push(pair("error.type", error.to_string()));
    if is_failure {
        span.status = Status::Error {
            description: Cow::Borrowed(""),
        };
    }
}

fn pair(name: &'static str, value: impl Into<Value>) -> KeyValue {
    KeyValue::new(name, value)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
