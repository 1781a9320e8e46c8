//! Attempts into SQLite: many rows a statement, since each statement is a round trip to SQLite's thread, which costs more
//! than the row.
//!
//! Most of that is giving each value to SQLite, so rows that are alike but for their ids, times and counts, as a busy
//! gateway's are, give what they have in common once. Its places are all `?`: for places with numbers the driver looks up a
//! name for each of them in a list, which takes much longer than the values do.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::pool::PoolOptions;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};
use sqlx::{Sqlite, SqlitePool};

use super::{Ask, ONCE, add_sql, id, sums};
use crate::ledger::AttemptRow;
use crate::open::{SQLITE_PRAGMAS, StoreOptions};
use crate::usage::{Hour, Sums};

/// Rows that one statement takes.
const TOGETHER: usize = 32;
/// What many rows may have in common.
const COMMON: &str = "tenant_id, key_id, credential_id, provider, model_name, model, dialect, streamed, status, outcome, \
                      operation, usage_source, price_version";
/// What each has for itself.
const OWN: &str = "attempt_id, call_id, attempt_number, started_at_ms, duration_us, first_byte_us, input_tokens, \
                   cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
                   audio_input_tokens, audio_output_tokens, image_output_tokens, cost_nano, reserved_tokens";

/// What books so many rows at once.
struct Booking {
    how_many: String,
    which: String,
}

/// The values of [`COMMON`], in their order.
type Common<'q> = ([&'q str; 9], [Option<&'q str>; 2], [i64; 2]);

static ONE: LazyLock<Booking> = LazyLock::new(|| Booking::of(1));
static MANY: LazyLock<Booking> = LazyLock::new(|| Booking::of(TOGETHER));
static ALIKE: LazyLock<Booking> = LazyLock::new(|| Booking::of_alike(TOGETHER));
static ADD: LazyLock<String> = LazyLock::new(|| {
    let places = vec!["?"; width(Hour::COLUMNS) + width(Sums::COLUMNS)];
    add_sql(&format!("VALUES ({})", places.join(", ")))
});

pub(super) fn open(url: &str, options: &StoreOptions) -> Result<SqlitePool, sqlx::Error> {
    let pool = PoolOptions::<Sqlite>::new()
        .max_connections(1)
        .acquire_timeout(options.connect_timeout)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(SQLITE_PRAGMAS).execute(&mut *connection).await?;
                Ok(())
            })
        });
    Ok(pool.connect_lazy_with(url.parse::<SqliteConnectOptions>()?))
}

pub(super) async fn append(
    pool: &SqlitePool,
    rows: &[AttemptRow<&str>],
    ask: Ask,
) -> Result<Option<u64>, sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut new = HashSet::new();
    for (query, rows) in queries(rows, ask) {
        if ask == Ask::Which {
            let ids = query.fetch_all(&mut *transaction).await?;
            new.extend(ids.iter().map(id).collect::<Result<Vec<_>, _>>()?);
        } else if query.execute(&mut *transaction).await?.rows_affected() != rows {
            transaction.rollback().await?;
            return Ok(None);
        }
    }
    let (sums, count) = sums(rows, (ask == Ask::Which).then_some(new));
    for (hour, sums) in &sums {
        let query = sums.bind_to(hour.bind_to(sqlx::query(ADD.as_str())));
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some(count))
}

impl Booking {
    /// Of rows each of which gives all of its values.
    fn of(rows: usize) -> Self {
        let rows = vec![places(width(COMMON) + width(OWN)); rows].join(", ");
        Self::from(format!("INSERT INTO attempts ({COMMON}, {OWN}) VALUES {rows}"))
    }

    /// Of rows that give once what they have in common.
    fn of_alike(rows: usize) -> Self {
        let (common, own) = (places(width(COMMON)), vec![places(width(OWN)); rows].join(", "));
        Self::from(format!(
            "WITH common ({COMMON}) AS (VALUES {common}), own ({OWN}) AS (VALUES {own}) \
             INSERT INTO attempts ({COMMON}, {OWN}) SELECT {COMMON}, {OWN} FROM own CROSS JOIN common WHERE true"
        ))
    }

