//! What lies sealed in the database: the proof of the master key, the data keys, and the registry of sealed columns.
//!
//! Each tenant's secrets are sealed under its data key, each data key is wrapped under the master key. Rotating the
//! master key therefore only wraps the data keys anew, while everything goes on being served. The proof is moved first
//! and under the same lock under which tenants are made: whoever makes a tenant later sees by the proof that there is
//! a newer master key, and reads its ring again before it wraps.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::AnyConnection;
use vault::{DataKey, Place, Vault, VaultError};

use crate::change::{Change, Changing, Done};
use crate::error::{StoreError, unreadable};
use crate::open::Store;
use crate::row::Columns;

/// A column whose values are sealed under the data key of the row's tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedColumn {
    pub table: &'static str,
    pub column: &'static str,
    /// The column that identifies the row, in the sealed value's place too.
    pub row_id: &'static str,
    pub tenant_id: &'static str,
    count: &'static str,
    /// The next sealed values after a tenant and a row.
    page: &'static str,
}

/// What is sealed, and under which master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultStatus {
    /// The version that this process wraps under.
    pub current_version: u32,
    /// The version that the database was last moved to.
    pub proof_version: u32,
    /// Data keys by the version of the master key that wraps them.
    pub data_keys: BTreeMap<u32, i64>,
    /// Sealed values in each column of the registry.
    pub blobs: Vec<(&'static EncryptedColumn, i64)>,
}

/// What one round of a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrapped {
    pub moved: i64,
    /// Data keys still under an older master key. When nothing was moved and some are left, they do not open.
    pub left: i64,
}

/// What trying to open everything found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedReport {
    /// Data keys and sealed values that open.
    pub opened: i64,
    pub broken: Vec<BrokenBlob>,
}

/// A sealed value that does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenBlob {
    pub table: &'static str,
    pub column: &'static str,
    /// The tenant's id, or the installation's scope.
    pub tenant_id: String,
    pub row: String,
    /// `None` when there is no data key to open it with.
    pub why: Option<VaultError>,
}

macro_rules! encrypted_column {
    ($table:literal, $column:literal, $row_id:literal, $tenant_id:literal) => {
        EncryptedColumn {
            table: $table,
            column: $column,
            row_id: $row_id,
            tenant_id: $tenant_id,
            count: concat!(
                "SELECT COUNT(*) FROM ",
                $table,
                " WHERE ",
                $column,
                " IS NOT NULL"
            ),
            page: concat!(
                "SELECT ",
                $tenant_id,
                " AS tenant, ",
                $row_id,
                " AS id, ",
                $column,
                " AS blob FROM ",
                $table,
                " WHERE ",
                $column,
                " IS NOT NULL AND (",
                $tenant_id,
                ", ",
                $row_id,
                ") > ($1, $2) ORDER BY ",
                $tenant_id,
                ", ",
                $row_id,
                " LIMIT 500"
            ),
        }
    };
}

/// Every column with sealed values. What is not here is neither counted nor verified.
pub const ENCRYPTED_COLUMNS: &[EncryptedColumn] = &[
    encrypted_column!("credentials", "secret", "id", "tenant_id"),
    encrypted_column!("google_login_attempts", "verifier", "id", "tenant_id"),
];

/// The scope of the data key that belongs to no tenant. No tenant's id looks like this.
pub(crate) const INSTALLATION: &str = "installation";
/// Who does what happens by itself.
const SYSTEM: &str = "system";
const DATA_KEYS: &str = "data_keys";

