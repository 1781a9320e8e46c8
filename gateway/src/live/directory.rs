//! Whose key is this, and what does that tenant have: answered from memory, loaded on first use.
//!
//! Two bounded caches: key id to tenant id, and tenant id to [`TenantState`]. Both drop what has not been used for a
//! while, so memory follows the tenants that call. A key id that the database does not know is remembered too, but
//! only as long as nothing has changed in the database, so that a key works from the moment it was made; and apart from
//! the others, so that no flood of invented keys drives them out.
//!
//! A tenant with a row that makes no sense is out of service, alone; that is remembered for a moment, so that its
//! calls do not occupy the database. While the database does not answer, what is in memory goes on being served for
//! as long as it may be stale, and what is not is refused at once: only [`super::follow`] goes on asking.
//!
//! The database is asked on the control runtime. The workers' runtimes only wait for the answer: a database
//! connection belongs to the runtime that opened it, and must not be driven by one that may go away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use moka::future::Cache;
use policy::{Pattern, Route, RouteTarget, Scope};
use provider::Catalog;
use store::{Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use vault::DigestKey;

use super::poison::Poisoned;
use super::rejected::Rejected;
use super::signs::Signs;
use super::tenant::{GlobalState, TenantState};
use crate::failpoint::failpoint;
use crate::room::Rooms;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// Tenants kept in memory at once.
    pub tenants_max: u64,
    /// A tenant without calls for this long is dropped.
    pub tenant_idle: Duration,
    /// For how long what is in memory is served without word from the database.
    pub stale_max: Duration,
}

/// The live state of all tenants that call.
pub struct Directory {
    store: Store,
    control: Handle,
    catalog: Arc<Catalog>,
    digest_key: DigestKey,
    built_in: Vec<Route>,
    global: ArcSwap<GlobalState>,
    owners: Cache<String, Arc<str>>,
    /// Key ids that nobody owns, as of these revisions of the database.
    strangers: Cache<String, i64>,
    tenants: Cache<Arc<str>, Arc<TenantState>>,
    /// What calls of tenants hold, also of those that were dropped meanwhile.
    rooms: Rooms,
    /// The newest revision of each tenant that changed of late: a load that raced with the change is done again.
    changed: Cache<Arc<str>, i64>,
    /// The last revision of the database whose changes have been taken in.
    revision: AtomicI64,
    signs: Signs,
    poisoned: Poisoned,
    rejected: Rejected,
    /// Look-ups of unknown key ids under way. Bounded, so that a flood of invented keys cannot occupy the database.
    lookups: Semaphore,
    /// The same with those that wait for their turn: a process that has just started knows none of its callers.
    waiting: Semaphore,
}

/// A look-up that could not be answered, as opposed to one answered "nobody".
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// The database did not answer, and the tenant is not in memory.
    #[error("the store is not available")]
    Unavailable,
    /// A row of this tenant makes no sense; the tenant is out of service until it is mended.
    #[error("the tenant's rows cannot be read")]
    Poison,
}

/// Key ids remembered for each tenant that may be kept.
const OWNERS_PER_TENANT: u64 = 16;
const STRANGERS_MAX: u64 = 10_000;
const UNKNOWN_LOOKUPS_MAX: usize = 32;
const WAITING_LOOKUPS_MAX: usize = 4096;
/// For a call to wait for its tenant to be found and loaded. A database that is slower is no help to it; that it is
/// slow is no reason to give its connections up.
const LOOKUP_MAX: Duration = Duration::from_secs(3);
const CHANGES_KEPT: Duration = Duration::from_secs(300);
/// Changed tenants that are loaded again at once: fewer than there are connections, so that others can be loaded too.
const REFRESHED_AT_ONCE: usize = 4;

