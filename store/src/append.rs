//! The way of attempts into the ledger: many rows at once, and their sums with them.
//!
//! This is the one thing that the database is asked to do for every call, so it speaks to each database in its own words
//! and by its own driver, which takes a third less than by way of both. The rows that are new, and no others, are added
//! to the sums, in the same transaction: so it does not matter how often a row is told.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

use crate::ledger::AttemptRow;
use crate::open::{Database, SQLITE_PRAGMAS, StoreOptions, prepare_postgres};
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

/// Rows that one statement takes on SQLite. Each statement is a round trip to its thread, which costs more than the row.
const TOGETHER: usize = 32;
const COLUMNS: &str = "tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, model_name, model, \
                       dialect, streamed, started_at_ms, duration_us, first_byte_us, status, outcome, input_tokens, \
                       cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
                       audio_input_tokens, audio_output_tokens, image_output_tokens, operation, usage_source, cost_nano, \
                       price_version, reserved_tokens";
const ONCE: &str = "ON CONFLICT (tenant_id, attempt_id) DO NOTHING";

/// One row and as many as one statement takes; the same, asking which are new.
static SQLITE: LazyLock<[String; 4]> = LazyLock::new(|| {
    let [one, many] = [1, TOGETHER].map(|rows| {
        let width = COLUMNS.split(',').count();
        let row = format!("({})", vec!["?"; width].join(", "));
        format!(
            "INSERT INTO attempts ({COLUMNS}) VALUES {} {ONCE}",
            vec![row; rows].join(", ")
        )
    });
    let which = |sql: &String| format!("{sql} RETURNING attempt_id");
    [which(&one), which(&many), one, many]
});
static POSTGRES: LazyLock<[String; 2]> = LazyLock::new(|| {
    let numbers = ["attempt_number", "streamed", "status"];
    let arrays = COLUMNS.split(", ").enumerate().map(|(number, column)| {
        let ends = ["_ms", "_us", "_tokens", "_nano"];
        let is_number = numbers.contains(&column) || ends.iter().any(|end| column.ends_with(end));
        format!("${}::{}[]", number + 1, if is_number { "BIGINT" } else { "TEXT" })
    });
    let arrays: Vec<String> = arrays.collect();
    let sql = format!(
        "INSERT INTO attempts ({COLUMNS}) SELECT * FROM UNNEST({}) {ONCE}",
        arrays.join(", ")
    );
    [format!("{sql} RETURNING attempt_id"), sql]
});
static ADD: LazyLock<[String; 2]> = LazyLock::new(|| {
    let places = Hour::COLUMNS.split(',').count() + Sums::COLUMNS.split(',').count();
    let numbered: Vec<String> = (1..=places).map(|number| format!("${number}")).collect();
    [vec!["?".to_owned(); places], numbered].map(|places| {
        format!(
            "INSERT INTO usage_hours ({}, {}) VALUES ({}) {}",
            Hour::COLUMNS,
            Sums::COLUMNS,
            places.join(", "),
            *crate::usage::ADDED
        )
    })
});

impl WayIn {
    /// To the database of this URL.
    pub(crate) fn open(
        database: &Database,
        url: &str,
        options: &StoreOptions,
        presence: &Presence,
    ) -> Result<Self, sqlx::Error> {
        match database {
            Database::Sqlite => {
                let pool = PoolOptions::<Sqlite>::new()
                    .max_connections(1)
                    .acquire_timeout(options.connect_timeout)
                    .after_connect(|connection, _| {
                        Box::pin(async move {
                            sqlx::raw_sql(SQLITE_PRAGMAS).execute(&mut *connection).await?;
                            Ok(())
                        })
                    });
                Ok(Self::Sqlite(
                    pool.connect_lazy_with(url.parse::<SqliteConnectOptions>()?),
                ))
            }
            Database::Postgres(_) => {
                let timeout_ms = i64::try_from(options.statement_timeout.as_millis()).unwrap_or(i64::MAX);
                let (before, after) = (presence.clone(), presence.clone());
                let pool = PoolOptions::<Postgres>::new()
                    .max_connections(1)
                    .acquire_timeout(options.connect_timeout)
                    .test_before_acquire(false)
                    .before_acquire(move |connection, metadata| {
                        let presence = before.clone();
                        Box::pin(async move { presence.test(connection, metadata).await })
                    })
                    .after_release(move |connection, metadata| {
                        let presence = after.clone();
                        Box::pin(async move { presence.test(connection, metadata).await })
                    })
                    .after_connect(move |connection, _| {
                        Box::pin(prepare_postgres::<Postgres>(connection, timeout_ms))
                    });
                Ok(Self::Postgres(
                    pool.connect_lazy_with(url.parse::<PgConnectOptions>()?),
                ))
            }
        }
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
            Self::Sqlite(pool) => append_to_sqlite(pool, rows, ask).await,
            Self::Postgres(pool) => append_to_postgres(pool, rows, ask).await,
        }
    }
}

async fn append_to_sqlite(
    pool: &SqlitePool,
    rows: &[AttemptRow<&str>],
    ask: Ask,
) -> Result<Option<u64>, sqlx::Error> {
    let [which_one, which_many, one, many] = &*SQLITE;
    let (one, many) = if ask == Ask::Which {
        (which_one, which_many)
    } else {
        (one, many)
    };
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let (blocks, rest) = rows.as_chunks::<TOGETHER>();
    let blocks = blocks.iter().map(|block| (many, block.as_slice()));
    let mut new = HashSet::new();
    for (sql, rows) in blocks.chain(rest.iter().map(|row| (one, std::slice::from_ref(row)))) {
        let query = rows.iter().fold(sqlx::query(sql.as_str()), bind);
        if ask == Ask::Which {
            let ids = query.fetch_all(&mut *transaction).await?;
            new.extend(ids.iter().map(id).collect::<Result<Vec<_>, _>>()?);
        } else if query.execute(&mut *transaction).await?.rows_affected() != rows.len() as u64 {
            transaction.rollback().await?;
            return Ok(None);
        }
    }
    let (sums, count) = sums(rows, (ask == Ask::Which).then_some(new));
    let [add, _] = &*ADD;
    for (hour, sums) in &sums {
        let query = sums.bind_to(hour.bind_to(sqlx::query(add.as_str())));
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some(count))
}

