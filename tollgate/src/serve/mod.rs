//! Running the gateway: one thread for each worker, and the control runtime for the database, the ledger and changes.

mod environment;
mod first_start;
mod hand_over;
mod log;
mod memory;
mod pages;
mod relay;
mod replica;
mod seeing;
mod sockets;
mod stop;
mod supervise;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;
use gateway::ledger::LedgerWriter;
use gateway::{Gateway, GatewaySettings, Worker, limits, live};
use provider::gemini_cli::GeminiCli;
use provider::{Catalog, Upstreams};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Balance, Connections, Door, ListenError, Listeners, Phase};
use store::Store;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, watch};

use crate::desk::open_and_migrate;
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::settings::{Settings, Source};
use hand_over::{Inheritance, Offer};
use pages::Pages;
use replica::Replica;
use seeing::{Seeing, SeeingTasks};
use sockets::Sockets;
use stop::StopSignals;
use supervise::{supervise, supervise_thread};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Takes over from the gateway that serves at the same address with the same data folder, without a call being cut:
    /// that one drains and ends. Where there is none, this just starts.
    #[arg(long)]
    take_over: bool,
}

/// What runs beside the workers.
struct Control {
    gateway: Arc<Gateway>,
    store: Store,
    ledger: LedgerWriter,
}

/// What is needed to end.
struct GoingDown {
    signals: StopSignals,
    offer: Option<Offer>,
    sockets: Sockets,
    phase: watch::Sender<Phase>,
    workers: Vec<JoinHandle<()>>,
    seeing: SeeingTasks,
    pages: Pages,
}

/// Why this process ends.
#[derive(PartialEq, Eq)]
enum Told {
    Stop,
    TakenOver,
}

/// How long the ledger may take to write its last records, once no call is left.
const LAST_RECORDS: Duration = Duration::from_secs(10);
/// For the database to be told goodbye.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves until the process is told to stop, or another takes over, and then ends the calls that are under way.
///
/// # Errors
/// When it cannot start.
pub(crate) fn serve(source: &Source, arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::read(source)?;
    let log = log::start(&settings)?;
    let _last_lines = log.last_lines();
    raise_open_files();
    let mut inheritance = if arguments.take_over {
        hand_over::ask(&settings.data_dir, settings.listen)?
    } else {
        Inheritance::default()
    };
    let listeners = listen_on(
        "TOLLGATE_LISTEN",
        settings.listen,
        settings.workers,
        &mut inheritance,
    )?;
    let seeing = Seeing::prepare(&settings, &mut inheritance)?;
    let address = listeners.address();
    let control = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build();
    let control = control.map_err(|error| Failure::other(format!("no runtime: {error}")))?;
    let catalog = Arc::new(Catalog::built_in().map_err(|error| Failure::other(error.to_string()))?);
    let replica = take_name(&settings.data_dir)?;
    let mut parts = control.block_on(open(&settings, source, catalog, &control, address, &replica))?;
    parts.ledger.when_logged(move || log.flush());
    let signals = {
        let _inside = control.enter();
        StopSignals::catch()?
    };
    let (phase, told) = watch::channel(Phase::Serve);
    let connections = Arc::new(Connections::new(
        settings.connections_max,
        settings.connections_per_address_max,
    ));
    let door = Arc::new(Door::new(
        connections.clone(),
        settings.trusted_proxies.clone(),
        settings.failure_limit,
    ));
    let own = pages::own_listener(&settings, &mut inheritance)?;
    let sockets = Sockets::new(
        listeners.into_each(),
        seeing.socket().into_iter().chain(own.socket()),
    );
    let seeing = seeing.begin(&control, &parts.gateway, &connections, &mut parts.ledger);
    let offer = Offer::make(&settings.data_dir, address, sockets.clone())
        .inspect_err(|error| tracing::warn!(%error, "no other process will be able to take over"))
        .ok();
    let mut settings = settings;
    let relay = match &mut settings.gemini_cli {
        Some(of_it) if settings.gemini_cli_relay => {
            let listener = relay::listener()?;
            of_it.relay = listener.local_addr().ok();
            Some(listener)
        }
        _ => None,
    };
    settings.upstream.gemini_cli = gemini_cli(&settings, &control)?;
    let relaying = relay.zip(settings.upstream.gemini_cli.clone());
    // It ends with the runtime, after all who need it.
    let _relaying = relaying
        .map(|(listener, cli)| relay::answer(control.handle(), parts.gateway.vitals(), listener, cli));
    let pages = Pages::prepare(&settings, &parts, &control, address, own, &door)?;
    let workers = start_workers(&settings, &sockets, &parts.gateway, &door, &pages, &told)?;
    inheritance.enter();
    print(&format!("listening on http://{address}"))?;
    let going_down = GoingDown {
        signals,
        offer,
        sockets,
        phase,
        workers,
        seeing,
        pages,
    };
    run(&control, parts, &settings, going_down);
    Ok(())
}