impl Directory {
    /// Reads what is global and starts empty otherwise. `control` is the runtime that owns the database's connections.
    pub async fn open(
        store: Store,
        catalog: Arc<Catalog>,
        settings: &DirectorySettings,
        control: Handle,
    ) -> Result<Self, StoreError> {
        let digest_key = store.digest_key().await?;
        let global = GlobalState::build(store.load_global().await?);
        Ok(Self {
            revision: AtomicI64::new(global.revision),
            built_in: built_in_routes(&catalog),
            global: ArcSwap::from_pointee(global),
            owners: Cache::builder()
                .max_capacity(settings.tenants_max.saturating_mul(OWNERS_PER_TENANT))
                .time_to_idle(settings.tenant_idle)
                .build(),
            strangers: Cache::builder().max_capacity(STRANGERS_MAX).build(),
            tenants: Cache::builder()
                .max_capacity(settings.tenants_max)
                .time_to_idle(settings.tenant_idle)
                .build(),
            changed: Cache::builder()
                .max_capacity(settings.tenants_max)
                .time_to_live(CHANGES_KEPT)
                .build(),
            rooms: Rooms::default(),
            signs: Signs::new(settings.stale_max),
            poisoned: Poisoned::new(),
            rejected: Rejected::default(),
            lookups: Semaphore::new(UNKNOWN_LOOKUPS_MAX),
            waiting: Semaphore::new(WAITING_LOOKUPS_MAX),
            store,
            control,
            catalog,
            digest_key,
        })
    }

    /// The tenant that owns this key id; `None` when nobody does.
    ///
    /// # Errors
    /// When the tenant is not in memory and cannot be loaded, or the database was not heard of for too long.
    pub async fn tenant_of_key(&self, key_id: &str) -> Result<Option<Arc<TenantState>>, LookupError> {
        if self.signs.too_old() {
            return Err(LookupError::Unavailable);
        }
        if let Some(tenant_id) = self.owners.get(key_id).await {
            let tenant = self.tenant(&tenant_id).await?;
            if tenant.is_none() {
                // The tenant was removed. The next look-up finds nobody, and remembers that.
                self.owners.invalidate(key_id).await;
            }
            return Ok(tenant);
        }
        if self.strangers.get(key_id).await == Some(self.revision()) {
            return Ok(None);
        }
        Box::pin(in_time(self.find_owner(key_id))).await
    }

    /// The tenant's state, loaded when it is not in memory; `None` when there is no such tenant.
    pub async fn tenant(&self, id: &Arc<str>) -> Result<Option<Arc<TenantState>>, LookupError> {
        if let Some(tenant) = self.tenants.get(id).await {
            return Ok(Some(tenant));
        }
        if self.poisoned.is_known(id) {
            return Err(LookupError::Poison);
        }
        // In a box, as the look-up of an owner is: loading is large and rare, and every call would carry room for it.
        Box::pin(in_time(async {
            match self.tenants.try_get_with(id.clone(), self.load(id)).await {
                Ok(tenant) => self.settle_race(tenant).await,
                Err(missing) => match missing.as_ref() {
                    LoadError::NoTenant => Ok(None),
                    LoadError::Failed(error) => Err(error.clone()),
                },
            }
        }))
        .await
    }

    pub fn digest_key(&self) -> &DigestKey {
        &self.digest_key
    }

    pub fn global(&self) -> Arc<GlobalState> {
        self.global.load_full()
    }