impl Store {
    /// Seals a new database under the master key at hand, or checks that it is the one of this database, and that each
    /// of the data keys has its master key at hand.
    ///
    /// # Errors
    /// [`StoreError::WrongMasterKey`] when it is another; [`VaultError::UnknownVersion`] when an older one is still
    /// needed.
    pub async fn prepare_vault(&self, now_ms: i64) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let is_new = read_proof(&mut connection).await?.is_none();
        drop(connection);
        if is_new {
            self.seal_new_database(now_ms).await?;
        }
        self.check_vault().await
    }

    /// Checks that the master key at hand is the one of this database, and that each of the data keys has its master
    /// key at hand. Changes nothing.
    ///
    /// # Errors
    /// As [`Store::prepare_vault`]; a database that was never sealed has no master key that would be right.
    pub async fn check_vault(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let proof = read_proof(&mut connection)
            .await?
            .ok_or(StoreError::WrongMasterKey)?;
        self.check_proof(&proof)?;
        let mut version = 0;
        while let Some(next) = next_version(&mut connection, version).await? {
            version = next;
            // One that is none is its tenant's trouble.
            let Ok(needed) = u32::try_from(next) else { break };
            if !self.vault.ring().versions().any(|held| held == needed) {
                return Err(VaultError::UnknownVersion(needed).into());
            }
        }
        Ok(())
    }

    /// What is sealed, and under which versions of the master key.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn vault_status(&self) -> Result<VaultStatus, StoreError> {
        let mut reading = self.begin_read().await?;
        let proof = read_proof(&mut reading)
            .await?
            .ok_or(StoreError::WrongMasterKey)?;
        let mut blobs = Vec::new();
        for column in ENCRYPTED_COLUMNS {
            let count: i64 = sqlx::query_scalar(column.count).fetch_one(&mut *reading).await?;
            blobs.push((column, count));
        }
        let status = VaultStatus {
            current_version: self.vault.current_version(),
            proof_version: opened("master_proof", "1", Vault::master_version_of(&proof))?,
            data_keys: versions_in_use(&mut reading).await?,
            blobs,
        };
        reading.commit().await?;
        Ok(status)
    }

    /// Wraps up to `batch` data keys anew that are not under the current master key, and moves the proof. Call it until
    /// nothing is left; it may be broken off at any time, by several processes at once, while others serve.
    ///
    /// # Errors
    /// When the database does not answer, or its master key is not at hand.
    pub async fn rewrap_data_keys(&self, change: &Change<'_>, batch: i64) -> Result<Rewrapped, StoreError> {
        let mut changing = self.begin_change().await?;
        let proof = read_proof(changing.connection())
            .await?
            .ok_or(StoreError::WrongMasterKey)?;
        self.check_proof(&proof)?;
        let current = self.vault.current_version();
        let proof_moves = Vault::master_version_of(&proof)? < current;
        if proof_moves {
            self.write_proof(changing.connection()).await?;
        }
        let moved = self.rewrap_batch(&mut changing, current, batch).await?;
        let left = sqlx::query_scalar("SELECT COUNT(*) FROM data_keys WHERE master_version < $1")
            .bind(i64::from(current))
            .fetch_one(changing.connection())
            .await?;
        if proof_moves || moved > 0 {
            let done = Done {
                action: "vault.rewrap",
                tenant_id: None,
                subject: INSTALLATION,
                detail: json!({ "master_version": current, "moved": moved, "left": left }),
            };
            changing.finish(change, done).await?;
        }
        Ok(Rewrapped { moved, left })
    }

    /// Tries to open every data key and every sealed value.
    ///
    /// # Errors
    /// When the database does not answer. What does not open is in the report.
    pub async fn verify_sealed(&self) -> Result<SealedReport, StoreError> {
        let mut report = SealedReport::default();
        self.verify_data_keys(&mut report).await?;
        for column in ENCRYPTED_COLUMNS {
            self.verify_column(column, &mut report).await?;
        }
        Ok(report)
    }

    /// Makes the data key of a new scope, inside the change that makes the scope.
    pub(crate) async fn make_data_key(
        &self,
        connection: &mut AnyConnection,
        scope: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let proof = read_proof(connection).await?.ok_or(StoreError::WrongMasterKey)?;
        // Not only a check: a proof under an unknown version makes the vault read its ring again.
        self.check_proof(&proof)?;
        let wrapped = self.vault.wrap(scope, &DataKey::generate()?)?;
        sqlx::query(
            "INSERT INTO data_keys (scope, master_version, wrapped, created_at_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(scope)
        .bind(i64::from(Vault::master_version_of(&wrapped)?))
        .bind(wrapped)
        .bind(now_ms)
        .execute(connection)
        .await?;
        Ok(())
    }

    pub(crate) async fn data_key(
        &self,
        connection: &mut AnyConnection,
        scope: &str,
    ) -> Result<DataKey, StoreError> {
        let wrapped: Option<Vec<u8>> = sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE scope = $1")
            .bind(scope)
            .fetch_optional(connection)
            .await
            .map_err(unreadable(DATA_KEYS, scope))?;
        let wrapped = wrapped.ok_or_else(|| StoreError::not_found(format!("data key of `{scope}`")))?;
        opened(DATA_KEYS, scope, self.vault.unwrap(scope, &wrapped))
    }

    /// The lock of the change decides which of several new processes seals the database.
    async fn seal_new_database(&self, now_ms: i64) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        if read_proof(changing.connection()).await?.is_some() {
            return Ok(());
        }
        self.write_proof(changing.connection()).await?;
        self.make_data_key(changing.connection(), INSTALLATION, now_ms)
            .await?;
        let change = Change {
            actor: SYSTEM,
            at_ms: now_ms,
        };
        let done = Done {
            action: "vault.create",
            tenant_id: None,
            subject: INSTALLATION,
            detail: json!({ "master_version": self.vault.current_version() }),
        };
        changing.finish(&change, done).await
    }

    fn check_proof(&self, proof: &[u8]) -> Result<(), StoreError> {
        self.vault.check_proof(proof).map_err(|error| match error {
            VaultError::DoesNotOpen | VaultError::UnknownVersion(_) => StoreError::WrongMasterKey,
            other => other.into(),
        })
    }

    async fn write_proof(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let proof = self.vault.proof()?;
        sqlx::query(
            "INSERT INTO master_proof (id, master_version, proof) VALUES (1, $1, $2) \
             ON CONFLICT (id) DO UPDATE SET master_version = excluded.master_version, proof = excluded.proof",
        )
        .bind(i64::from(Vault::master_version_of(&proof)?))
        .bind(proof)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Passes over what does not open, so that it does not hold up the others.
    async fn rewrap_batch(
        &self,
        changing: &mut Changing,
        current: u32,
        batch: i64,
    ) -> Result<i64, StoreError> {
        let (mut moved, mut after) = (0, String::new());
        while moved < batch {
            let rows = sqlx::query(
                "SELECT scope, wrapped FROM data_keys WHERE master_version < $1 AND scope > $2 \
                 ORDER BY scope LIMIT $3",
            )
            .bind(i64::from(current))
            .bind(&after)
            .bind(batch.saturating_sub(moved))
            .fetch_all(changing.connection())
            .await
            .map_err(unreadable(DATA_KEYS, "?"))?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let columns = Columns::named_by(DATA_KEYS, row, "scope")?;
                after = columns.id();
                if let Ok(key) = self.vault.unwrap(&after, &columns.blob("wrapped")?) {
                    self.rewrap(changing.connection(), &after, &key).await?;
                    moved += 1;
                }
            }
        }
        Ok(moved)
    }

    async fn rewrap(
        &self,
        connection: &mut AnyConnection,
        scope: &str,
        key: &DataKey,
    ) -> Result<(), StoreError> {
        let wrapped = self.vault.wrap(scope, key)?;
        sqlx::query("UPDATE data_keys SET wrapped = $1, master_version = $2 WHERE scope = $3")
            .bind(&wrapped)
            .bind(i64::from(Vault::master_version_of(&wrapped)?))
            .bind(scope)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn verify_data_keys(&self, report: &mut SealedReport) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows =
                sqlx::query("SELECT scope, wrapped FROM data_keys WHERE scope > $1 ORDER BY scope LIMIT 500")
                    .bind(&after)
                    .fetch_all(&self.pool)
                    .await
                    .map_err(unreadable(DATA_KEYS, "?"))?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let columns = Columns::named_by(DATA_KEYS, row, "scope")?;
                after = columns.id();
                let outcome = self.vault.unwrap(&after, &columns.blob("wrapped")?).map(|_| ());
                report.note(outcome.map_err(Some), (DATA_KEYS, "wrapped"), &after, &after);
            }
        }
    }

    async fn verify_column(
        &self,
        column: &EncryptedColumn,
        report: &mut SealedReport,
    ) -> Result<(), StoreError> {
        let (mut tenant, mut row_id) = (String::new(), String::new());
        let mut data_key = None;
        loop {
            let rows = sqlx::query(column.page)
                .bind(&tenant)
                .bind(&row_id)
                .fetch_all(&self.pool)
                .await
                .map_err(unreadable(column.table, "?"))?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let columns = Columns::of(column.table, row)?;
                let owner = columns.text("tenant")?;
                if owner != tenant {
                    let mut connection = self.pool.acquire().await?;
                    data_key = match self.data_key(&mut connection, &owner).await {
                        Ok(key) => Some(key),
                        Err(StoreError::NotFound { .. } | StoreError::Poison { .. }) => None,
                        Err(other) => return Err(other),
                    };
                }
                (tenant, row_id) = (owner, columns.id());
                let place = Place {
                    tenant: &tenant,
                    table: column.table,
                    row: &row_id,
                    column: column.column,
                };
                let sealed = columns.blob("blob")?;
                let outcome = match &data_key {
                    Some(key) => key.open(&place, &sealed).map(|_| ()).map_err(Some),
                    None => Err(None),
                };
                report.note(outcome, (column.table, column.column), &tenant, &row_id);
            }
        }
    }
}