fn take_name(data_dir: &Path) -> Result<Replica, Failure> {
    Replica::take(data_dir).map_err(|error| {
        let message = format!("no name for this process in {}: {error}", data_dir.display());
        Failure::new(Kind::Settings, message)
    })
}

/// Each connection is an open file, of which a process may have 1024 unless it asks for more: shells and service managers
/// leave the rest to it.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, all) {
        Ok(()) => tracing::debug!(files = maximum, "open files at most"),
        Err(error) => tracing::warn!(%error, "the number of open files stays as it is"),
    }
}

/// Takes the address that is set by this name, with the sockets that were inherited for it.
fn listen_on(
    setting: &str,
    address: SocketAddr,
    workers: usize,
    inheritance: &mut Inheritance,
) -> Result<Listeners, Failure> {
    let inherited = inheritance.take(address);
    let listening = if inherited.is_empty() {
        Listeners::bind(address, workers)
    } else {
        Listeners::inherit(inherited, workers)
    };
    listening.map_err(|error| match error {
        ListenError::InUse => Failure::new(
            Kind::PortInUse,
            format!("{address} is in use by another program: set {setting} to another port"),
        ),
        ListenError::Other(error) => Failure::new(Kind::Settings, format!("{setting}={address}: {error}")),
    })
}

/// Opens everything that calls need, in the order in which one thing needs the other.
async fn open(
    settings: &Settings,
    source: &Source,
    catalog: Arc<Catalog>,
    control: &Runtime,
    address: SocketAddr,
    replica: &Replica,
) -> Result<Control, Failure> {
    let (store, migrated) = open_and_migrate(settings).await?;
    tracing::info!(from = migrated.from, to = migrated.to, "schema");
    let made = first_start::prepare(&store, settings.admin_key.as_ref()).await?;
    // Before anything else may fail: they are told once.
    if let Some(made) = made {
        made.tell(
            &settings
                .public_url
                .clone()
                .unwrap_or_else(|| format!("http://{address}")),
        )?;
    }
    environment::take_in_credentials(&store, &catalog, source).await?;
    let replica = replica.name.clone();
    let gateway = GatewaySettings {
        replica,
        boot: replica::boot(&settings.data_dir),
        ..settings.gateway.clone()
    };
    let opened = Gateway::open(store.clone(), catalog, gateway, control.handle().clone()).await;
    let (gateway, ledger) = opened?;
    Ok(Control {
        gateway,
        store,
        ledger,
    })
}

/// The Gemini CLI, where it is switched on. Its processes are children of the control runtime, which lives longest.
fn gemini_cli(settings: &Settings, control: &Runtime) -> Result<Option<GeminiCli>, Failure> {
    let Some(of_it) = &settings.gemini_cli else {
        return Ok(None);
    };
    let opened = GeminiCli::open(of_it.clone(), control.handle().clone(), &settings.upstream);
    opened
        .map(Some)
        .map_err(|error| Failure::other(format!("{}: {error}", of_it.state_dir.display())))
}

