//! What the store promises, tried on SQLite and on Postgres alike.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is wrong"
)]

mod agree;
mod chance;
mod changes;
mod learning;
mod lease_crowd;
mod lease_world;
mod leases;
mod ledger;
mod limits;
mod logins;
mod lost_answers;
mod many;
mod nouns;
mod poison;
mod prices;
mod schema;
mod sealed;
mod usage;
mod world;

/// Makes of each case two tests: `sqlite::<case>` and `postgres::<case>`.
macro_rules! on_both_databases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(testkit::database::TestDatabase::sqlite()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(database) = testkit::database::TestDatabase::postgres().await {
                    super::$case(database).await;
                }
            })*
        }
    };
}

use on_both_databases;
