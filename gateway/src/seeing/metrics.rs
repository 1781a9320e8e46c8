//! What calls leave behind, as counters and histograms.
//!
//! The number of series has an end whatever clients do: no label holds a tenant, a key, or a name that only a client
//! knows. A model is named once its provider has answered for it, and up to a number of models; the others are one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use dialect::Usage;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::live;
use super::traces::TraceHealth;
use super::words::{AttemptError, call_error, provider};
use crate::gateway::Gateway;
use crate::ledger::{AttemptRecord, CallRecord, Outcome};

/// All figures, ready to be told.
pub struct Metrics {
    registry: Registry,
    traces: Option<Arc<TraceHealth>>,
}

/// The figures that come from calls. Its holder shows it each record once.
#[derive(Clone)]
pub struct CallMetrics {
    calls: Family<CallLabels, Counter>,
    call_duration: Family<StreamLabels, Histogram, Buckets>,
    overhead: Family<StreamLabels, Histogram, Buckets>,
    attempts: Family<AttemptLabels, Counter>,
    operation_duration: Family<OperationLabels, Histogram, Buckets>,
    first_chunk: Family<ModelLabels, Histogram, Buckets>,
    token_usage: Family<TokenLabels, Histogram, Buckets>,
    tokens: Family<KindLabels, Counter>,
    suspect_usage: Family<ProviderLabels, Counter>,
    unpriced: Family<ProviderLabels, Counter>,
    names: Names,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    gen_ai_operation_name: &'static str,
    http_response_status_code: u16,
    error_type: Option<AttemptError>,
    tollgate_error_party: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_request_stream: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Arc<str>,
    tollgate_outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    gen_ai_provider_name: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    #[prometheus(flatten)]
    model: ModelLabels,
    error_type: Option<AttemptError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    #[prometheus(flatten)]
    model: ModelLabels,
    gen_ai_token_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    #[prometheus(flatten)]
    model: ModelLabels,
    tollgate_token_kind: &'static str,
}

/// The bounds of a histogram's buckets.
#[derive(Debug, Clone, Copy)]
struct Buckets(&'static [f64]);

/// From 10 ms on, as the conventions have them for operations; longer ones are added, since reasoning takes minutes.
const OPERATION_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
    655.36,
];
/// What the gateway itself takes is microseconds, and what is worth an alarm is milliseconds.
const OVERHEAD_SECONDS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003_2, 0.006_4, 0.025, 0.1, 0.4, 1.6,
];
/// As the conventions have them.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Models that have series of their own; the others share `other`.
const MODELS_MAX: usize = 200;
/// Of those without a price, which a provider that does not care for names may have any number of.
const MODELS_WITHOUT_PRICE_MAX: usize = 20;
const MODEL_NAME_MAX: usize = 128;
const OTHER: &str = "other";

impl Metrics {
    /// Over the figures that `calls` keeps, and those of the traces, if any are sent.
    pub fn new(calls: &CallMetrics, traces: Option<Arc<TraceHealth>>) -> Self {
        live::begin();
        let mut registry = Registry::default();
        calls.register(&mut registry);
        Self { registry, traces }
    }

    /// All figures in Prometheus's text format, version 0.0.4; `connections` are those open at the clients' listener.
    pub async fn text(&self, gateway: &Gateway, connections: usize) -> String {
        let live = live::registry(gateway, connections, self.traces.as_deref()).await;
        let mut text = String::with_capacity(16 << 10);
        // Writing into a string does not fail.
        let _written = prometheus_text::encode(&mut text, &self.registry)
            .and_then(|()| prometheus_text::encode(&mut text, &live));
        text
    }

    /// What the text is, for `content-type`.
    pub const CONTENT_TYPE: &'static str = prometheus_text::CONTENT_TYPE;
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            call_duration: Family::new_with_constructor(Buckets(OPERATION_SECONDS)),
            overhead: Family::new_with_constructor(Buckets(OVERHEAD_SECONDS)),
            attempts: Family::default(),
            operation_duration: Family::new_with_constructor(Buckets(OPERATION_SECONDS)),
            first_chunk: Family::new_with_constructor(Buckets(OPERATION_SECONDS)),
            token_usage: Family::new_with_constructor(Buckets(TOKENS)),
            tokens: Family::default(),
            suspect_usage: Family::default(),
            unpriced: Family::default(),
            names: Names::default(),
        }
    }
}

