//! Attempts into SQLite: many rows a statement, since each statement is a round trip to SQLite's thread, which costs more
//! than the row.
//!
//! Half of what SQLite then does for a row is to take over its values, texts above all: each is copied on its way. But the
//! rows of a busy gateway are mostly alike: the same tenant asks the same model with the same key. Rows that are alike
//! are told their texts together, once a statement.

use std::collections::{BTreeMap, HashSet};
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
/// What rows may have alike.
const SHARED: &str = "tenant_id, key_id, credential_id, provider, model_name, model, dialect, outcome, operation, \
                      usage_source, price_version";
/// What each has of its own.
const OWN: &str = "attempt_id, call_id, attempt_number, streamed, started_at_ms, duration_us, first_byte_us, status, \
                   input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, \
                   reasoning_tokens, audio_input_tokens, audio_output_tokens, image_output_tokens, cost_nano, \
                   reserved_tokens";

/// The values of `SHARED`.
type Shared<'a> = [Option<&'a str>; 11];

/// One way to book rows: with how many at once, and whether these are alike.
struct Booking {
    how_many: String,
    which: String,
}

static ONE: LazyLock<Booking> = LazyLock::new(|| Booking::of_any(1));
static ANY: LazyLock<Booking> = LazyLock::new(|| Booking::of_any(TOGETHER));
static ALIKE: LazyLock<Booking> = LazyLock::new(Booking::of_alike);
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
    fn of_any(rows: usize) -> Self {
        let row = format!("({})", vec!["?"; width(SHARED) + width(OWN)].join(", "));
        Self::of(&vec![row; rows])
    }

    /// Each row takes the first values, and then its own.
    fn of_alike() -> Self {
        let places = |from: usize, count: usize| (from..from + count).map(|place| format!("?{place}"));
        let (shared, own) = (width(SHARED), width(OWN));
        let rows: Vec<String> = (0..TOGETHER)
            .map(|row| {
                let row: Vec<String> = places(1, shared)
                    .chain(places(1 + shared + row * own, own))
                    .collect();
                format!("({})", row.join(", "))
            })
            .collect();
        Self::of(&rows)
    }

    fn of(rows: &[String]) -> Self {
        let how_many = format!(
            "INSERT INTO attempts ({SHARED}, {OWN}) VALUES {} {ONCE}",
            rows.join(", ")
        );
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
    let mut alike = BTreeMap::<Shared<'q>, Vec<&AttemptRow<&'q str>>>::new();
    for row in rows {
        alike.entry(shared(row)).or_default().push(row);
    }
    let mut queries = Vec::with_capacity(rows.len() / TOGETHER + 1);
    let mut others = Vec::new();
    for (shared, rows) in &alike {
        let (blocks, rest) = rows.as_chunks::<TOGETHER>();
        queries.extend(blocks.iter().map(|block| {
            let query = bind_shared(ALIKE.query(ask), shared);
            (
                block.iter().fold(query, |query, row| bind_own(query, row)),
                TOGETHER as u64,
            )
        }));
        others.extend(rest.iter().map(|row| (*shared, *row)));
    }
    let bind =
        |query, (shared, row): &(Shared<'q>, &AttemptRow<&'q str>)| bind_own(bind_shared(query, shared), row);
    let (blocks, rest) = others.as_chunks::<TOGETHER>();
    queries.extend(
        blocks
            .iter()
            .map(|block| (block.iter().fold(ANY.query(ask), bind), TOGETHER as u64)),
    );
    queries.extend(rest.iter().map(|row| (bind(ONE.query(ask), row), 1)));
    queries.into_iter()
}

fn width(columns: &str) -> usize {
    columns.split(',').count()
}

fn shared<'q>(row: &AttemptRow<&'q str>) -> Shared<'q> {
    [
        Some(row.tenant_id),
        Some(row.key_id),
        row.credential_id,
        Some(row.provider),
        Some(row.model_name),
        Some(row.model),
        Some(row.dialect),
        Some(row.outcome),
        Some(row.operation),
        Some(row.usage_source),
        row.price_version,
    ]
}

fn bind_shared<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    shared: &Shared<'q>,
) -> Query<'q, Sqlite, SqliteArguments> {
    shared.iter().fold(query, |query, text| query.bind(*text))
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
        .bind(i64::from(row.streamed))
        .bind(row.started_at_ms)
        .bind(row.duration_us)
        .bind(row.first_byte_us)
        .bind(row.status)
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
