//! What is done about leases from time to time: an end is put to those whose holder is gone, and what is long over is
//! forgotten, but for its sums.

use std::collections::BTreeMap;

use policy::lease::LeaseId;

use super::begin::TOGETHER;
use super::books::{Books, read_leases};
use super::text;
use crate::error::StoreError;
use crate::open::Store;

/// What became of leases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Their holder is gone.
    pub buried: u64,
    /// Only their sums are kept.
    pub forgotten: u64,
    /// Windows of which nothing is kept.
    pub windows: u64,
}

impl Tidied {
    /// Whether there may be more to be done at once: each part is bounded.
    pub fn may_go_on(&self) -> bool {
        [self.buried, self.forgotten, self.windows]
            .iter()
            .any(|count| *count >= TOGETHER.unsigned_abs())
    }
}

const MINUTE_MS: i64 = 60_000;
/// A call lasts an hour at most, and a replica that is cut off stops letting calls begin by a limit on how many are under
/// way five minutes later: after this, none is under way.
const GONE_MS: i64 = 70 * MINUTE_MS;
/// A question is asked again within seconds.
const ANSWERED_MS: i64 = 10 * MINUTE_MS;
const REPLICA_KEPT_MS: i64 = 30 * 24 * 60 * MINUTE_MS;

impl Store {
    /// Puts things in order, a bounded part of them at a time. Any replica may do it, at any time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tidy_leases(&self) -> Result<Tidied, StoreError> {
        let ended = async {
            sqlx::query(text::END_THE_UNSEEN.of(&self.database))
                .bind(GONE_MS)
                .execute(&self.pool)
                .await?;
            Ok(())
        };
        self.in_time(ended).await?;
        let buried = self.in_time(self.bury_the_dead()).await?;
        let forgotten = self.in_time(self.forget_leases()).await?;
        let windows = self.in_time(self.forget_windows()).await?;
        Ok(Tidied {
            buried,
            forgotten,
            windows,
        })
    }

    async fn bury_the_dead(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin_write().await?;
        let rows = sqlx::query(text::LOCK_LEASES_OF_THE_DEAD.of(&self.database))
            .bind(GONE_MS)
            .bind(TOGETHER)
            .fetch_all(&mut *transaction)
            .await?;
        self.bury(&mut transaction, read_leases(&rows)).await?;
        transaction.commit().await?;
        Ok(rows.len() as u64)
    }

    async fn forget_leases(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin_write().await?;
        let rows = sqlx::query(text::LOCK_LEASES_DONE_WITH.of(&self.database))
            .bind(ANSWERED_MS)
            .bind(TOGETHER)
            .fetch_all(&mut *transaction)
            .await?;
        let leases = read_leases(&rows);
        let ids: Vec<LeaseId> = leases.keys().copied().collect();
        let mut books = Books::lock(&mut transaction, &self.database, leases, &BTreeMap::new()).await?;
        for id in ids {
            books.forget(id);
        }
        books.write(&mut transaction, &self.database).await?;
        transaction.commit().await?;
        Ok(rows.len() as u64)
    }

    async fn forget_windows(&self) -> Result<u64, StoreError> {
        let forgotten = sqlx::query(text::FORGET_COUNTERS.of(&self.database))
            .bind(TOGETHER)
            .execute(&self.pool)
            .await?;
        sqlx::query(text::FORGET_REPLICAS.of(&self.database))
            .bind(REPLICA_KEPT_MS)
            .execute(&self.pool)
            .await?;
        Ok(forgotten.rows_affected())
    }
}