impl CallMetrics {
    #[rustfmt::skip]
    fn register(&self, to: &mut Registry) {
        to.register("tollgate_calls", "Calls that have ended, by what the client got", self.calls.clone());
        to.register_with_unit("tollgate_call_duration", "From the head of a request to the end of its answer", Unit::Seconds, self.call_duration.clone());
        to.register_with_unit("tollgate_overhead", "What the gateway itself took of a call: neither the client sending nor the provider answering", Unit::Seconds, self.overhead.clone());
        to.register("tollgate_attempts", "Attempts at providers, by how they ended", self.attempts.clone());
        to.register_with_unit("gen_ai_client_operation_duration", "Attempts at providers, from sending to the end of the answer", Unit::Seconds, self.operation_duration.clone());
        to.register_with_unit("gen_ai_client_operation_time_to_first_chunk", "Streamed attempts, from sending to the first piece of the answer", Unit::Seconds, self.first_chunk.clone());
        to.register("gen_ai_client_token_usage", "Tokens of an attempt, as the provider counted them", self.token_usage.clone());
        to.register("tollgate_tokens", "Tokens by kind: cached_input and cache_write are part of input, reasoning is part of output", self.tokens.clone());
        to.register("tollgate_unpriced_attempts", "Attempts whose usage is known, and no price for it", self.unpriced.clone());
        to.register("tollgate_suspect_usage", "Attempts whose provider reported usage that makes no sense", self.suspect_usage.clone());
    }

    /// Takes in a call that has ended.
    pub(super) fn observe(&mut self, record: &CallRecord) {
        let stream = StreamLabels {
            gen_ai_operation_name: record.operation,
            gen_ai_request_stream: record.streamed,
        };
        self.calls
            .get_or_create(&CallLabels {
                gen_ai_operation_name: record.operation,
                // A provider may make up numbers.
                http_response_status_code: if record.status < 600 { record.status } else { 0 },
                error_type: call_error(record),
                tollgate_error_party: record.party,
            })
            .inc();
        if !record.attempts.is_empty() {
            seconds(&self.call_duration, &stream, record.duration());
            seconds(&self.overhead, &stream, record.overhead());
        }
        for attempt in &record.attempts {
            self.observe_attempt(attempt, record);
        }
    }

    fn observe_attempt(&mut self, attempt: &AttemptRecord, record: &CallRecord) {
        let model = ModelLabels {
            gen_ai_operation_name: record.operation,
            gen_ai_provider_name: self.names.provider(&attempt.provider),
            gen_ai_request_model: self.names.model(attempt),
        };
        self.attempts
            .get_or_create(&AttemptLabels {
                gen_ai_operation_name: record.operation,
                gen_ai_provider_name: model.gen_ai_provider_name.clone(),
                tollgate_outcome: attempt.outcome.as_str(),
            })
            .inc();
        if let Some(first_byte) = attempt.first_byte.filter(|_| record.streamed) {
            let waited = first_byte.saturating_duration_since(attempt.started);
            seconds(&self.first_chunk, &model, waited);
        }
        if attempt.suspect {
            let labels = ProviderLabels {
                gen_ai_provider_name: model.gen_ai_provider_name.clone(),
            };
            self.suspect_usage.get_or_create(&labels).inc();
        }
        if attempt.usage.is_some() && attempt.cost_nano.is_none() {
            let labels = ProviderLabels {
                gen_ai_provider_name: model.gen_ai_provider_name.clone(),
            };
            self.unpriced.get_or_create(&labels).inc();
        }
        if let Some(usage) = &attempt.usage {
            self.observe_usage(&model, usage);
        }
        let operation = OperationLabels {
            model,
            error_type: AttemptError::of(attempt),
        };
        seconds(&self.operation_duration, &operation, attempt.duration());
    }

    fn observe_usage(&self, model: &ModelLabels, usage: &Usage) {
        for (gen_ai_token_type, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            let labels = TokenLabels {
                model: model.clone(),
                gen_ai_token_type,
            };
            #[expect(
                clippy::cast_precision_loss,
                reason = "a sum of tokens need not be exact here; the ledger is"
            )]
            self.token_usage.get_or_create(&labels).observe(tokens as f64);
        }
        let kinds = [
            ("input", usage.input_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
            ("audio_input", usage.audio_input_tokens),
            ("audio_output", usage.audio_output_tokens),
            ("image_output", usage.image_output_tokens),
        ];
        for (tollgate_token_kind, tokens) in kinds {
            // Most answers have none of most kinds.
            if tokens > 0 {
                let labels = KindLabels {
                    model: model.clone(),
                    tollgate_token_kind,
                };
                self.tokens.get_or_create(&labels).inc_by(tokens);
            }
        }
    }
}

