//! How long usage takes when the ledger is long, and whether what is shipped then takes longer. Not a part of the suite,
//! since the rows take minutes and gigabytes: on Postgres about 400 bytes each.
//!
//! ```sh
//! TOLLGATE_TEST_ROWS=50000000 cargo test --release -p store --test contract many -- --ignored --nocapture
//! ```
//!
//! The rows are as dense as fifty million in thirty days: seventy thousand an hour, of a hundred tenants with five keys
//! and four models each. Fewer rows are fewer days of the same, so they take as long to answer for.

use std::time::{Duration, Instant};

use store::{AttemptRow, UsageBy, UsageQuery};
use testkit::database::TestDatabase;

use crate::ledger::attempt;
use crate::world::{NOW_MS, World};

const ROWS_A_DAY: i64 = 50_000_000 / 30;
const DAY_MS: i64 = 86_400_000;
const ANSWERED: Duration = Duration::from_millis(100);
/// A machine that does other things too is asked so often; it is the least that counts.
const TIMES: usize = 5;
/// Rows are made so many at a time.
const TOGETHER: i64 = 500_000;
/// Rows that are shipped in one batch, and batches that are.
const BATCH: usize = 1_000;
const BATCHES: usize = 30;
/// A longer table has deeper indexes, whose pages are not all in memory.
const SLOWER_AT_MOST: f64 = 2.0;

/// An id is a ULID of its time: ten letters, five bits each.
const SQLITE_ROWS: &str = "WITH RECURSIVE numbers (n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2), \
     times AS (SELECT n, $3 - CAST(($4 - n) * 86400000.0 / $5 AS INTEGER) AS t FROM numbers), \
     ids AS (SELECT n, t, \
     (SELECT GROUP_CONCAT(SUBSTR('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((t >> bits.value) & 31), 1), '') \
      FROM JSON_EACH('[45,40,35,30,25,20,15,10,5,0]') AS bits) || PRINTF('%016d', n) AS id FROM times) ";
const POSTGRES_ROWS: &str = "WITH times AS (SELECT n, CAST($3 AS BIGINT) \
         - CAST((CAST($4 AS BIGINT) - n) * 86400000.0 / CAST($5 AS BIGINT) AS BIGINT) AS t \
         FROM generate_series(CAST($1 AS BIGINT), CAST($2 AS BIGINT)) AS n), \
     ids AS (SELECT n, t, \
     (SELECT STRING_AGG(SUBSTR('0123456789ABCDEFGHJKMNPQRSTVWXYZ', CAST(1 + ((t >> bits) & 31) AS INT), 1), '' \
          ORDER BY bits DESC) \
      FROM UNNEST(ARRAY[45,40,35,30,25,20,15,10,5,0]) AS bits) || LPAD(CAST(n AS TEXT), 16, '0') AS id FROM times) ";
const INSERT: &str = "INSERT INTO attempts (tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, \
     model_name, model, dialect, streamed, started_at_ms, duration_us, status, outcome, input_tokens, \
     cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, audio_input_tokens, \
     audio_output_tokens, operation, usage_source, cost_nano) \
     SELECT 'ten-' || (n % 100), id || '-1', id, 1, 'key-' || (n % 500), 'cred-' || (n % 100), 'openai', 'fast', \
     'model-' || (n / 500 % 4), 'openai_chat', 0, t, 1000, 200, 'ok', 100, 0, 0, 20, 0, 0, 0, 'chat', 'provider', 1 \
     FROM ids";
/// What the rows come to, told by what they are made from.
const SUMS: &str = "INSERT INTO usage_hours SELECT 'ten-' || (n % 100), t / 3600000, 'key-' || (n % 500), 'cred-' || (n % 100), \
     'openai', 'model-' || (n / 500 % 4), 'chat', COUNT(*), COUNT(*), 0, 0, 0, 100 * COUNT(*), 0, 0, 20 * COUNT(*), 0, 0, 0, \
     COUNT(*), 0, 0 FROM times GROUP BY 1, 2, 3, 4, 5, 6, 7 \
     ON CONFLICT (tenant_id, hour, key_id, credential_id, provider, model, operation) DO UPDATE SET \
     calls = usage_hours.calls + excluded.calls, attempts = usage_hours.attempts + excluded.attempts, \
     input_tokens = usage_hours.input_tokens + excluded.input_tokens, \
     output_tokens = usage_hours.output_tokens + excluded.output_tokens, \
     cost_nano = usage_hours.cost_nano + excluded.cost_nano";

