//! How long usage takes when the ledger is long. Not a part of the suite, since the rows take minutes and gigabytes:
//!
//! ```sh
//! TOLLGATE_TEST_ROWS=50000000 cargo test --release -p store --test contract many -- --ignored --nocapture
//! ```
//!
//! The rows are as dense as fifty million in thirty days: seventy thousand an hour, of a hundred tenants with five keys
//! and four models each. Fewer rows are fewer days of the same, so they take as long to answer for.

use std::time::{Duration, Instant};

use store::{UsageBy, UsageQuery};
use testkit::database::TestDatabase;

use crate::world::{NOW_MS, World};

const ROWS_A_DAY: i64 = 50_000_000 / 30;
const DAY_MS: i64 = 86_400_000;

#[tokio::test]
#[ignore = "it takes minutes, and gigabytes"]
async fn usage_of_a_day_is_told_at_once_however_many_rows_there_are() {
    let rows = std::env::var("TOLLGATE_TEST_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok());
    let rows: i64 = rows.unwrap_or(5_000_000);
    let world = World::new(TestDatabase::sqlite()).await;
    let begun = Instant::now();
    let pool = sqlx::AnyPool::connect(world.database.url()).await.unwrap();
    // An id is a ULID of its time: ten letters, five bits each.
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1), \
         times AS (SELECT n, $2 - CAST(($1 - n) * 86400000.0 / $3 AS INTEGER) AS t FROM numbers), \
         ids AS (SELECT n, t, \
         (SELECT GROUP_CONCAT(SUBSTR('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((t >> bits.value) & 31), 1), '') \
          FROM JSON_EACH('[45,40,35,30,25,20,15,10,5,0]') AS bits) || PRINTF('%016d', n) AS id FROM times) \
         INSERT INTO attempts (tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, \
         model_name, model, dialect, streamed, started_at_ms, duration_us, status, outcome, input_tokens, \
         cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, audio_input_tokens, \
         audio_output_tokens, operation, usage_source, cost_nano) \
         SELECT 'ten-' || (n % 100), id || '-1', id, 1, 'key-' || (n % 500), 'cred-' || (n % 100), 'openai', 'fast', \
         'model-' || (n / 500 % 4), 'openai_chat', 0, t, 1000, 200, 'ok', 100, 0, 0, 20, 0, 0, 0, 'chat', 'provider', 1 \
         FROM ids",
    )
    .bind(rows)
    .bind(NOW_MS)
    .bind(ROWS_A_DAY)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO usage_hours SELECT tenant_id, started_at_ms / 3600000, key_id, credential_id, provider, model, \
         operation, COUNT(*), COUNT(*), 0, 0, 0, SUM(input_tokens), 0, 0, SUM(output_tokens), 0, 0, 0, SUM(cost_nano), 0, 0 \
         FROM attempts GROUP BY 1, 2, 3, 4, 5, 6, 7",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    println!("{rows} rows made in {:?}", begun.elapsed());
    for by in [UsageBy::Model, UsageBy::Key, UsageBy::Tenant] {
        let mut took = Vec::new();
        for minutes in [1, 20, 40, 59] {
            let query = UsageQuery {
                tenant_id: None,
                since_at_ms: NOW_MS - DAY_MS + minutes * 60_000,
                by,
            };
            let begun = Instant::now();
            let lines = world.store.usage(&query).await.unwrap();
            took.push(begun.elapsed());
            let counted: i64 = lines.iter().map(|line| line.attempts).sum();
            let expected = (DAY_MS - minutes * 60_000) * ROWS_A_DAY / DAY_MS;
            assert!(
                (counted - expected.min(rows)).abs() < 10,
                "{counted} of {expected}"
            );
        }
        println!("{by:?}: {took:?}");
        assert!(took.iter().all(|took| *took < Duration::from_millis(500)));
    }
}