fn start_workers(
    settings: &Settings,
    sockets: &Sockets,
    gateway: &Arc<Gateway>,
    door: &Arc<Door>,
    pages: &Pages,
    told: &watch::Receiver<Phase>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut workers = Vec::with_capacity(settings.workers);
    for (number, seat) in Balance::seats(sockets.count()).into_iter().enumerate() {
        let upstreams = Upstreams::new(&settings.upstream)
            .map_err(|error| Failure::new(Kind::Settings, format!("TOLLGATE_UPSTREAM_CA_FILE: {error}")))?;
        let worker = Arc::new(Worker {
            gateway: gateway.clone(),
            upstreams,
            logins: pages.logins().clone(),
        });
        let (limits, door, to_serve) = (settings.front, door.clone(), told.clone());
        let (sockets, ui) = (sockets.clone(), pages.ui());
        let work = move || {
            let listener = sockets.one(number).map_err(|error| error.to_string())?;
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let (worker, seat, door) = (worker.clone(), seat.clone(), door.clone());
            let (gateway, mut phase) = (worker.gateway.clone(), to_serve.clone());
            let serve = server::serve(worker, listener, seat, limits, door, ui.clone(), to_serve.clone());
            runtime.block_on(async {
                let served = serve.await.map_err(|error| error.to_string());
                // What is read on for nobody has no connection that would be waited for.
                tokio::select! {
                    () = gateway.streams_are_read() => {}
                    _ = phase.wait_for(|phase| *phase == Phase::Stop) => {}
                }
                served
            })
        };
        let thread = supervise_thread(format!("worker-{number}"), gateway.vitals(), told.clone(), work);
        workers.push(thread.map_err(|error| Failure::other(format!("no thread: {error}")))?);
    }
    Ok(workers)
}

/// Waits for the signal, or for another process to take over, and then goes down in order: no new connections, the open
/// ones are told and their calls end or run out of time, the ledger is written, the database is closed.
fn run(control: &Runtime, parts: Control, settings: &Settings, going_down: GoingDown) {
    let GoingDown {
        mut signals,
        offer,
        sockets,
        phase,
        workers,
        seeing,
        pages,
    } = going_down;
    let Control {
        gateway,
        store,
        ledger,
    } = parts;
    let (handle, vitals) = (control.handle(), gateway.vitals().clone());
    let ledger = Arc::new(Mutex::new(ledger));
    let writing = supervise(handle, &vitals, "ledger", move || {
        let ledger = ledger.clone();
        async move { ledger.lock().await.run().await }
    });
    let (directory, to_follow, poll) = (gateway.directory().clone(), store.clone(), settings.revision_poll);
    let following = supervise(handle, &vitals, "follow", move || {
        live::follow(directory.clone(), to_follow.clone(), poll)
    });
    let (limits, to_ask) = (gateway.limits().clone(), store.clone());
    let keeping = supervise(handle, &vitals, "limits", move || {
        limits::keep(limits.clone(), to_ask.clone())
    });
    let renewing = pages.renew(handle, &vitals);
    let giving_back = supervise(handle, &vitals, "memory", memory::give_back);
    control.block_on(async {
        if until_told(&mut signals, offer).await == Told::TakenOver {
            seeing.leave_to_another();
            pages.leave_to_another();
        }
        tracing::info!(in_flight = gateway.admission().in_flight(), "stopping");
        gateway.admission().leave_ajar();
        sockets.let_go();
        phase.send_replace(Phase::Drain);
        let mut ended = tokio::task::spawn_blocking(move || {
            workers.into_iter().for_each(|worker| drop(worker.join()));
        });
        // Whoever asks a second time means at once.
        let drained = tokio::select! {
            _ = &mut ended => true,
            () = tokio::time::sleep(settings.drain_timeout) => false,
            () = signals.asked() => false,
        };
        if !drained {
            tracing::warn!(in_flight = gateway.admission().in_flight(), "calls are cut off");
            gateway.admission().close();
            phase.send_replace(Phase::Stop);
        }
        following.abort();
        giving_back.abort();
        renewing.abort();
        drop(pages);
        seeing.stop_observing();
        let limits = gateway.limits().clone();
        drop(gateway);
        // The workers drop what they had left, by which it is booked; then nobody can write to the ledger any more, and
        // its writer ends.
        let written = async {
            if !drained {
                let _ended = ended.await;
            }
            let _written = writing.await;
        };
        if tokio::time::timeout(LAST_RECORDS, written).await.is_err() {
            tracing::warn!("what is left of the ledger will be shipped by the next start");
        }
        keeping.abort();
        let given_back = limits::give_back(&limits, &store);
        let _lost_or_not = tokio::time::timeout(LAST_WORDS, given_back).await;
        seeing.finish().await;
        let _silent = tokio::time::timeout(LAST_WORDS, store.close()).await;
    });
}

async fn until_told(signals: &mut StopSignals, offer: Option<Offer>) -> Told {
    let Some(mut offer) = offer else {
        signals.asked().await;
        return Told::Stop;
    };
    tokio::select! {
        () = signals.asked() => {
            offer.withdraw();
            Told::Stop
        }
        () = offer.taken() => {
            tracing::info!("another process has taken over");
            Told::TakenOver
        }
    }
}
