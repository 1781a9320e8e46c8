//! Runs of replicas: each has a number, and what an earlier one says or holds counts no more.

use std::collections::BTreeMap;

use policy::lease::{Incarnation, LeaseId};
use sqlx::{AnyConnection, Row as _};

use super::books::{Books, Lease, read_leases};
use super::text;
use crate::error::StoreError;
use crate::open::Store;

/// A run that has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    pub incarnation: Incarnation,
    /// What the database is known by until it is restored.
    pub store_epoch: i64,
    /// Its time, in milliseconds since the Unix epoch.
    pub database_ms: i64,
}

/// Leases that one transaction puts an end to; [`Store::tidy_leases`] finds the others.
pub(super) const TOGETHER: i64 = 500;

impl Store {
    /// Begins a run of a replica: what earlier ones held is lost, except for calls under way, which ended with them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_incarnation(&self, replica: &str) -> Result<Begun, StoreError> {
        self.in_time(async {
            self.find_origin().await;
            let mut transaction = self.begin_write().await?;
            let row = sqlx::query(text::BEGIN.of(&self.database))
                .bind(replica)
                .fetch_one(&mut *transaction)
                .await?;
            let (number, database_ms) = (row.try_get::<i64, _>("incarnation")?, row.try_get("seen_at_ms")?);
            let store_epoch = self.current_epoch(&mut transaction).await?;
            // There is nothing that it could have to tell.
            sqlx::query("UPDATE replicas SET epoch = $2 WHERE id = $1")
                .bind(replica)
                .bind(store_epoch)
                .execute(&mut *transaction)
                .await?;
            self.bury_runs(&mut transaction, replica, number - 1).await?;
            transaction.commit().await?;
            Ok(Begun {
                incarnation: Incarnation {
                    replica: replica.into(),
                    number,
                },
                store_epoch,
                database_ms,
            })
        })
        .await
    }

    /// Ends a run that has given back what it held. What it did not give back is lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_incarnation(&self, from: &Incarnation) -> Result<(), StoreError> {
        self.in_time(async {
            let mut transaction = self.begin_write().await?;
            let ended = sqlx::query(text::END.of(&self.database))
                .bind(&*from.replica)
                .bind(from.number)
                .execute(&mut *transaction)
                .await?;
            if ended.rows_affected() > 0 {
                self.bury_runs(&mut transaction, &from.replica, from.number)
                    .await?;
            }
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    /// Puts an end to what runs of a replica held, up to one.
    async fn bury_runs(
        &self,
        connection: &mut AnyConnection,
        replica: &str,
        last: i64,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query(text::LOCK_LEASES_OF_RUNS.of(&self.database))
            .bind(replica)
            .bind(last)
            .bind(TOGETHER)
            .fetch_all(&mut *connection)
            .await?;
        self.bury(connection, read_leases(&rows)).await
    }

    pub(super) async fn bury(
        &self,
        connection: &mut AnyConnection,
        leases: BTreeMap<LeaseId, Lease>,
    ) -> Result<(), StoreError> {
        let ids: Vec<LeaseId> = leases.keys().copied().collect();
        let mut books = Books::lock(connection, &self.database, leases, &BTreeMap::new()).await?;
        for id in ids {
            books.bury(id);
        }
        books.write(connection, &self.database).await
    }
}
