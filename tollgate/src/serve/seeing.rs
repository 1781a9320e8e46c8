//! What operators see of the running gateway, where they have asked for it: metrics and traces.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use gateway::Gateway;
use gateway::ledger::LedgerWriter;
use gateway::seeing::{self, CallMetrics, Metrics, TraceSender, Tracer, Watchers};
use provider::Courier;
use server::{Connections, Listeners, Observed};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::hand_over::Inheritance;
use super::listen_on;
use super::supervise::supervise;
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::settings::Settings;

/// What was asked for, ready to begin.
pub(super) struct Seeing {
    metrics: Option<(TcpListener, CallMetrics)>,
    traces: Option<(Tracer, TraceSender)>,
}

/// What runs for it on the control runtime.
pub(super) struct SeeingTasks {
    observing: Option<JoinHandle<()>>,
    enough: watch::Sender<bool>,
    sending: Option<JoinHandle<()>>,
}

/// For the last spans, once the ledger is written.
const LAST_SPANS: Duration = Duration::from_secs(2);

impl Seeing {
    /// Takes the operators' address and opens the way for traces, where they are set.
    pub(super) fn prepare(settings: &Settings, inheritance: &mut Inheritance) -> Result<Self, Failure> {
        Ok(Self {
            metrics: metrics(settings, inheritance)?,
            traces: traces(settings)?,
        })
    }

    /// The operators' socket, for whoever takes over.
    pub(super) fn socket(&self) -> Option<TcpListener> {
        let (listener, _) = self.metrics.as_ref()?;
        listener
            .try_clone()
            .inspect_err(|error| tracing::warn!(%error, "the operators' address cannot be handed over"))
            .ok()
    }

    /// Lets the records of calls be seen, and begins to answer operators and to send traces.
    pub(super) fn begin(
        self,
        control: &Runtime,
        gateway: &Arc<Gateway>,
        connections: &Arc<Connections>,
        ledger: &mut LedgerWriter,
    ) -> SeeingTasks {
        let (enough, told) = watch::channel(false);
        let (listener, calls) = self.metrics.unzip();
        let (tracer, sender) = self.traces.unzip();
        let observing = listener.zip(calls.as_ref()).map(|(listener, calls)| {
            let health = tracer.as_ref().map(|tracer| tracer.health().clone());
            let observed = Observed {
                gateway: gateway.clone(),
                metrics: Metrics::new(calls, health),
                connections: connections.clone(),
            };
            let (listener, observed) = (Arc::new(listener), Arc::new(observed));
            supervise(control.handle(), gateway.vitals(), "observe", move || {
                observe(listener.clone(), observed.clone(), told.clone())
            })
        });
        let sending = sender.map(|sender| {
            let sender = Arc::new(Mutex::new(sender));
            supervise(control.handle(), gateway.vitals(), "traces", move || {
                let sender = sender.clone();
                async move { sender.lock().await.run().await }
            })
        });
        ledger.show_to(Watchers {
            metrics: calls,
            traces: tracer,
        });
        SeeingTasks {
            observing,
            enough,
            sending,
        }
    }
}

impl SeeingTasks {
    /// From now on another process answers operators: figures of two by turns would seem to run backwards. What has
    /// begun is answered.
    pub(super) fn leave_to_another(&self) {
        self.enough.send_replace(true);
    }

    /// Operators get no more answers; what was held for them is let go.
    pub(super) fn stop_observing(&self) {
        if let Some(observing) = &self.observing {
            observing.abort();
        }
    }

    /// Waits until the last spans are sent. The ledger's writer has ended.
    pub(super) async fn finish(self) {
        if let Some(sending) = self.sending
            && tokio::time::timeout(LAST_SPANS, sending).await.is_err()
        {
            tracing::warn!("the last traces are lost");
        }
    }
}

fn metrics(
    settings: &Settings,
    inheritance: &mut Inheritance,
) -> Result<Option<(TcpListener, CallMetrics)>, Failure> {
    let Some(address) = settings.metrics_listen else {
        return Ok(None);
    };
    let listeners = listen_on("TOLLGATE_METRICS_LISTEN", address, 1, inheritance)?;
    print(&format!(
        "metrics on http://{}/metrics",
        Listeners::address(&listeners)
    ))?;
    let listener = listeners.into_each().pop();
    Ok(listener.map(|listener| (listener, CallMetrics::default())))
}

fn traces(settings: &Settings) -> Result<Option<(Tracer, TraceSender)>, Failure> {
    let Some(wanted) = &settings.traces else {
        return Ok(None);
    };
    let wrong = |error: &dyn std::fmt::Display| Failure::new(Kind::Settings, error.to_string());
    let courier = Courier::new(&settings.upstream)
        .map_err(|error| wrong(&format!("TOLLGATE_UPSTREAM_CA_FILE: {error}")))?;
    let opened = seeing::trace(wanted, courier);
    opened
        .map(Some)
        .map_err(|error| wrong(&format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")))
}

async fn observe(listener: Arc<TcpListener>, observed: Arc<Observed>, enough: watch::Receiver<bool>) {
    let observing = async { server::observe(listener.try_clone()?, observed, enough).await };
    if let Err(error) = observing.await {
        tracing::error!(%error, "operators are not answered");
    }
}
