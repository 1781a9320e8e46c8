//! What most verbs work with: the settings, the database, and how to answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use store::{Change, Store, StoreError, Tenant};

use crate::failure::{Failure, Kind};
use crate::output::Form;
use crate::settings::{Settings, Source};
use crate::time::now_ms;

/// One verb's working place.
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) form: Form,
    actor: String,
}

impl Desk {
    /// Opens a database that is ready to be worked with.
    ///
    /// # Errors
    /// When it is not: no master key, another schema, or it does not answer.
    pub(crate) async fn open(source: &Source, form: Form) -> Result<Self, Failure> {
        let settings = Settings::read(source)?;
        let vault = settings.master_key.vault()?;
        let store = open_store(&settings, vault).await?;
        store.check_schema().await?;
        Ok(Self {
            store,
            settings,
            form,
            actor: actor(source),
        })
    }

    /// A change that begins now.
    pub(crate) fn change(&self) -> Change<'_> {
        Change {
            actor: &self.actor,
            at_ms: now_ms(),
        }
    }

    /// The tenant with this name or id.
    pub(crate) async fn tenant(&self, name_or_id: &str) -> Result<Tenant, Failure> {
        let found = self.store.tenant_by_name_or_id(name_or_id).await?;
        found.ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no tenant {name_or_id}")))
    }

    /// The id of the tenant, where one was named.
    pub(crate) async fn tenant_id(&self, name_or_id: Option<&str>) -> Result<Option<String>, Failure> {
        match name_or_id {
            Some(name_or_id) => Ok(Some(self.tenant(name_or_id).await?.id)),
            None => Ok(None),
        }
    }

    /// The instant that lies this long in the past.
    pub(crate) fn since_ms(duration: Duration) -> i64 {
        now_ms().saturating_sub(crate::time::millis(duration))
    }
}

/// Opens the database, making the folder of a SQLite file.
pub(crate) async fn open_store(settings: &Settings, vault: vault::Vault) -> Result<Store, Failure> {
    if let Some(path) = sqlite_file(settings) {
        make_folder(&path)?;
    }
    let url = settings.database_url.expose();
    Ok(Store::open(url, vault, settings.store.clone()).await?)
}

/// The SQLite file, when that is the database.
pub(crate) fn sqlite_file(settings: &Settings) -> Option<PathBuf> {
    let path = settings.database_url.expose().strip_prefix("sqlite:")?;
    let path = path.trim_start_matches("//").split('?').next()?;
    Some(PathBuf::from(&*percent_decode_str(path).decode_utf8().ok()?))
}

/// Opens the database, bringing it to this program's schema and the vault to its first proof. A master key file that
/// is made on the way is taken back when the database turns out to have another one.
pub(crate) async fn open_and_migrate(settings: &Settings) -> Result<(Store, store::Migrated), Failure> {
    let (vault, made) = settings.master_key.vault_or_new()?;
    let opened = async {
        let store = open_store(settings, vault).await?;
        let migrated = store.migrate(now_ms()).await?;
        store.prepare_vault(now_ms()).await?;
        Ok::<_, Failure>((store, migrated))
    };
    let opened = opened.await;
    if made && opened.is_err() {
        settings.master_key.take_back();
    }
    opened.map_err(|failure| {
        if made {
            failure.because_no_master_key()
        } else {
            failure
        }
    })
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder)
            .map_err(|error| Failure::other(format!("{}: {error}", folder.display()))),
        _ => Ok(()),
    }
}

/// Who types, for the audit.
fn actor(source: &Source) -> String {
    format!("cli:{}", source.given("USER").unwrap_or("unknown"))
}

/// A change that was found to be there already is as good as made.
pub(crate) fn unless_there<T>(made: Result<T, StoreError>) -> Result<Option<T>, Failure> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(StoreError::Conflict { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