fn seconds<L>(family: &Family<L, Histogram, Buckets>, labels: &L, duration: Duration)
where
    L: Clone + std::hash::Hash + Eq,
{
    family.get_or_create(labels).observe(duration.as_secs_f64());
}

/// The names that may stand in labels.
#[derive(Debug, Clone, Default)]
struct Names {
    providers: HashSet<Arc<str>>,
    models: HashSet<Arc<str>>,
    /// Those without a price, by their provider.
    without_price: HashMap<Arc<str>, HashSet<Arc<str>>>,
}

impl Names {
    /// Providers are those of the catalogue, so their number has an end.
    fn provider(&mut self, name: &str) -> Arc<str> {
        kept(&mut self.providers, provider(name), usize::MAX)
    }

    /// A model whose provider has answered for it at least once, as long as there is room. A name that a client has
    /// made up gets no answer, except from a provider that does not care for names: it has room of its own, and takes none from
    /// models that have a price.
    fn model(&mut self, attempt: &AttemptRecord) -> Arc<str> {
        let name = attempt.model.as_str();
        let may_be_new = attempt.outcome == Outcome::Ok && name.len() <= MODEL_NAME_MAX;
        let room = |max| if may_be_new { max } else { 0 };
        if self.models.contains(name) || attempt.cost_nano.is_some() {
            return kept(&mut self.models, name, room(MODELS_MAX));
        }
        let provider = self.provider(&attempt.provider);
        let names = self.without_price.entry(provider).or_default();
        kept(names, name, room(MODELS_WITHOUT_PRICE_MAX))
    }
}

/// The kept name; a new one is taken in while there are fewer than `max`.
fn kept(names: &mut HashSet<Arc<str>>, name: &str, max: usize) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    if names.len() >= max {
        return Arc::from(OTHER);
    }
    let new: Arc<str> = Arc::from(name);
    names.insert(new.clone());
    new
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl EncodeLabelValue for AttemptError {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        write!(encoder, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::call_id::CallId;
    use crate::ledger::UsageSource;

    fn attempt(model: &str, outcome: Outcome) -> AttemptRecord {
        let now = Instant::now();
        AttemptRecord {
            id: "call-1".to_owned(),
            number: 1,
            provider: "custom".to_owned(),
            model: model.to_owned(),
            credential_id: None,
            dialect: "openai_chat",
            started_at_ms: 0,
            started: now,
            first_byte: None,
            ended: now,
            tier: policy::price::Tier::Standard,
            began: true,
            sent: true,
            status: 200,
            outcome,
            usage: None,
            usage_source: UsageSource::Unknown,
            suspect: false,
            guessed: false,
            cost_nano: None,
            price_version: None,
            reserved_tokens: None,
            intent: None,
        }
    }

    fn text(calls: &CallMetrics) -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &Metrics::new(calls, None).registry).unwrap();
        text
    }

    #[test]
    fn names_that_clients_make_up_make_no_series() {
        let mut calls = CallMetrics::default();
        let mut record = CallRecord::begin(CallId::generate(), 0, Instant::now());
        for number in 0..1000 {
            record.attempts = vec![attempt(&format!("made-up-{number}"), Outcome::ProviderError)];
            calls.observe(&record);
        }
        assert!(!text(&calls).contains("made-up"), "no provider answered for it");
        for number in 0..1000 {
            record.attempts = vec![attempt(&format!("served-{number}"), Outcome::Ok)];
            calls.observe(&record);
        }
        // They leave the room of others alone.
        for number in 0..1000 {
            let mut priced = attempt(&format!("priced-{number}"), Outcome::Ok);
            priced.cost_nano = Some(1);
            record.attempts = vec![priced];
            calls.observe(&record);
        }
        let mut elsewhere = attempt("elsewhere", Outcome::Ok);
        elsewhere.provider = "groq".to_owned();
        record.attempts = vec![elsewhere];
        record.status = 999;
        calls.observe(&record);
        let text = text(&calls);
        let count = |prefix: &str| {
            let words = text.split('"').filter(|word| word.starts_with(prefix));
            words.collect::<HashSet<&str>>().len()
        };
        assert_eq!(count("served-"), MODELS_WITHOUT_PRICE_MAX);
        assert_eq!(count("priced-"), MODELS_MAX);
        assert_eq!(count("elsewhere"), 1);
        assert!(text.contains("gen_ai_request_model=\"other\"") && !text.contains("\"999\""));
    }
}
