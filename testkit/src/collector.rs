//! A collector of traces: takes in what is sent by OTLP over HTTP, and shows it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message as _;

use crate::vendor::{Play, Seen, Vendor};

pub use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

/// A running collector; it stops when dropped.
pub struct Collector {
    receiver: Vendor,
}

/// Nothing in a test takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

impl Collector {
    pub fn start() -> Self {
        // An empty message is a whole success.
        let receiver =
            Vendor::start(|_| Play::json(200, "").header("content-type", "application/x-protobuf"));
        Self { receiver }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        self.receiver.base_url().trim_end_matches("/v1").to_owned()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.receiver.seen()
    }

    /// The attributes of what sent them.
    #[expect(clippy::expect_used, reason = "a test with a broken message has failed")]
    pub fn resource(&self) -> BTreeMap<String, String> {
        let last = ExportTraceServiceRequest::decode(self.receiver.last().body.as_slice());
        let resource = last.expect("a message").resource_spans.into_iter().next();
        let resource = resource.and_then(|spans| spans.resource);
        attributes(&resource.expect("a resource").attributes)
    }

    /// Waits for so many spans.
    pub fn spans(&self, count: usize) -> Vec<Span> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans: Vec<Span> = self.requests().iter().flat_map(read).collect();
            if spans.len() >= count {
                return spans;
            }
            assert!(Instant::now() < deadline, "too few spans: {spans:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Attributes as text, by name.
pub fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs
        .iter()
        .map(|pair| {
            (
                pair.key.clone(),
                pair.value.as_ref().map(text).unwrap_or_default(),
            )
        })
        .collect()
}

#[expect(clippy::expect_used, reason = "a test with a broken message has failed")]
fn read(seen: &Seen) -> Vec<Span> {
    let message = ExportTraceServiceRequest::decode(seen.body.as_slice()).expect("a message");
    let scopes = message
        .resource_spans
        .into_iter()
        .flat_map(|spans| spans.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}