async fn append_to_postgres(
    pool: &PgPool,
    rows: &[AttemptRow<&str>],
    ask: Ask,
) -> Result<Option<u64>, sqlx::Error> {
    let [which, how_many] = &*POSTGRES;
    let mut transaction = pool.begin().await?;
    let mut new = HashSet::new();
    if ask == Ask::Which {
        let ids = bind_columns(sqlx::query(which.as_str()), rows)
            .fetch_all(&mut *transaction)
            .await?;
        new.extend(ids.iter().map(id).collect::<Result<Vec<_>, _>>()?);
    } else {
        let done = bind_columns(sqlx::query(how_many.as_str()), rows)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != rows.len() as u64 {
            transaction.rollback().await?;
            return Ok(None);
        }
    }
    let (sums, count) = sums(rows, (ask == Ask::Which).then_some(new));
    let [_, add] = &*ADD;
    // In the order of their keys, so that two replicas never wait for each other.
    for (hour, sums) in &sums {
        let query = sums.bind_to(hour.bind_to(sqlx::query(add.as_str())));
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some(count))
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

fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &AttemptRow<&'q str>,
) -> Query<'q, Sqlite, SqliteArguments> {
    let usage = row.usage;
    query
        .bind(row.tenant_id)
        .bind(row.attempt_id)
        .bind(row.call_id)
        .bind(row.attempt_number)
        .bind(row.key_id)
        .bind(row.credential_id)
        .bind(row.provider)
        .bind(row.model_name)
        .bind(row.model)
        .bind(row.dialect)
        .bind(i64::from(row.streamed))
        .bind(row.started_at_ms)
        .bind(row.duration_us)
        .bind(row.first_byte_us)
        .bind(row.status)
        .bind(row.outcome)
        .bind(usage.map(|usage| usage.input_tokens))
        .bind(usage.map(|usage| usage.cached_input_tokens))
        .bind(usage.map(|usage| usage.cache_write_tokens))
        .bind(usage.map(|usage| usage.cache_write_1h_tokens))
        .bind(usage.map(|usage| usage.output_tokens))
        .bind(usage.map(|usage| usage.reasoning_tokens))
        .bind(usage.map(|usage| usage.audio_input_tokens))
        .bind(usage.map(|usage| usage.audio_output_tokens))
        .bind(usage.map(|usage| usage.image_output_tokens))
        .bind(row.operation)
        .bind(row.usage_source)
        .bind(row.cost_nano)
        .bind(row.price_version)
        .bind(row.reserved_tokens)
}

/// Column by column, each as an array.
fn bind_columns<'q>(
    query: Query<'q, Postgres, PgArguments>,
    rows: &[AttemptRow<&'q str>],
) -> Query<'q, Postgres, PgArguments> {
    fn column<'q, T>(rows: &[AttemptRow<&'q str>], member: impl Fn(&AttemptRow<&'q str>) -> T) -> Vec<T> {
        rows.iter().map(member).collect()
    }
    query
        .bind(column(rows, |row| row.tenant_id))
        .bind(column(rows, |row| row.attempt_id))
        .bind(column(rows, |row| row.call_id))
        .bind(column(rows, |row| row.attempt_number))
        .bind(column(rows, |row| row.key_id))
        .bind(column(rows, |row| row.credential_id))
        .bind(column(rows, |row| row.provider))
        .bind(column(rows, |row| row.model_name))
        .bind(column(rows, |row| row.model))
        .bind(column(rows, |row| row.dialect))
        .bind(column(rows, |row| i64::from(row.streamed)))
        .bind(column(rows, |row| row.started_at_ms))
        .bind(column(rows, |row| row.duration_us))
        .bind(column(rows, |row| row.first_byte_us))
        .bind(column(rows, |row| row.status))
        .bind(column(rows, |row| row.outcome))
        .bind(column(rows, |row| row.usage.map(|usage| usage.input_tokens)))
        .bind(column(rows, |row| {
            row.usage.map(|usage| usage.cached_input_tokens)
        }))
        .bind(column(rows, |row| {
            row.usage.map(|usage| usage.cache_write_tokens)
        }))
        .bind(column(rows, |row| {
            row.usage.map(|usage| usage.cache_write_1h_tokens)
        }))
        .bind(column(rows, |row| row.usage.map(|usage| usage.output_tokens)))
        .bind(column(rows, |row| row.usage.map(|usage| usage.reasoning_tokens)))
        .bind(column(rows, |row| {
            row.usage.map(|usage| usage.audio_input_tokens)
        }))
        .bind(column(rows, |row| {
            row.usage.map(|usage| usage.audio_output_tokens)
        }))
        .bind(column(rows, |row| {
            row.usage.map(|usage| usage.image_output_tokens)
        }))
        .bind(column(rows, |row| row.operation))
        .bind(column(rows, |row| row.usage_source))
        .bind(column(rows, |row| row.cost_nano))
        .bind(column(rows, |row| row.price_version))
        .bind(column(rows, |row| row.reserved_tokens))
}
