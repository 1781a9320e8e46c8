//! What operators see of the running gateway, where they have asked for it: metrics.

use std::net::TcpListener;
use std::sync::Arc;

use gateway::Gateway;
use gateway::ledger::LedgerWriter;
use gateway::seeing::{CallMetrics, Metrics, Watchers};
use server::{Connections, Listeners, Observed};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::hand_over::Inheritance;
use super::listen_on;
use super::supervise::supervise;
use crate::failure::Failure;
use crate::output::print;
use crate::settings::Settings;

/// What was asked for, ready to begin.
pub(super) struct Seeing {
    metrics: Option<(TcpListener, CallMetrics)>,
}

/// What runs for it on the control runtime.
pub(super) struct SeeingTasks {
    observing: Option<JoinHandle<()>>,
    enough: watch::Sender<bool>,
}

impl Seeing {
    /// Takes the operators' address, where one is set.
    pub(super) fn prepare(settings: &Settings, inheritance: &mut Inheritance) -> Result<Self, Failure> {
        Ok(Self {
            metrics: metrics(settings, inheritance)?,
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

    /// Lets the records of calls be seen, and begins to answer operators.
    pub(super) fn begin(
        self,
        control: &Runtime,
        gateway: &Arc<Gateway>,
        connections: &Arc<Connections>,
        ledger: &mut LedgerWriter,
    ) -> SeeingTasks {
        let (enough, told) = watch::channel(false);
        let (listener, calls) = self.metrics.unzip();
        let observing = listener.zip(calls.as_ref()).map(|(listener, calls)| {
            let observed = Observed {
                gateway: gateway.clone(),
                metrics: Metrics::new(calls),
                connections: connections.clone(),
            };
            let (listener, observed) = (Arc::new(listener), Arc::new(observed));
            supervise(control.handle(), gateway.vitals(), "observe", move || {
                observe(listener.clone(), observed.clone(), told.clone())
            })
        });
        ledger.show_to(Watchers { metrics: calls });
        SeeingTasks { observing, enough }
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

async fn observe(listener: Arc<TcpListener>, observed: Arc<Observed>, enough: watch::Receiver<bool>) {
    let observing = async { server::observe(listener.try_clone()?, observed, enough).await };
    if let Err(error) = observing.await {
        tracing::error!(%error, "operators are not answered");
    }
}
