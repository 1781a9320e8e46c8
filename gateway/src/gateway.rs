//! What all workers share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dialect::json::Limits as BodyLimits;
use policy::lease::HolderSettings;
use provider::{Catalog, OnCancel, Timeouts};
use store::{Store, StoreError};
use tokio::runtime::Handle;

use crate::admission::Admission;
use crate::call::{KeepAlive, Leaving};
use crate::ledger::{Durability, Ledger, LedgerWriter, SpoolSettings};
use crate::limits::{Journal, Left, Limits};
use crate::live::{Directory, DirectorySettings, ModelLists};
use crate::room::{RoomSettings, RoomTaken};
use crate::vitals::Vitals;

/// How the gateway behaves, as settled at start.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    pub directory: DirectorySettings,
    /// Bounds on what a request body may hold.
    pub body: BodyLimits,
    pub timeouts: Timeouts,
    pub attempts: AttemptSettings,
    pub keep_alive: KeepAlive,
    /// What calls may hold while they are under way.
    pub room: RoomSettings,
    /// Calls whose records may wait to be logged. When all places are taken, no further call is admitted.
    pub ledger_places: usize,
    /// The name of this process among others, which no other living one has.
    pub replica: Arc<str>,
    /// The name of this start of the machine: what a process left before another one may lack its end.
    pub boot: Option<u128>,
    pub spool: SpoolSettings,
    /// Of each of the next minutes of a limit, all processes together hold so many thousandths, for when the database is away.
    pub limits_ahead_permille: u32,
    /// What is done with streams whose clients leave, by provider; the catalogue holds for the others.
    pub on_cancel: HashMap<String, OnCancel>,
    /// For how long such a stream is read on, where it is.
    pub drain_lasts: Duration,
    /// How long a provider's list of models is believed.
    pub model_list_age: Duration,
    /// Whether traces are sent, and so whether a request's own trace is looked for.
    pub traced: bool,
}

/// How far one call may go from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSettings {
    pub attempts_max: u32,
    /// No further one begins later than this after the request.
    pub begin_within: Duration,
}

impl Default for AttemptSettings {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            begin_within: Duration::from_secs(60),
        }
    }
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            directory: DirectorySettings {
                tenants_max: 100_000,
                tenant_idle: Duration::from_secs(15 * 60),
                stale_max: Duration::from_secs(15 * 60),
            },
            body: BodyLimits::default(),
            timeouts: Timeouts::default(),
            attempts: AttemptSettings::default(),
            keep_alive: KeepAlive::default(),
            room: RoomSettings::default(),
            ledger_places: 65_536,
            replica: Arc::from("replica"),
            boot: None,
            spool: SpoolSettings {
                folder: PathBuf::from("spool"),
                durability: Durability::Os,
                bytes_max: 4 << 30,
            },
            limits_ahead_permille: 0,
            on_cancel: HashMap::new(),
            drain_lasts: Duration::from_secs(60),
            model_list_age: Duration::from_secs(5 * 60),
            traced: false,
        }
    }
}

/// Why a gateway does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the ledger cannot be written in {}: {error}", folder.display())]
    Spool { folder: PathBuf, error: std::io::Error },
}

/// The shared part of a gateway: live state, ledger, door.
pub struct Gateway {
    settings: GatewaySettings,
    directory: Arc<Directory>,
    ledger: Ledger,
    admission: Arc<Admission>,
    room_taken: Arc<RoomTaken>,
    vitals: Arc<Vitals>,
    model_lists: ModelLists,
    limits: Arc<Limits>,
    leaving: Leaving,
}

impl Gateway {
    /// Opens the live state over `store`, whose connections belong to the runtime `control`.
    ///
    /// The caller runs the returned [`LedgerWriter`] on `control`, and [`crate::live::follow`] with the directory.
    ///
    /// # Errors
    /// When the database does not answer, since a gateway that has never seen its routes does not start; and when the folder
    /// of the spool cannot be used.
    pub async fn open(
        store: Store,
        catalog: Arc<Catalog>,
        settings: GatewaySettings,
        control: Handle,
    ) -> Result<(Arc<Self>, LedgerWriter), OpenError> {
        let directory = Directory::open(store.clone(), catalog, &settings.directory, control).await?;
        let vitals = Arc::<Vitals>::default();
        let mut left = Left::new(settings.boot);
        let (spool, places) = (&settings.spool, settings.ledger_places);
        let opened = Ledger::open(store, spool, places, &vitals, |spool, units| {
            left.take(spool, units)
        });
        let (ledger, writer) = opened.map_err(|error| OpenError::Spool {
            folder: settings.spool.folder.clone(),
            error,
        })?;
        let journal = Journal::new(ledger.units(), settings.boot, left);
        let leaving = Leaving::new(settings.on_cancel.clone(), settings.drain_lasts);
        let gateway = Self {
            leaving,
            directory: Arc::new(directory),
            ledger,
            admission: Arc::default(),
            room_taken: Arc::default(),
            vitals,
            model_lists: ModelLists::new(settings.model_list_age),
            limits: Arc::new(Limits::new(
                settings.replica.clone(),
                journal,
                HolderSettings {
                    ahead_permille: settings.limits_ahead_permille,
                    ..HolderSettings::default()
                },
            )),
            settings,
        };
        Ok((Arc::new(gateway), writer))
    }

    pub fn settings(&self) -> &GatewaySettings {
        &self.settings
    }

    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// What all calls hold while they are under way.
    pub(crate) fn room_taken(&self) -> &Arc<RoomTaken> {
        &self.room_taken
    }

    /// Whether calls should be sent here. A database that is away does not change that: known keys go on being served.
    pub fn is_ready(&self) -> bool {
        self.admission.is_open() && self.ledger.is_well() && self.vitals.falling().is_empty()
    }

    pub fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// What this process holds of all limits.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// What becomes of streams whose clients leave.
    pub(crate) fn leaving(&self) -> &Leaving {
        &self.leaving
    }

    /// Waits until no stream is read on whose client has left.
    pub async fn streams_are_read(&self) {
        self.leaving.all_read().await;
    }

    pub(crate) fn model_lists(&self) -> &ModelLists {
        &self.model_lists
    }
}
