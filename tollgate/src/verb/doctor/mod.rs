//! `tollgate doctor`: what is wrong with this installation, in plain words, and what to do about it.
//!
//! It changes nothing. One check depends on another only where it cannot do without: what cannot be looked at, because
//! something before it is broken, is left out, and the broken thing is said.

mod database;
mod gemini_cli;
mod machine;
mod network;
mod report;
mod tenants;

use std::path::Path;

use store::Store;
use vault::{MasterKeys, Vault};

use crate::desk::sqlite_file;
use crate::failure::{Failure, Kind};
use crate::output::Form;
use crate::settings::{Settings, Source};
use report::Report;

/// Looks at everything and says what it found.
///
/// # Errors
/// When something is wrong, after it was said.
pub(super) async fn run(config: Option<&Path>, form: Form) -> Result<(), Failure> {
    let mut report = Report::default();
    examine(config, &mut report).await;
    report.tell(form)?;
    match report.problems() {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::Unwell, "one problem was found")),
        many => Err(Failure::new(Kind::Unwell, format!("{many} problems were found"))),
    }
}

async fn examine(config: Option<&Path>, report: &mut Report) {
    let read = Source::of_process(config).and_then(|source| Settings::read(&source));
    let settings = match read {
        Ok(settings) => {
            report.ok("settings", "they can be read");
            settings
        }
        Err(failure) => {
            let remedy = "mend the setting; docs/configuration.md and `tollgate serve --help` list them all";
            return report.problem("settings", failure.message(), remedy);
        }
    };
    machine::file_descriptors(&settings, report);
    network::listeners(&settings, report).await;
    network::collector(&settings, report).await;
    gemini_cli::gemini_cli(&settings, report).await;
    machine::data_folder(&settings.data_dir, report);
    let path = sqlite_file(&settings);
    if let Some(path) = &path {
        machine::database_file(path, report);
        if !path.exists() {
            let what = format!("there is no database at {} yet", path.display());
            return report.warning("database", what, "`tollgate serve` makes it, with the master key");
        }
    }
    let vault = master_key(&settings, report);
    let is_at_hand = vault.is_some();
    // What needs no secret can be looked at under any key.
    let Some(vault) = vault.or_else(|| MasterKeys::generate().ok().map(Vault::new)) else {
        return;
    };
    let opened = Store::open(settings.database_url.expose(), vault, settings.store.clone()).await;
    match opened {
        Ok(store) => {
            if database::examine(&store, is_at_hand, report).await {
                tenants::examine(&store, report).await;
            }
            store.close().await;
        }
        Err(error) => database::unreachable(&error, report),
    }
}

/// The vault, when the master key is there and is one.
fn master_key(settings: &Settings, report: &mut Report) -> Option<Vault> {
    match settings.master_key.vault() {
        Ok(vault) => Some(vault),
        Err(failure) => {
            let remedy = "give TOLLGATE_MASTER_KEY or TOLLGATE_MASTER_KEY_FILE the key under which this database was \
                          sealed: nothing in it opens under another";
            report.problem("master key", failure.message(), remedy);
            None
        }
    }
}
