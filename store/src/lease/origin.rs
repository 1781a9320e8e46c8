//! Which database it is: an epoch in one row, which is another one after a restore.
//!
//! A database that was restored, or a standby that took over, may not know of leases that were granted last. So it grants
//! nothing until its replicas have told what they hold ([`super::refill`]). Postgres tells itself that it is another server or
//! on another timeline, where it lets us read that; an older copy of itself is noticed by the first replica that knows of more
//! answers than it does; and whoever restores a database may say so ([`Store::renew_store_epoch`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use sqlx::{AnyConnection, Row as _};
use ulid::Ulid;

use super::text;
use crate::change::{Change, Done};
use crate::error::StoreError;
use crate::open::{Database, Store};

/// A replica that runs is seen every five seconds.
const ALIVE_MS: i64 = 10_000;

/// Whether the server tells what it is.
#[derive(Clone, Default)]
pub(crate) struct Origin(Arc<AtomicBool>);

impl Origin {
    pub(super) fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Store {
    /// Says that the database is not the one that it was: replicas have to tell it what they hold of limits.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew_store_epoch(&self, change: &Change<'_>) -> Result<i64, StoreError> {
        let mut changing = self.begin_change().await?;
        self.current_epoch(changing.connection()).await?;
        let epoch = self.change_epoch(changing.connection(), None).await?;
        let done = Done {
            action: "limit.restored",
            tenant_id: None,
            subject: "store_epoch",
            detail: json!({}),
        };
        changing.finish(change, done).await?;
        Ok(epoch)
    }

    /// The epoch as it is: a new one when the server turns out to be another than before.
    pub(super) async fn current_epoch(&self, connection: &mut AnyConnection) -> Result<i64, StoreError> {
        let origin = self.tell_origin(connection).await?;
        // It also locks the row, so that of two who find another server one makes the epoch.
        let row = sqlx::query(
            "INSERT INTO store_epoch (id, epoch, origin) VALUES (1, $1, $2) \
             ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING epoch, origin",
        )
        .bind(new_epoch())
        .bind(origin.as_deref())
        .fetch_one(&mut *connection)
        .await?;
        let (epoch, before): (i64, Option<String>) = (row.try_get("epoch")?, row.try_get("origin")?);
        let Some(origin) = origin else {
            return Ok(epoch);
        };
        if before.as_ref() == Some(&origin) {
            return Ok(epoch);
        }
        if before.is_some() {
            return self.change_epoch(connection, Some(&origin)).await;
        }
        sqlx::query("UPDATE store_epoch SET origin = $1 WHERE id = 1")
            .bind(origin)
            .execute(connection)
            .await?;
        Ok(epoch)
    }

    /// The database is not what it was: it grants nothing before it has been told what it may have forgotten. The row is
    /// locked.
    pub(super) async fn change_epoch(
        &self,
        connection: &mut AnyConnection,
        origin: Option<&str>,
    ) -> Result<i64, StoreError> {
        let epoch = new_epoch();
        sqlx::query(text::CHANGE_EPOCH.of(&self.database))
            .bind(epoch)
            .bind(origin)
            .bind(ALIVE_MS)
            .execute(connection)
            .await?;
        Ok(epoch)
    }

    async fn tell_origin(&self, connection: &mut AnyConnection) -> Result<Option<String>, StoreError> {
        if !self.origin.is_told() {
            return Ok(None);
        }
        let origin = sqlx::query_scalar(text::TELL_ORIGIN.of(&self.database))
            .fetch_one(connection)
            .await?;
        Ok(Some(origin))
    }

    /// Asked outside of any transaction: a server that does not tell would end it.
    pub(super) async fn find_origin(&self) {
        if matches!(self.database, Database::Postgres(_)) {
            let told = sqlx::query(text::TELL_ORIGIN.of(&self.database))
                .fetch_one(&self.pool)
                .await;
            if told.is_ok() {
                self.origin.0.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Never 0, and as unlikely to come twice as any id.
fn new_epoch() -> i64 {
    let bits = Ulid::generate().random() & u128::from(u64::MAX >> 1);
    i64::try_from(bits).unwrap_or(1).max(1)
}
