//! Running the gateway: one thread for each worker, and the control runtime for the database, the ledger and changes.

mod environment;
mod first_start;
mod log;
mod stop;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gateway::ledger::LedgerWriter;
use gateway::{Gateway, Worker, live};
use provider::{Catalog, Upstreams};
use server::{Connections, FrontLimits, ListenError, Listeners, Phase};
use store::Store;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::desk::open_and_migrate;
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::settings::{Settings, Source};
use stop::StopSignals;

/// What runs beside the workers.
struct Control {
    gateway: Arc<Gateway>,
    store: Store,
    ledger: LedgerWriter,
}

/// How long the ledger may take to write its last records, once no call is left.
const LAST_RECORDS: Duration = Duration::from_secs(10);

/// Serves until the process is told to stop, and then ends the calls that are under way.
///
/// # Errors
/// When it cannot start.
pub(crate) fn serve(source: &Source) -> Result<(), Failure> {
    let settings = Settings::read(source)?;
    let log = log::start(&settings)?;
    let listeners = listen(&settings)?;
    let address = listeners.address();
    let control = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build();
    let control = control.map_err(|error| Failure::other(format!("no runtime: {error}")))?;
    let catalog = Arc::new(Catalog::built_in().map_err(|error| Failure::other(error.to_string()))?);
    let mut parts = control.block_on(open(&settings, source, catalog, &control, address))?;
    parts.ledger.when_logged(move || log.flush());
    let signals = {
        let _inside = control.enter();
        StopSignals::catch()?
    };
    let (phase, told) = watch::channel(Phase::Serve);
    let workers = start_workers(&settings, listeners, &parts.gateway, &told)?;
    print(&format!("listening on http://{address}"))?;
    run(&control, parts, &settings, signals, &phase, workers);
    Ok(())
}

fn listen(settings: &Settings) -> Result<Listeners, Failure> {
    let address = settings.listen;
    Listeners::bind(address, settings.workers).map_err(|error| match error {
        ListenError::InUse => Failure::new(
            Kind::PortInUse,
            format!("{address} is in use by another program: set TOLLGATE_LISTEN to another port"),
        ),
        ListenError::Other(error) => {
            Failure::new(Kind::Settings, format!("TOLLGATE_LISTEN={address}: {error}"))
        }
    })
}

/// Opens everything that calls need, in the order in which one thing needs the other.
async fn open(
    settings: &Settings,
    source: &Source,
    catalog: Arc<Catalog>,
    control: &Runtime,
    address: SocketAddr,
) -> Result<Control, Failure> {
    let (store, migrated) = open_and_migrate(settings).await?;
    tracing::info!(from = migrated.from, to = migrated.to, "schema");
    let made = first_start::prepare(&store, settings.admin_key.as_ref()).await?;
    environment::take_in_credentials(&store, &catalog, source).await?;
    if let Some(made) = made {
        made.tell(
            &settings
                .public_url
                .clone()
                .unwrap_or_else(|| format!("http://{address}")),
        )?;
    }
    let opened = Gateway::open(
        store.clone(),
        catalog,
        settings.gateway.clone(),
        control.handle().clone(),
    )
    .await;
    let (gateway, ledger) = opened?;
    Ok(Control {
        gateway,
        store,
        ledger,
    })
}

fn start_workers(
    settings: &Settings,
    listeners: Listeners,
    gateway: &Arc<Gateway>,
    told: &watch::Receiver<Phase>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let connections = Arc::new(Connections::new(
        settings.connections_max,
        settings.connections_per_address_max,
    ));
    let mut workers = Vec::with_capacity(settings.workers);
    for (number, listener) in listeners.into_each().into_iter().enumerate() {
        let upstreams = Upstreams::new(&settings.upstream)
            .map_err(|error| Failure::new(Kind::Settings, format!("TOLLGATE_UPSTREAM_CA_FILE: {error}")))?;
        let worker = Arc::new(Worker {
            gateway: gateway.clone(),
            upstreams,
        });
        let (limits, connections, told) = (settings.front, connections.clone(), told.clone());
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || work(worker, listener, limits, connections, told));
        workers.push(thread.map_err(|error| Failure::other(format!("no thread: {error}")))?);
    }
    Ok(workers)
}

/// One worker's life.
fn work(
    worker: Arc<Worker>,
    listener: TcpListener,
    limits: FrontLimits,
    connections: Arc<Connections>,
    told: watch::Receiver<Phase>,
) {
    let served = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(server::serve(worker, listener, limits, connections, told)));
    if let Err(error) = served {
        tracing::error!(%error, "a worker ended");
    }
}

/// Waits for the signal, then goes down in order: no new calls, the open ones end or run out of time, the ledger is
/// written, the database is closed.
fn run(
    control: &Runtime,
    parts: Control,
    settings: &Settings,
    signals: StopSignals,
    phase: &watch::Sender<Phase>,
    workers: Vec<JoinHandle<()>>,
) {
    let Control {
        gateway,
        store,
        ledger,
    } = parts;
    let writing = control.spawn(ledger.run());
    let following = control.spawn(live::follow(
        gateway.directory().clone(),
        store.clone(),
        settings.revision_poll,
    ));
    control.block_on(async {
        signals.asked().await;
        tracing::info!(in_flight = gateway.admission().in_flight(), "stopping");
        gateway.admission().close();
        phase.send_replace(Phase::Drain);
        if tokio::time::timeout(settings.drain_timeout, gateway.admission().emptied())
            .await
            .is_err()
        {
            tracing::warn!(in_flight = gateway.admission().in_flight(), "calls are cut off");
        }
        phase.send_replace(Phase::Stop);
    });
    following.abort();
    drop(gateway);
    control.block_on(async {
        // The workers drop what they had left, by which it is booked; then nobody can write to the ledger any more, and
        // its writer ends.
        let joined =
            tokio::task::spawn_blocking(move || workers.into_iter().for_each(|worker| drop(worker.join())));
        if tokio::time::timeout(LAST_RECORDS, async { (joined.await, writing.await) })
            .await
            .is_err()
        {
            tracing::warn!("the last records of the ledger may be lost");
        }
        store.close().await;
    });
}