impl SealedReport {
    fn note(
        &mut self,
        outcome: Result<(), Option<VaultError>>,
        (table, column): (&'static str, &'static str),
        tenant_id: &str,
        row: &str,
    ) {
        match outcome {
            Ok(()) => self.opened += 1,
            Err(why) => self.broken.push(BrokenBlob {
                table,
                column,
                tenant_id: tenant_id.to_owned(),
                row: row.to_owned(),
                why,
            }),
        }
    }
}

/// A sealed value that cannot be what this program sealed there is poison. A master key that is missing is not the
/// row's fault.
pub(crate) fn opened<T>(
    table: &'static str,
    row: &str,
    outcome: Result<T, VaultError>,
) -> Result<T, StoreError> {
    outcome.map_err(|error| match error {
        VaultError::Form | VaultError::DoesNotOpen | VaultError::UnknownDataKey(_) => {
            StoreError::poison(table, row, error.to_string())
        }
        VaultError::UnknownVersion(_) | VaultError::Source | VaultError::NoChance | VaultError::Cipher => {
            error.into()
        }
    })
}

async fn read_proof(connection: &mut AnyConnection) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT proof FROM master_proof WHERE id = 1")
        .fetch_optional(connection)
        .await
        .map_err(unreadable("master_proof", "1"))
}

/// The next version, in the order of versions, that any data key is under. There may be a hundred thousand data keys,
/// but hardly three versions.
async fn next_version(connection: &mut AnyConnection, after: i64) -> Result<Option<i64>, StoreError> {
    let next = sqlx::query_scalar(
        "SELECT master_version FROM data_keys WHERE master_version > $1 ORDER BY master_version LIMIT 1",
    )
    .bind(after)
    .fetch_optional(connection)
    .await?;
    Ok(next)
}

async fn versions_in_use(connection: &mut AnyConnection) -> Result<BTreeMap<u32, i64>, StoreError> {
    let rows = sqlx::query(
        "SELECT CAST(master_version AS TEXT) AS id, master_version, COUNT(*) AS data_keys FROM data_keys \
         GROUP BY master_version",
    )
    .fetch_all(connection)
    .await
    .map_err(unreadable(DATA_KEYS, "?"))?;
    let mut versions = BTreeMap::new();
    for row in &rows {
        let columns = Columns::of(DATA_KEYS, row)?;
        let version = u32::try_from(columns.number("master_version")?)
            .map_err(|_| columns.poison("its master key has no version"))?;
        versions.insert(version, columns.number("data_keys")?);
    }
    Ok(versions)
}
