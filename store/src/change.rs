//! Every change goes this way: it takes the next revision, writes its rows, leaves one audit row, and is announced.
//!
//! The counter's row stays locked until the change is committed. So changes happen one after the other, and a reader
//! who sees revision 7 will never find a 6 that was committed later.

use serde_json::Value;
use sqlx::{Any, AnyConnection, Transaction};

use crate::EVERY_TENANT;
use crate::error::StoreError;
use crate::open::{Database, Store};

/// Who changes something, and when.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Such as `admin:<id of the admin key>` or `cli:<user>`. Never a secret.
    pub actor: &'a str,
    pub at_ms: i64,
}

/// What the audit row says was done.
pub(crate) struct Done<'a> {
    /// Noun and verb, such as `tenant.create`.
    pub(crate) action: &'static str,
    /// The tenant that it concerns, or `None` for every tenant.
    pub(crate) tenant_id: Option<&'a str>,
    /// The id of what was changed.
    pub(crate) subject: &'a str,
    /// Without secrets.
    pub(crate) detail: Value,
}

/// A change under way. Dropped without [`Changing::finish`], it has not happened.
pub(crate) struct Changing {
    transaction: Transaction<'static, Any>,
    revision: i64,
    database: Database,
    pool: sqlx::AnyPool,
}

/// The name under which Postgres announces changes.
pub(crate) const CHANNEL: &str = "tollgate";

impl Store {
    pub(crate) async fn begin_change(&self) -> Result<Changing, StoreError> {
        let mut transaction = self.begin_write().await?;
        let revision = sqlx::query_scalar(
            "UPDATE revision_counter SET revision = revision + 1 WHERE id = 1 RETURNING revision",
        )
        .fetch_one(&mut *transaction)
        .await?;
        Ok(Changing {
            transaction,
            revision,
            database: self.database.clone(),
            pool: self.pool.clone(),
        })
    }
}

impl Changing {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    pub(crate) async fn finish(mut self, change: &Change<'_>, done: Done<'_>) -> Result<(), StoreError> {
        let scope = done.tenant_id.unwrap_or(EVERY_TENANT);
        sqlx::query(
            "INSERT INTO revisions (scope, revision) VALUES ($1, $2) \
             ON CONFLICT (scope) DO UPDATE SET revision = excluded.revision",
        )
        .bind(scope)
        .bind(self.revision)
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query(
            "INSERT INTO audit (revision, at_ms, actor, action, scope, subject, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.revision)
        .bind(change.at_ms)
        .bind(change.actor)
        .bind(done.action)
        .bind(scope)
        .bind(done.subject)
        .bind(done.detail.to_string())
        .execute(&mut *self.transaction)
        .await?;
        self.transaction.commit().await?;
        if matches!(self.database, Database::Postgres(_)) {
            // The change has happened. An announcement that fails, or that this database does not know, only makes
            // replicas see it at their next poll.
            let _announced = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(scope)
                .execute(&self.pool)
                .await;
        }
        Ok(())
    }
}