    /// The routes that the catalogue brings (`gpt-` to openai, and so on).
    pub fn built_in(&self) -> &[Route] {
        &self.built_in
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The last revision of the database that was taken in.
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Whether the database answered when it was last asked. It is asked at least at every poll.
    pub fn store_answers(&self) -> bool {
        self.signs.answers()
    }

    /// How long ago the database was last heard of.
    pub fn store_silent_for(&self) -> Duration {
        self.signs.silent_for()
    }

    /// Tenants in memory, about.
    pub fn tenants_in_memory(&self) -> u64 {
        self.tenants.entry_count()
    }

    /// How often a tenant was put out of service, or a route for all left out, for a row that makes no sense.
    pub fn poison_found(&self) -> u64 {
        self.poisoned.found()
    }

    /// Tenants that are out of service for such a row, as far as they have called of late.
    pub fn tenants_poisoned(&self) -> usize {
        self.poisoned.count()
    }

    /// Takes into the count of tenants what happened of late, which it does by itself only now and then.
    pub async fn settle_counts(&self) {
        self.tenants.run_pending_tasks().await;
    }

    /// Stored rows that make no sense or cannot be used: of the tenants that were loaded, and of all together.
    pub fn rows_rejected(&self) -> usize {
        let of_all = usize::try_from(self.global().broken).unwrap_or(usize::MAX);
        self.rejected.rows().saturating_add(of_all)
    }

    async fn find_owner(&self, key_id: &str) -> Result<Option<Arc<TenantState>>, LookupError> {
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(LookupError::Unavailable);
        };
        let _turn = self.lookups.acquire().await;
        // Somebody else with the same key may have been before us.
        if let Some(tenant_id) = self.owners.get(key_id).await {
            return self.tenant(&tenant_id).await;
        }
        let revision = self.revision();
        let (store, id) = (self.store.clone(), key_id.to_owned());
        let asked = async move { store.while_there(store.tenant_of_key(&id)).await };
        let owner = self.if_there(asked).await?;
        let Some(tenant_id) = owner else {
            self.strangers.insert(key_id.to_owned(), revision).await;
            return Ok(None);
        };
        let tenant_id: Arc<str> = Arc::from(tenant_id);
        // A tenant already in memory may have been loaded before this key was made.
        if self
            .tenants
            .get(&tenant_id)
            .await
            .is_some_and(|tenant| tenant.key(key_id).is_none())
        {
            self.refresh(&tenant_id).await?;
        }
        self.owners.insert(key_id.to_owned(), tenant_id.clone()).await;
        self.tenant(&tenant_id).await
    }

    async fn load(&self, id: &Arc<str>) -> Result<Arc<TenantState>, LoadError> {
        let (store, wanted) = (self.store.clone(), id.clone());
        let asked = async move { store.while_there(store.load_tenant(&wanted)).await };
        let built = self.if_there(asked).await.and_then(|bundle| {
            let build = |bundle| {
                failpoint("tenant");
                TenantState::build(bundle, &self.catalog)
            };
            bundle.map(|bundle| unless_panics(|| build(bundle))).transpose()
        });
        match built {
            Ok(Some(mut tenant)) => {
                self.poisoned.mended(id);
                self.rejected.set(id, tenant.left_out.len());
                tenant.room_taken = self.rooms.of(id);
                if let Some(before) = self.tenants.get(id).await {
                    tenant.take_over(&before);
                }
                Ok(Arc::new(tenant))
            }
            Ok(None) => {
                self.rejected.set(id, 0);
                Err(LoadError::NoTenant)
            }
            Err(error) => {
                if matches!(error, LookupError::Poison) {
                    self.poisoned.note(id);
                    // Reading stops at the first one.
                    self.rejected.set(id, 1);
                }
                Err(LoadError::Failed(error))
            }
        }
    }

    /// A change that came while the tenant was being loaded may have been missed by the load: then load again.
    async fn settle_race(&self, tenant: Arc<TenantState>) -> Result<Option<Arc<TenantState>>, LookupError> {
        match self.changed.get(&tenant.id).await {
            Some(newer) if newer > tenant.revision => {
                self.refresh(&tenant.id).await?;
                Ok(self.tenants.get(&tenant.id).await)
            }
            _ => Ok(Some(tenant)),
        }
    }

    /// Loads the tenant again and puts it in place of what was in memory; drops it when it is gone.
    async fn refresh(&self, id: &Arc<str>) -> Result<(), LookupError> {
        match self.load(id).await {
            Ok(fresh) => {
                let older = self
                    .tenants
                    .get(id)
                    .await
                    .is_none_or(|held| held.revision <= fresh.revision);
                if older {
                    self.tenants.insert(id.clone(), fresh).await;
                }
                Ok(())
            }
            Err(LoadError::NoTenant) => {
                self.tenants.invalidate(id).await;
                Ok(())
            }
            // A tenant whose rows no longer make sense is not served from what they once said.
            Err(LoadError::Failed(LookupError::Poison)) => {
                self.tenants.invalidate(id).await;
                Ok(())
            }
            Err(LoadError::Failed(error)) => Err(error),
        }
    }