    fn query<'q>(&'static self, ask: Ask) -> Query<'q, Sqlite, SqliteArguments> {
        sqlx::query(match ask {
            Ask::HowMany => self.how_many.as_str(),
            Ask::Which => self.which.as_str(),
        })
    }
}

impl From<String> for Booking {
    fn from(insert: String) -> Self {
        let how_many = format!("{insert} {ONCE}");
        Self {
            which: format!("{how_many} RETURNING attempt_id"),
            how_many,
        }
    }
}

/// What books all of these, each query with how many it books.
fn queries<'q>(rows: &[AttemptRow<&'q str>], ask: Ask) -> Vec<(Query<'q, Sqlite, SqliteArguments>, u64)> {
    let mut alike = HashMap::<Common<'q>, Vec<&AttemptRow<&'q str>>>::new();
    for row in rows {
        alike.entry(common(row)).or_default().push(row);
    }
    let (mut queries, mut others) = (Vec::new(), Vec::new());
    for (common, rows) in &alike {
        let (blocks, rest) = rows.as_chunks::<TOGETHER>();
        for block in blocks {
            let query = bind_common(ALIKE.query(ask), common);
            queries.push((
                block.iter().fold(query, |query, row| bind_own(query, row)),
                TOGETHER as u64,
            ));
        }
        others.extend(rest);
    }
    let bind = |query, row: &&AttemptRow<&'q str>| bind_own(bind_common(query, &common(row)), row);
    let (blocks, rest) = others.as_chunks::<TOGETHER>();
    for block in blocks {
        queries.push((block.iter().fold(MANY.query(ask), bind), TOGETHER as u64));
    }
    queries.extend(rest.iter().map(|row| (bind(ONE.query(ask), row), 1)));
    queries
}

fn places(count: usize) -> String {
    format!("({})", vec!["?"; count].join(", "))
}

fn width(columns: &str) -> usize {
    columns.split(',').count()
}

fn common<'q>(row: &AttemptRow<&'q str>) -> Common<'q> {
    let texts = [
        row.tenant_id,
        row.key_id,
        row.provider,
        row.model_name,
        row.model,
        row.dialect,
        row.outcome,
        row.operation,
        row.usage_source,
    ];
    (
        texts,
        [row.credential_id, row.price_version],
        [i64::from(row.streamed), row.status],
    )
}

fn bind_common<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    common: &Common<'q>,
) -> Query<'q, Sqlite, SqliteArguments> {
    let (texts, [credential_id, price_version], [streamed, status]) = *common;
    let [
        tenant_id,
        key_id,
        provider,
        model_name,
        model,
        dialect,
        outcome,
        operation,
        usage_source,
    ] = texts;
    query
        .bind(tenant_id)
        .bind(key_id)
        .bind(credential_id)
        .bind(provider)
        .bind(model_name)
        .bind(model)
        .bind(dialect)
        .bind(streamed)
        .bind(status)
        .bind(outcome)
        .bind(operation)
        .bind(usage_source)
        .bind(price_version)
}

fn bind_own<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    row: &AttemptRow<&'q str>,
) -> Query<'q, Sqlite, SqliteArguments> {
    let usage = row.usage;
    query
        .bind(row.attempt_id)
        .bind(row.call_id)
        .bind(row.attempt_number)
        .bind(row.started_at_ms)
        .bind(row.duration_us)
        .bind(row.first_byte_us)
        .bind(usage.map(|usage| usage.input_tokens))
        .bind(usage.map(|usage| usage.cached_input_tokens))
        .bind(usage.map(|usage| usage.cache_write_tokens))
        .bind(usage.map(|usage| usage.cache_write_1h_tokens))
        .bind(usage.map(|usage| usage.output_tokens))
        .bind(usage.map(|usage| usage.reasoning_tokens))
        .bind(usage.map(|usage| usage.audio_input_tokens))
        .bind(usage.map(|usage| usage.audio_output_tokens))
        .bind(usage.map(|usage| usage.image_output_tokens))
        .bind(row.cost_nano)
        .bind(row.reserved_tokens)
}