#[tokio::test]
#[ignore = "it takes minutes, and gigabytes"]
async fn usage_of_a_day_is_told_at_once_however_many_rows_there_are() {
    told_at_once(TestDatabase::sqlite()).await;
}

#[tokio::test]
#[ignore = "it takes minutes, and gigabytes"]
async fn usage_of_a_day_is_told_at_once_on_postgres_too() {
    if let Some(database) = TestDatabase::postgres().await {
        told_at_once(database).await;
    }
}

#[expect(clippy::print_stdout, reason = "it is run by people, on a terminal")]
async fn told_at_once(database: TestDatabase) {
    let rows = std::env::var("TOLLGATE_TEST_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok());
    let rows: i64 = rows.unwrap_or(5_000_000);
    let world = World::new(database).await;
    let before = shipped(&world, "BEFORE").await;
    let begun = Instant::now();
    make(&world, rows).await;
    println!("{rows} rows made in {:?}", begun.elapsed());
    let mut slowest = Duration::ZERO;
    for by in [UsageBy::Model, UsageBy::Key, UsageBy::Tenant] {
        let mut took = Vec::new();
        for minutes in [1, 29, 31, 59] {
            let query = UsageQuery {
                tenant_id: None,
                since_at_ms: NOW_MS - DAY_MS + minutes * 60_000,
                by,
            };
            let mut least = Duration::MAX;
            for _ in 0..TIMES {
                let begun = Instant::now();
                let lines = world.store.usage(&query).await.unwrap();
                least = least.min(begun.elapsed());
                let counted: i64 = lines.iter().map(|line| line.attempts).sum();
                let expected = (DAY_MS - minutes * 60_000) * ROWS_A_DAY / DAY_MS;
                assert!(
                    (counted - expected.min(rows)).abs() < 10,
                    "{counted} of {expected}"
                );
            }
            took.push(least);
        }
        println!("{by:?}: {took:?}");
        slowest = slowest.max(took.into_iter().max().unwrap());
    }
    let after = shipped(&world, "AFTER0").await;
    println!("a batch of {BATCH} was shipped in {before:?} before, and in {after:?} now");
    assert!(slowest < ANSWERED, "{slowest:?}");
    assert!(after.as_secs_f64() < before.as_secs_f64() * SLOWER_AT_MOST);
}

async fn make(world: &World, rows: i64) {
    let url = world.database.url();
    let pool = sqlx::AnyPool::connect(url).await.unwrap();
    let of_database = if world.database.is_sqlite() {
        SQLITE_ROWS
    } else {
        POSTGRES_ROWS
    };
    let statements = [INSERT, SUMS].map(|statement| {
        if world.database.is_sqlite() {
            return format!("{of_database}{statement}");
        }
        let (into, select) = statement.split_once(" SELECT ").unwrap();
        format!("{into} {of_database} SELECT {select}")
    });
    let mut first = 1;
    while first <= rows {
        let last = (first + TOGETHER - 1).min(rows);
        for statement in &statements {
            sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
                .bind(first)
                .bind(last)
                .bind(NOW_MS)
                .bind(rows)
                .bind(ROWS_A_DAY)
                .execute(&pool)
                .await
                .unwrap();
        }
        first = last + 1;
    }
    if !world.database.is_sqlite() {
        sqlx::query("ANALYZE").execute(&pool).await.unwrap();
    }
    pool.close().await;
}

/// How long a batch of new rows takes: the median of some.
async fn shipped(world: &World, name: &str) -> Duration {
    let mut took = Vec::with_capacity(BATCHES);
    for batch in 0..BATCHES {
        let rows: Vec<AttemptRow> = (0..BATCH)
            .map(|row| AttemptRow {
                // Not of the day that is asked for.
                started_at_ms: NOW_MS - 40 * DAY_MS,
                ..attempt(&format!("01ARZ3NDEK{name}{:0>10}", batch * BATCH + row), 1)
            })
            .collect();
        let begun = Instant::now();
        world.store.append_attempts(&rows).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[BATCHES / 2]
}
