//! Sessions of the pages: who is signed in, by which gateway key. What the browser holds is known by its digest alone.

use sqlx::any::AnyRow;

use crate::error::{StoreError, unreadable};
use crate::open::Store;
use crate::row::Columns;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiSession {
    /// The keyed digest of what the browser holds.
    pub id: String,
    pub tenant_id: String,
    /// The gateway key by which it began, and with which it ends.
    pub key_id: String,
    pub created_at_ms: i64,
    pub seen_at_ms: i64,
}

const TABLE: &str = "ui_sessions";
/// Sessions of one tenant at once. The oldest make room.
const PER_TENANT_MAX: i64 = 100;

impl Store {
    /// Begins a session, and forgets those that began before `older_than_ms`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_ui_session(&self, session: &UiSession, older_than_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("DELETE FROM ui_sessions WHERE created_at_ms < $1")
            .bind(older_than_ms)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "DELETE FROM ui_sessions WHERE id IN (SELECT id FROM ui_sessions WHERE tenant_id = $1 \
             ORDER BY created_at_ms DESC, id LIMIT 1000 OFFSET $2)",
        )
        .bind(&session.tenant_id)
        .bind(PER_TENANT_MAX - 1)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO ui_sessions (id, tenant_id, key_id, created_at_ms, seen_at_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&session.id)
        .bind(&session.tenant_id)
        .bind(&session.key_id)
        .bind(session.created_at_ms)
        .bind(session.seen_at_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The session with this id.
    ///
    /// # Errors
    /// When the database does not answer, or the row makes no sense.
    pub async fn ui_session(&self, id: &str) -> Result<Option<UiSession>, StoreError> {
        let row = sqlx::query(
            "SELECT id, tenant_id, key_id, created_at_ms, seen_at_ms FROM ui_sessions WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(unreadable(TABLE, "?"))?;
        row.as_ref().map(UiSession::read).transpose()
    }

    /// Notes that a session is still in use.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn see_ui_session(&self, id: &str, at_ms: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE ui_sessions SET seen_at_ms = $1 WHERE id = $2 AND seen_at_ms < $1")
            .bind(at_ms)
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_ui_session(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM ui_sessions WHERE id = $1")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl UiSession {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        Ok(Self {
            id: columns.id(),
            tenant_id: columns.text("tenant_id")?,
            key_id: columns.text("key_id")?,
            created_at_ms: columns.number("created_at_ms")?,
            seen_at_ms: columns.number("seen_at_ms")?,
        })
    }
}
