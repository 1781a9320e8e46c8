//! What operators see of calls: figures for Prometheus ([`Metrics`]), and traces by OTLP ([`trace`]).
//!
//! Nothing here is on the way of a call. A call leaves a record behind, which the ledger's writer shows to the
//! [`Watchers`] on the control runtime; how things stand at the moment is read when somebody asks.
//!
//! Names follow OpenTelemetry's semantic conventions for generative AI where these have one, and begin with
//! `tollgate` where they have none.

mod live;
mod metrics;
mod spans;
mod trace_parent;
mod traces;
mod words;

pub use metrics::{CallMetrics, Metrics};
pub use trace_parent::TraceParent;
pub use traces::{TraceHealth, TraceSender, TraceSettings, TraceSettingsError, Tracer, trace};

use crate::ledger::CallRecord;

/// Who looks at the records of calls.
#[derive(Default)]
pub struct Watchers {
    pub metrics: Option<CallMetrics>,
    pub traces: Option<Tracer>,
}

impl Watchers {
    pub(crate) fn watch(&mut self, record: &CallRecord) {
        if let Some(metrics) = &mut self.metrics {
            metrics.observe(record);
        }
        if let Some(traces) = &self.traces {
            traces.observe(record);
        }
    }
}
