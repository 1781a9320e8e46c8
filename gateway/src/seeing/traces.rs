//! Traces on their way to a collector, by OTLP over HTTP.
//!
//! Spans go into a queue that never waits: when the collector is slow or away they are dropped, counted, and nothing
//! else notices. One task empties the queue on the control runtime.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use provider::Courier;
use tokio::sync::mpsc;
use tokio::time::sleep;
use vault::Secret;

use super::spans::spans;
use crate::ledger::CallRecord;

/// Where traces go.
pub struct TraceSettings {
    /// The collector's address; `/v1/traces` is added.
    pub endpoint: String,
    pub service_name: String,
    /// Sent with each request. They may be secrets.
    pub headers: Vec<(String, Secret)>,
}

impl TraceSettings {
    /// Where traces are posted to.
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.endpoint.trim_end_matches('/'))
    }
}

/// An address or a header that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("traces cannot be sent there")]
pub struct TraceSettingsError;

/// The way in. Its holder shows it each record once.
pub struct Tracer {
    queue: mpsc::Sender<Vec<SpanData>>,
    scope: InstrumentationScope,
    health: Arc<TraceHealth>,
}

/// What empties the queue.
pub struct TraceSender {
    waiting: mpsc::Receiver<Vec<SpanData>>,
    exporter: SpanExporter,
    health: Arc<TraceHealth>,
}

/// How sending goes, counted since the start.
#[derive(Debug, Default)]
pub struct TraceHealth {
    pub spans_sent: AtomicU64,
    pub spans_dropped: AtomicU64,
}

/// Calls whose spans may wait.
const CALLS_WAITING_MAX: usize = 4096;
const BATCH_CALLS_MAX: usize = 256;
/// How long spans gather before they are sent.
const GATHER: Duration = Duration::from_millis(500);
/// For one batch, tries and pauses together.
const TIMEOUT: Duration = Duration::from_secs(5);
const PATH: &str = "/v1/traces";

/// Opens the way to a collector. Nothing is connected to yet.
///
/// # Errors
/// When the address is none.
pub fn trace(
    settings: &TraceSettings,
    courier: Courier,
) -> Result<(Tracer, TraceSender), TraceSettingsError> {
    let headers: HashMap<String, String> = settings
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Transport(courier))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.url())
        .with_timeout(TIMEOUT)
        .with_headers(headers)
        .build();
    let mut exporter = exporter.map_err(|_| TraceSettingsError)?;
    exporter.set_resource(
        &Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build(),
    );
    let (queue, waiting) = mpsc::channel(CALLS_WAITING_MAX);
    let health = Arc::<TraceHealth>::default();
    let tracer = Tracer {
        queue,
        scope: InstrumentationScope::builder("tollgate")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
        health: health.clone(),
    };
    let sender = TraceSender {
        waiting,
        exporter,
        health,
    };
    Ok((tracer, sender))
}

impl Tracer {
    pub fn health(&self) -> &Arc<TraceHealth> {
        &self.health
    }

    pub(super) fn observe(&self, record: &CallRecord) {
        let spans = spans(record, &self.scope);
        let count = spans.len();
        if count > 0 && self.queue.try_send(spans).is_err() {
            self.health.dropped(count);
        }
    }
}

impl TraceSender {
    /// Sends until nobody can put anything into the queue any more.
    pub async fn run(&mut self) {
        let mut calls = Vec::with_capacity(BATCH_CALLS_MAX);
        let mut reached = true;
        while self.waiting.recv_many(&mut calls, BATCH_CALLS_MAX).await > 0 {
            let batch: Vec<SpanData> = calls.drain(..).flatten().collect();
            let count = batch.len();
            match self.exporter.export(batch).await {
                Ok(()) => {
                    self.health.spans_sent.fetch_add(number(count), Ordering::Relaxed);
                    if !reached {
                        tracing::info!("traces are sent again");
                    }
                    reached = true;
                }
                Err(error) => {
                    self.health.dropped(count);
                    // Said once: a collector that stays away is no news.
                    if reached {
                        tracing::warn!(%error, "traces cannot be sent; they are dropped until they can");
                    }
                    reached = false;
                }
            }
            if !self.waiting.is_closed() && self.waiting.len() < BATCH_CALLS_MAX {
                sleep(GATHER).await;
            }
        }
    }
}

impl TraceHealth {
    fn dropped(&self, spans: usize) {
        self.spans_dropped.fetch_add(number(spans), Ordering::Relaxed);
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The exporter's requests, sent by the crate that has the HTTP client.
struct Transport(Courier);

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transport")
    }
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.0.send(request).await?)
    }
}
