//! The processes of all tenants.
//!
//! A process belongs to one credential with one token, and to calls that want the same of the model. It serves one call at a
//! time: the program reads some of its files anew for all of its sessions. A call waits in line for its tenant's turn, and
//! then for anybody's; what idles makes room for what is wanted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use vault::Secret;

use super::answer::Said;
use super::credential::Login;
use super::fault::Failure;
use super::headless;
use super::home::State;
use super::relay::Relay;
use super::settings::{GeminiCliSettings, Mode};
use super::way::Way;
use super::worker::{Job, Worker};

pub(super) struct Pool {
    settings: GeminiCliSettings,
    state: Arc<State>,
    relay: Option<Arc<Relay>>,
    /// On which all processes live: their parent is one of its threads.
    runtime: Handle,
    kept: Mutex<Kept>,
    turns: Arc<Semaphore>,
    tenants: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
    waiting: AtomicUsize,
    /// For processes that renew logins, which are beside those of calls.
    renewals: Semaphore,
}

/// Processes that nobody needs at the moment.
#[derive(Default)]
struct Kept {
    /// In the order in which they came.
    idle: Vec<Idle>,
    /// Whether somebody ends those whose time is over.
    is_swept: bool,
}

/// For which calls a process is.
#[derive(Clone)]
pub(super) struct WorkerKey {
    pub(super) tenant_id: Arc<str>,
    pub(super) credential_id: Arc<str>,
    /// A credential may be given another.
    pub(super) secret: Secret,
    pub(super) endpoint: String,
    /// What is wanted of the model, as its settings say it; empty for what is usual, with any model.
    pub(super) parameters: String,
    /// With which it is started. Caps are there for this one alone.
    pub(super) model: String,
    pub(super) is_capped: bool,
}

struct Idle {
    key: WorkerKey,
    worker: Worker,
    since: Instant,
}

/// The right to have a process.
pub(super) struct Turn {
    _of_tenant: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Logins that are renewed at the same time.
const RENEWALS_MAX: usize = 4;

/// A call that waits, counted.
struct Waiting<'a>(&'a AtomicUsize);

impl WorkerKey {
    fn serves(&self, other: &Self) -> bool {
        self.is_of(other)
            && self.secret.matches(&other.secret)
            && self.endpoint == other.endpoint
            && self.parameters == other.parameters
            && (!other.is_capped || self.model == other.model)
    }

    fn is_of(&self, other: &Self) -> bool {
        self.tenant_id == other.tenant_id && self.credential_id == other.credential_id
    }
}

