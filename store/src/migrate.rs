//! The schema, version by version.
//!
//! A row that says which version the database has is also the lock: whoever migrates updates it first, and a second
//! process waits for the first and then finds nothing left to do. A migration that is once released is never changed,
//! and old and new programs run side by side for a while: expand first, contract in a later release.

use std::sync::LazyLock;

use crate::error::StoreError;
use crate::open::{Database, Store};

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 for a new database.
    pub from: i64,
    pub to: i64,
}

/// The versions in order, the first being version 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_begin.sql"),
    include_str!("../migrations/0002_ledger_by_id.sql"),
    include_str!("../migrations/0003_strict_tenants.sql"),
    include_str!("../migrations/0004_limits.sql"),
    include_str!("../migrations/0005_ledger.sql"),
    include_str!("../migrations/0006_prices.sql"),
    include_str!("../migrations/0007_google_logins.sql"),
    include_str!("../migrations/0008_tokens_of_other_prices.sql"),
    include_str!("../migrations/0009_removed_limits.sql"),
    include_str!("../migrations/0010_lease.sql"),
    include_str!("../migrations/0013_unpriced.sql"),
];
/// The same in SQLite's words: what it calls a column of bytes is the one word in which the two differ.
static MIGRATIONS_FOR_SQLITE: LazyLock<Vec<String>> = LazyLock::new(|| {
    MIGRATIONS
        .iter()
        .map(|migration| migration.replace("BYTEA", "BLOB"))
        .collect()
});
const KNOWN: i64 = MIGRATIONS.len() as i64;
/// How often two processes may get in each other's way over the very first table.
const TRIES: u32 = 5;

impl Store {
    /// The version that this program works with.
    pub const SCHEMA: i64 = KNOWN;

    /// Brings the schema to the version that this program knows. Any number of processes may do it at once.
    ///
    /// # Errors
    /// When a newer program has migrated the database, its version makes no sense, or it does not answer.
    pub async fn migrate(&self, now_ms: i64) -> Result<Migrated, StoreError> {
        self.make_version_table().await?;
        let mut transaction = self.begin_write().await?;
        if matches!(self.database, Database::Postgres(_)) {
            // Waiting for another process's migration takes as long as that takes.
            sqlx::query("SET LOCAL statement_timeout = '300s'")
                .execute(&mut *transaction)
                .await?;
        }
        let from: i64 =
            sqlx::query_scalar("UPDATE schema_version SET version = version WHERE id = 1 RETURNING version")
                .fetch_one(&mut *transaction)
                .await?;
        refuse_newer(from)?;
        let applied = usize::try_from(from)
            .map_err(|_| StoreError::poison("schema_version", "1", format!("version is {from}")))?;
        for migration in self.migrations().skip(applied) {
            sqlx::raw_sql(migration).execute(&mut *transaction).await?;
        }
        sqlx::query(
            "UPDATE schema_version SET version = $1, migrated_at_ms = $2 WHERE id = 1 AND version < $1",
        )
        .bind(KNOWN)
        .bind(now_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Migrated { from, to: KNOWN })
    }

    /// The version that the database has; 0 when it was never migrated.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.make_version_table().await?;
        let version = sqlx::query_scalar("SELECT version FROM schema_version WHERE id = 1")
            .fetch_one(&self.pool)
            .await?;
        Ok(version)
    }

    /// Whether this program can work with the database as it is.
    ///
    /// # Errors
    /// When its schema is older or newer than the one that this program knows.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let found = self.schema_version().await?;
        refuse_newer(found)?;
        if found < KNOWN {
            return Err(StoreError::SchemaTooOld { found, known: KNOWN });
        }
        Ok(())
    }

    /// On Postgres, `IF NOT EXISTS` is no help against another process that makes the same table at this moment: the
    /// loser is told of a duplicate, and finds the table at the next try.
    async fn make_version_table(&self) -> Result<(), StoreError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.try_make_version_table().await {
                Err(StoreError::Other(_)) if tried < TRIES => {}
                outcome => return outcome,
            }
        }
    }

    async fn try_make_version_table(&self) -> Result<(), StoreError> {
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS schema_version (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
             migrated_at_ms BIGINT NOT NULL)",
        )
        .execute(&self.pool)
        .await?;
        sqlx::query(
            "INSERT INTO schema_version (id, version, migrated_at_ms) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The texts of all versions for this database.
    fn migrations(&self) -> Box<dyn Iterator<Item = &'static str> + Send> {
        match self.database {
            Database::Sqlite => Box::new(MIGRATIONS_FOR_SQLITE.iter().map(String::as_str)),
            Database::Postgres(_) => Box::new(MIGRATIONS.iter().copied()),
        }
    }
}

fn refuse_newer(found: i64) -> Result<(), StoreError> {
    if found > KNOWN {
        return Err(StoreError::SchemaTooNew { found, known: KNOWN });
    }
    Ok(())
}
