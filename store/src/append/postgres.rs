//! Attempts into Postgres: each column is one array, and each batch one statement.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::{PgPool, Postgres};

use super::{Ask, ONCE, add_sql, id, sums};
use crate::ledger::AttemptRow;
use crate::open::{StoreOptions, prepare_postgres};
use crate::presence::Presence;
use crate::usage::{Hour, Sums};

const COLUMNS: &str = "tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, model_name, model, \
                       dialect, streamed, started_at_ms, duration_us, first_byte_us, status, outcome, input_tokens, \
                       cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
                       audio_input_tokens, audio_output_tokens, image_output_tokens, operation, usage_source, cost_nano, \
                       price_version, reserved_tokens";

/// Asking which rows are new, and how many.
static BOOK: LazyLock<[String; 2]> = LazyLock::new(|| {
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
/// Each column is one array, here too: rows of many tenants are sums of many hours.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let numbers = Sums::COLUMNS.split(',').map(|_| "BIGINT");
    let types = Hour::COLUMNS
        .split(", ")
        .map(|column| if column == "hour" { "BIGINT" } else { "TEXT" })
        .chain(numbers);
    let arrays: Vec<String> = (1..)
        .zip(types)
        .map(|(place, kind)| format!("${place}::{kind}[]"))
        .collect();
    add_sql(&format!("SELECT * FROM UNNEST({})", arrays.join(", ")))
});

pub(super) fn open(url: &str, options: &StoreOptions, presence: &Presence) -> Result<PgPool, sqlx::Error> {
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
        .after_connect(move |connection, _| Box::pin(prepare_postgres::<Postgres>(connection, timeout_ms)));
    Ok(pool.connect_lazy_with(url.parse::<PgConnectOptions>()?))
}

pub(super) async fn append(
    pool: &PgPool,
    rows: &[AttemptRow<&str>],
    ask: Ask,
) -> Result<Option<u64>, sqlx::Error> {
    let [which, how_many] = &*BOOK;
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
    if !sums.is_empty() {
        // In the order of their keys, so that two replicas never wait for each other.
        bind_sums(sqlx::query(ADD.as_str()), &sums)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(Some(count))
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

fn bind_sums<'q>(
    query: Query<'q, Postgres, PgArguments>,
    sums: &BTreeMap<Hour<'q>, Sums>,
) -> Query<'q, Postgres, PgArguments> {
    fn column<'q, T>(sums: &BTreeMap<Hour<'q>, Sums>, member: impl Fn(&Hour<'q>) -> T) -> Vec<T> {
        sums.keys().map(member).collect()
    }
    let query = query
        .bind(column(sums, |hour| hour.tenant_id))
        .bind(column(sums, |hour| hour.hour))
        .bind(column(sums, |hour| hour.key_id))
        .bind(column(sums, |hour| hour.credential_id))
        .bind(column(sums, |hour| hour.provider))
        .bind(column(sums, |hour| hour.model))
        .bind(column(sums, |hour| hour.operation));
    Sums::columns(sums.values()).into_iter().fold(query, Query::bind)
}
