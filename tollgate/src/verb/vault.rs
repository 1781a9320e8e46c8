//! `tollgate vault …`

use clap::Subcommand;
use serde_json::{Value, json};
use vault::MasterKeys;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::master_key::MasterKeySource;
use crate::output::Form;

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Says what is sealed, and under which version of the master key.
    Status,
    /// Makes a new version of the master key, wraps every data key anew while the gateway serves, and retires the old.
    Rotate,
    /// Opens everything that is sealed, and says what does not open.
    Verify,
    /// Makes a master key and shows it, for TOLLGATE_MASTER_KEY.
    Generate,
}

/// Data keys wrapped anew in one transaction.
const BATCH: i64 = 100;

pub(super) async fn run(desk: &Desk, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status => status(desk).await,
        Verb::Rotate => rotate(desk).await,
        Verb::Verify => verify(desk).await,
        Verb::Generate => generate(desk.form),
    }
}

/// Needs no database: it is how the first master key of several replicas comes about.
pub(super) fn generate(form: Form) -> Result<(), Failure> {
    form.one(&json!({"master_key": MasterKeys::generate()?.to_text().expose().trim()}))
}

async fn status(desk: &Desk) -> Result<(), Failure> {
    let status = desk.store.vault_status().await?;
    let data_keys: Vec<String> = status
        .data_keys
        .iter()
        .map(|(version, count)| format!("{count} under version {version}"))
        .collect();
    let sealed: Vec<String> = status
        .blobs
        .iter()
        .map(|(column, count)| format!("{count} in {}.{}", column.table, column.column))
        .collect();
    desk.form.one(&json!({
        "master_key_version": status.current_version,
        "database_version": status.proof_version,
        "data_keys": data_keys,
        "sealed": sealed,
    }))
}

/// The order makes it safe to stop anywhere: the file holds both keys until nothing is left under the old one.
async fn rotate(desk: &Desk) -> Result<(), Failure> {
    let vault = desk.store.vault();
    let source = &desk.settings.master_key;
    let locked = match source {
        MasterKeySource::File(_) => Some(source.lock()?),
        MasterKeySource::Setting(_) => None,
    };
    // Another rotation may have ended since the ring was read.
    if let Some(locked) = &locked {
        vault.replace(locked.read()?);
    }
    let unfinished = desk
        .store
        .vault_status()
        .await?
        .data_keys
        .keys()
        .any(|used| *used != vault.current_version());
    match &locked {
        // One that was interrupted is finished; it has its new key already.
        _ if unfinished => {}
        Some(locked) => {
            let known = vault.ring();
            let next = known.with_next()?;
            locked.replace(&known, &next)?;
            vault.replace(next);
        }
        None => return Err(needs_the_next(&vault.ring())),
    }
    let mut moved = 0;
    loop {
        let round = desk.store.rewrap_data_keys(&desk.change(), BATCH).await?;
        moved += round.moved;
        if round.left == 0 {
            break;
        }
        if round.moved == 0 {
            let message = format!(
                "{} data keys do not open under any master key at hand",
                round.left
            );
            return Err(Failure::new(Kind::Secret, message));
        }
    }
    let mut answer = json!({"version": vault.current_version(), "data_keys_moved": moved});
    if let Some(locked) = &locked {
        let known = vault.ring();
        locked.replace(&known, &known.current_only())?;
    } else if let Some(members) = answer.as_object_mut() {
        let left = format!(
            "take the other versions than {} out of TOLLGATE_MASTER_KEY",
            vault.current_version()
        );
        members.insert("to_do".to_owned(), Value::from(left));
    }
    desk.form.one(&answer)
}

/// A master key in a variable is the operator's to change.
fn needs_the_next(ring: &MasterKeys) -> Failure {
    let version = ring.current_version().saturating_add(1);
    let message = format!(
        "the master key is kept in TOLLGATE_MASTER_KEY: add `,{version}:` and a key from `tollgate vault generate` to \
         it on every replica, restart them one by one, and run this again"
    );
    Failure::new(Kind::Secret, message)
}

async fn verify(desk: &Desk) -> Result<(), Failure> {
    let report = desk.store.verify_sealed().await?;
    let broken: Vec<Value> = report
        .broken
        .iter()
        .map(|blob| Value::from(format!("{} {}", blob.table, blob.row)))
        .collect();
    let is_whole = broken.is_empty();
    desk.form
        .one(&json!({"opened": report.opened, "broken": broken}))?;
    if is_whole {
        Ok(())
    } else {
        Err(Failure::new(Kind::Secret, "not everything that is sealed opens"))
    }
}
