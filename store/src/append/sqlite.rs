//! Attempts into SQLite: many rows a statement, since each statement is a round trip to SQLite's thread, which costs more
//! than the row.
//!
//! Its places are all `?`. Places with numbers, by which rows that are alike could share their texts, make the driver look up
//! a name for each of them in a list, which takes much longer than the texts do.

use std::collections::HashSet;
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
const COLUMNS: &str = "tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, model_name, model, \
                       dialect, streamed, started_at_ms, duration_us, first_byte_us, status, outcome, input_tokens, \
                       cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
                       audio_input_tokens, audio_output_tokens, image_output_tokens, operation, usage_source, cost_nano, \
                       price_version, reserved_tokens";

/// What books so many rows at once.
struct Booking {
    how_many: String,
    which: String,
}

static ONE: LazyLock<Booking> = LazyLock::new(|| Booking::of(1));
static MANY: LazyLock<Booking> = LazyLock::new(|| Booking::of(TOGETHER));
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
    fn of(rows: usize) -> Self {
        let row = format!("({})", vec!["?"; width(COLUMNS)].join(", "));
        let rows = vec![row; rows].join(", ");
        let how_many = format!("INSERT INTO attempts ({COLUMNS}) VALUES {rows} {ONCE}");
        Self {
            which: format!("{how_many} RETURNING attempt_id"),
            how_many,
        }
    }

    fn query<'q>(&'static self, ask: Ask) -> Query<'q, Sqlite, SqliteArguments> {
        sqlx::query(match ask {
            Ask::HowMany => self.how_many.as_str(),
            Ask::Which => self.which.as_str(),
        })
    }
}

/// What books all of these, each query with how many it books.
fn queries<'q>(
    rows: &[AttemptRow<&'q str>],
    ask: Ask,
) -> impl Iterator<Item = (Query<'q, Sqlite, SqliteArguments>, u64)> {
    let (blocks, rest) = rows.as_chunks::<TOGETHER>();
    let blocks = blocks.iter().map(move |block| {
        let query = block.iter().fold(MANY.query(ask), bind);
        (query, TOGETHER as u64)
    });
    blocks.chain(rest.iter().map(move |row| (bind(ONE.query(ask), row), 1)))
}

fn width(columns: &str) -> usize {
    columns.split(',').count()
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
