//! Looking at a database without changing anything: for whoever asks what is wrong with it.

use std::time::{Duration, Instant};

use crate::error::{StoreError, is_missing_table, unreadable};
use crate::open::{Database, Store};
use crate::row::Columns;

/// How often it is asked, to say how fast it answers.
const TRIES: usize = 5;

impl Store {
    /// How long it takes to answer, at the median.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answer_time(&self) -> Result<Duration, StoreError> {
        let mut times = Vec::with_capacity(TRIES);
        for _ in 0..TRIES {
            let asked = Instant::now();
            self.ping().await?;
            times.push(asked.elapsed());
        }
        times.sort_unstable();
        Ok(times.get(TRIES / 2).copied().unwrap_or_default())
    }

    /// The version of the schema that is there; `None` when there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_found(&self) -> Result<Option<i64>, StoreError> {
        let found = sqlx::query_scalar("SELECT version FROM schema_version WHERE id = 1")
            .fetch_optional(&self.pool)
            .await;
        match found {
            Err(error) if is_missing_table(&error) => Ok(None),
            found => Ok(found.map_err(unreadable("schema_version", "1"))?),
        }
    }

    /// Whether it lets itself be written to. What is tried is taken back.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("UPDATE revision_counter SET revision = revision WHERE id = 1")
            .execute(&mut *transaction)
            .await?;
        transaction.rollback().await?;
        Ok(())
    }

    /// The database's own clock, in milliseconds since the Unix epoch; `None` for SQLite, which has this machine's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clock_ms(&self) -> Result<Option<i64>, StoreError> {
        match self.database {
            Database::Sqlite => Ok(None),
            Database::Postgres(_) => {
                let now =
                    sqlx::query_scalar("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
                        .fetch_one(&self.pool)
                        .await?;
                Ok(Some(now))
            }
        }
    }

    /// How SQLite keeps its journal, in its own word: `wal` is what this program asks for, and some file systems do not
    /// give. `None` for Postgres.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn journal_mode(&self) -> Result<Option<String>, StoreError> {
        match self.database {
            Database::Sqlite => {
                let mode = sqlx::query_scalar("PRAGMA journal_mode")
                    .fetch_one(&self.pool)
                    .await?;
                Ok(Some(mode))
            }
            Database::Postgres(_) => Ok(None),
        }
    }

    /// Ids and names of all tenants, also of those whose rows make no sense otherwise.
    ///
    /// # Errors
    /// When the database does not answer, or not even the names can be read.
    pub async fn tenant_names(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT id, name FROM tenants ORDER BY name, id")
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable("tenants", "?"))?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of("tenants", row)?;
                Ok((columns.id(), columns.text("name")?))
            })
            .collect()
    }
}