impl Pool {
    pub(super) fn new(
        settings: GeminiCliSettings,
        state: State,
        relay: Option<Arc<Relay>>,
        runtime: Handle,
    ) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(settings.processes_max)),
            settings,
            state: Arc::new(state),
            relay,
            runtime,
            kept: Mutex::default(),
            tenants: Mutex::new(HashMap::new()),
            waiting: AtomicUsize::new(0),
            renewals: Semaphore::new(RENEWALS_MAX),
        }
    }

    /// How the program is run.
    pub(super) fn settings(&self) -> &GeminiCliSettings {
        &self.settings
    }

    pub(super) fn relay(&self) -> Option<&Arc<Relay>> {
        self.relay.as_ref()
    }

    /// How a process reaches Google.
    pub(super) fn way<'a>(&'a self, login: &'a Login, endpoint: &'a str) -> Way<'a> {
        Way {
            login,
            endpoint,
            relay: self.relay(),
        }
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Takes a call. What comes of it is said to whom it names.
    pub(super) fn serve(self: &Arc<Self>, key: WorkerKey, login: Login, job: Job) {
        let pool = self.clone();
        self.runtime.spawn(async move {
            let last = match pool.turn(&key, &job).await {
                // The turn ends with the run: before the last word, after which the client may ask for more.
                Ok(Some(turn)) => pool.run(turn, key, login, &job).await,
                Ok(None) => return,
                Err(failure) => Some(Said::Failed(failure)),
            };
            if let Some(last) = last {
                // Whoever is gone need not know.
                let _gone = job.said.send(last).await;
            }
        });
    }

    /// The right to have a process that renews a login, for which one waits in line.
    pub(super) fn renewals(&self) -> &Semaphore {
        &self.renewals
    }

    /// The right to have a process for something else than a call, where nobody has to wait for it.
    pub(super) fn turn_at_once(&self, tenant_id: &str) -> Option<Turn> {
        let turn = Turn {
            _of_tenant: self.of_tenant(&Arc::from(tenant_id)).try_acquire_owned().ok()?,
            _of_all: self.turns.clone().try_acquire_owned().ok()?,
        };
        self.make_room(tenant_id);
        Some(turn)
    }

    /// Waits in line. None when the client has gone in the meantime.
    async fn turn(&self, key: &WorkerKey, job: &Job) -> Result<Option<Turn>, Failure> {
        let of_tenant = self.of_tenant(&key.tenant_id);
        if let (Ok(of_tenant), Ok(of_all)) = (
            of_tenant.clone().try_acquire_owned(),
            self.turns.clone().try_acquire_owned(),
        ) {
            return Ok(Some(Turn {
                _of_tenant: of_tenant,
                _of_all: of_all,
            }));
        }
        let _waiting = self.wait()?;
        let in_line = async {
            let of_tenant = of_tenant.acquire_owned().await.ok()?;
            let of_all = self.turns.clone().acquire_owned().await.ok()?;
            Some(Turn {
                _of_tenant: of_tenant,
                _of_all: of_all,
            })
        };
        tokio::select! {
            turn = in_line => Ok(turn),
            () = job.said.closed() => Ok(None),
            () = tokio::time::sleep(self.settings.queue_timeout) => Err(Failure::Busy),
        }
    }

    fn wait(&self) -> Result<Waiting<'_>, Failure> {
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.settings.queue_max {
            return Err(Failure::Busy);
        }
        Ok(waiting)
    }

    fn of_tenant(&self, tenant_id: &Arc<str>) -> Arc<Semaphore> {
        let mut tenants = locked(&self.tenants);
        // Those of whom no call is under way.
        tenants.retain(|_, turns| Arc::strong_count(turns) > 1);
        let new = || Arc::new(Semaphore::new(self.settings.per_tenant_max));
        tenants.entry(tenant_id.clone()).or_insert_with(new).clone()
    }

    /// Serves a call, up to its last word, which is returned.
    async fn run(self: &Arc<Self>, _turn: Turn, key: WorkerKey, login: Login, job: &Job) -> Option<Said> {
        let (settings, state) = (&self.settings, &self.state);
        let way = self.way(&login, &key.endpoint);
        if settings.mode == Mode::Cold {
            self.make_room(&key.tenant_id);
            return headless::run(settings, state, &way, job).await;
        }
        let mut worker = match self.take(&key) {
            Some(worker) => {
                worker.take_token(&login);
                worker
            }
            None => {
                self.make_room(&key.tenant_id);
                let config = job.asked.config_of_process(&job.model);
                match Worker::start(settings, state, &way, &job.model, &config).await {
                    Ok(worker) => worker,
                    // One that cannot be kept may still do for this call.
                    Err(Failure::Program(why)) => {
                        tracing::warn!(
                            why,
                            "the Gemini CLI cannot be kept; this call has a process of its own"
                        );
                        return headless::run(settings, state, &way, job).await;
                    }
                    Err(failure) => return Some(Said::Failed(failure)),
                }
            }
        };
        let served = worker.serve(job, settings).await;
        if served.is_fit {
            self.keep(key, worker);
        }
        served.last
    }

    /// An idle process for such calls, the one that was needed last.
    fn take(&self, key: &WorkerKey) -> Option<Worker> {
        let mut of_no_use = Vec::new();
        let mut kept = locked(&self.kept);
        // Those that have an older token are of no use to anybody.
        let is_old = |idle: &mut Idle| idle.key.is_of(key) && !idle.key.secret.matches(&key.secret);
        of_no_use.extend(kept.idle.extract_if(.., is_old));
        while let Some(at) = kept.idle.iter().rposition(|idle| idle.key.serves(key)) {
            let mut found = kept.idle.remove(at);
            if found.worker.is_fit(&self.settings) {
                return Some(found.worker);
            }
            of_no_use.push(found);
        }
        drop(kept);
        None
    }

    /// Ends idle processes until another may be started: first the tenant's own, those first that have idled longest.
    fn make_room(&self, tenant_id: &str) {
        let mut ended = Vec::new();
        let mut kept = locked(&self.kept);
        let idle = &mut kept.idle;
        let busy = self
            .settings
            .processes_max
            .saturating_sub(self.turns.available_permits());
        let of_tenant = self.of_tenant(&Arc::from(tenant_id));
        let busy_of_tenant = self
            .settings
            .per_tenant_max
            .saturating_sub(of_tenant.available_permits());
        let theirs = |idle: &Idle| *idle.key.tenant_id == *tenant_id;
        let mut kept_of_tenant = idle.iter().filter(|idle| theirs(idle)).count();
        while busy_of_tenant + kept_of_tenant > self.settings.per_tenant_max {
            let Some(at) = idle.iter().position(theirs) else {
                break;
            };
            ended.push(idle.remove(at));
            kept_of_tenant = kept_of_tenant.saturating_sub(1);
        }
        while busy + idle.len() > self.settings.processes_max && !idle.is_empty() {
            ended.push(idle.remove(0));
        }
        drop(kept);
    }

    /// Ends all processes that nobody needs.
    pub(super) fn end_idle(&self) {
        let ended = std::mem::take(&mut locked(&self.kept).idle);
        drop(ended);
    }

    /// Keeps a process for the next call, for a while.
    fn keep(self: &Arc<Self>, key: WorkerKey, worker: Worker) {
        let since = Instant::now();
        let mut kept = locked(&self.kept);
        kept.idle.push(Idle { key, worker, since });
        if !std::mem::replace(&mut kept.is_swept, true) {
            let sweeping = sweep(Arc::downgrade(self), self.settings.idle_timeout);
            self.runtime.spawn(sweeping);
        }
    }

    /// Ends those that have idled for too long. After how long it is to be looked again; none where nothing is left.
    fn end_late(&self) -> Option<Duration> {
        let (now, timeout) = (Instant::now(), self.settings.idle_timeout);
        let mut kept = locked(&self.kept);
        let is_late = |idle: &mut Idle| now.duration_since(idle.since) >= timeout;
        let ended: Vec<Idle> = kept.idle.extract_if(.., is_late).collect();
        let oldest = kept.idle.first().map(|idle| idle.since);
        kept.is_swept = oldest.is_some();
        drop(kept);
        drop(ended);
        oldest.map(|since| (since + timeout).duration_since(now))
    }
}

/// Ends processes whose time is over, for as long as there are any that wait.
async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    let mut pause = idle_timeout;
    loop {
        tokio::time::sleep(pause).await;
        match pool.upgrade().and_then(|pool| pool.end_late()) {
            Some(next) => pause = next,
            None => return,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