    /// Takes in all changes since the last time. What is not in memory is not loaded.
    ///
    /// # Errors
    /// When the database did not answer; nothing is forgotten, the next call takes the same changes in again.
    pub async fn take_in_changes(&self) -> Result<(), LookupError> {
        let (store, since) = (self.store.clone(), self.revision());
        let changes = self
            .on_control(async move { store.in_time(store.changes_since(since)).await })
            .await?;
        if changes.revision == since {
            return Ok(());
        }
        let revision = changes.revision;
        let refreshed = stream::iter(changes.tenants)
            .map(|tenant_id| self.take_in(Arc::from(tenant_id), revision))
            .buffer_unordered(REFRESHED_AT_ONCE);
        let refreshed: Vec<Result<(), LookupError>> = refreshed.collect().await;
        refreshed.into_iter().collect::<Result<(), LookupError>>()?;
        if changes.global {
            let store = self.store.clone();
            let asked = async move { store.in_time(store.load_global()).await };
            let global = GlobalState::build(self.on_control(asked).await?);
            if global.broken > 0 {
                self.poisoned.note_global(global.broken);
            }
            self.global.store(Arc::new(global));
        }
        self.revision.store(revision, Ordering::Release);
        Ok(())
    }

    async fn take_in(&self, id: Arc<str>, revision: i64) -> Result<(), LookupError> {
        self.poisoned.mended(&id);
        self.changed.insert(id.clone(), revision).await;
        if self.tenants.contains_key(&id) {
            self.refresh(&id).await?;
        } else {
            // Nobody knows whether they are mended until the tenant is loaded again, and it may be gone.
            self.rejected.set(&id, 0);
        }
        Ok(())
    }

    /// The same as [`Self::on_control`] while the database answers. When it does not, nobody waits to find out.
    async fn if_there<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, LookupError> {
        if !self.signs.answers() {
            return Err(LookupError::Unavailable);
        }
        self.on_control(work).await
    }

    async fn on_control<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, LookupError> {
        match self.control.spawn(work).await {
            Ok(Ok(answer)) => {
                self.signs.heard();
                Ok(answer)
            }
            Ok(Err(StoreError::Unavailable(why))) => {
                if self.signs.missed() {
                    tracing::warn!(%why, "the store does not answer");
                }
                Err(LookupError::Unavailable)
            }
            // Whatever else it is, it concerns what was asked for, and would hold up all others if it were asked for
            // again and again.
            Ok(Err(error)) => {
                tracing::error!(%error, "what is stored cannot be used; its tenant is out of service");
                Err(LookupError::Poison)
            }
            Err(ended) if ended.is_panic() => {
                tracing::error!("reading what is stored panicked; its tenant is out of service");
                Err(LookupError::Poison)
            }
            Err(_stopped) => Err(LookupError::Unavailable),
        }
    }
}

/// What makes the program panic makes no sense either: it must not stop whoever goes through all that has changed.
fn unless_panics<T>(build: impl FnOnce() -> T) -> Result<T, LookupError> {
    catch_unwind(AssertUnwindSafe(build)).map_err(|_| LookupError::Poison)
}

/// On the heap: every call carries this with it, and few of them come to need it.
fn in_time<'a, T>(
    lookup: impl Future<Output = Result<T, LookupError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, LookupError>> {
    Box::pin(async move {
        let found = tokio::time::timeout(LOOKUP_MAX, lookup).await;
        found.unwrap_or(Err(LookupError::Unavailable))
    })
}

/// Why a tenant could not be loaded.
#[derive(Debug)]
enum LoadError {
    NoTenant,
    Failed(LookupError),
}

/// The routes that the catalogue brings.
pub fn built_in_routes(catalog: &Catalog) -> Vec<Route> {
    catalog
        .built_in_routes()
        .filter_map(|(pattern, provider)| {
            // A prefix of the catalogue has no wildcards of its own, so it always is a pattern.
            let parsed = Pattern::parse(&pattern).ok()?;
            Some(Route {
                id: format!("built-in:{pattern}"),
                scope: Scope::BuiltIn,
                pattern: parsed,
                targets: vec![RouteTarget {
                    provider: provider.name.clone(),
                    model: None,
                }],
            })
        })
        .collect()
}
