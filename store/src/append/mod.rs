//! The way of attempts into the ledger: many rows at once, and their sums with them.
//!
//! This is the one thing that the database is asked to do for every call, so it speaks to each database in its own words
//! and by its own driver, which takes a third less than by way of both. The rows that are new, and no others, are added
//! to the sums, in the same transaction: so it does not matter how often a row is told.

mod postgres;
mod sqlite;

use std::collections::{BTreeMap, HashSet};

use sqlx::{PgPool, SqlitePool};

use crate::ledger::AttemptRow;
use crate::open::{Database, StoreOptions};
use crate::presence::Presence;
use crate::usage::{HOUR_MS, Hour, Sums};

/// Connections for nothing else, made when they are needed.
#[derive(Clone)]
pub(crate) enum WayIn {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Whether the database says which rows are new. It takes longer, and nearly always all are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    HowMany,
    Which,
}

const ONCE: &str = "ON CONFLICT (tenant_id, attempt_id) DO NOTHING";

impl WayIn {
    /// To the database of this URL.
    pub(crate) fn open(
        database: &Database,
        url: &str,
        options: &StoreOptions,
        presence: &Presence,
    ) -> Result<Self, sqlx::Error> {
        Ok(match database {
            Database::Sqlite => Self::Sqlite(sqlite::open(url, options)?),
            Database::Postgres(_) => Self::Postgres(postgres::open(url, options, presence)?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Books rows, all or none, and says how many are new.
    pub(crate) async fn append(&self, rows: &[AttemptRow<&str>]) -> Result<u64, sqlx::Error> {
        if let Some(new) = self.try_append(rows, Ask::HowMany).await? {
            return Ok(new);
        }
        Ok(self.try_append(rows, Ask::Which).await?.unwrap_or(0))
    }

    /// `None`, and nothing is booked, when some are there already and it was not asked which.
    async fn try_append(&self, rows: &[AttemptRow<&str>], ask: Ask) -> Result<Option<u64>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => sqlite::append(pool, rows, ask).await,
            Self::Postgres(pool) => postgres::append(pool, rows, ask).await,
        }
    }
}

/// What adds these values to the sums of hours.
fn add_sql(values: &str) -> String {
    let (hour, sums, added) = (Hour::COLUMNS, Sums::COLUMNS, &*crate::usage::ADDED);
    format!("INSERT INTO usage_hours ({hour}, {sums}) {values} {added}")
}

/// What is to be added to each hour: of all rows, or of those that are new. A row that is told twice counts once.
fn sums<'a>(
    rows: &[AttemptRow<&'a str>],
    mut new: Option<HashSet<String>>,
) -> (BTreeMap<Hour<'a>, Sums>, u64) {
    let mut sums = BTreeMap::<Hour<'a>, Sums>::new();
    let mut count = 0;
    for row in rows {
        if new.as_mut().is_some_and(|new| !new.remove(row.attempt_id)) {
            continue;
        }
        count += 1;
        let hour = Hour {
            tenant_id: row.tenant_id,
            hour: row.started_at_ms.div_euclid(HOUR_MS),
            key_id: row.key_id,
            credential_id: row.credential_id.unwrap_or_default(),
            provider: row.provider,
            model: row.model,
            operation: row.operation,
        };
        sums.entry(hour).or_default().add(row);
    }
    (sums, count)
}

fn id<'r, R: sqlx::Row>(row: &'r R) -> Result<String, sqlx::Error>
where
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    usize: sqlx::ColumnIndex<R>,
{
    row.try_get(0)
}
