//! Who changed what: one row for each change, written with it.

use sqlx::any::AnyRow;

use crate::EVERY_TENANT;
use crate::error::{StoreError, unreadable};
use crate::open::Store;
use crate::row::Columns;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// The number of the change.
    pub revision: i64,
    pub at_ms: i64,
    pub actor: String,
    /// Noun and verb, such as `tenant.create`.
    pub action: String,
    /// `None` for what concerns every tenant.
    pub tenant_id: Option<String>,
    pub subject: String,
    /// A JSON object without secrets.
    pub detail: String,
}

impl Store {
    /// Changes since an instant, the newest first, `limit` at most: a tenant's, or all.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_audit(
        &self,
        tenant_id: Option<&str>,
        since_at_ms: i64,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT CAST(revision AS TEXT) AS id, revision, at_ms, actor, action, scope, subject, detail FROM audit \
             WHERE (CAST($1 AS TEXT) IS NULL OR scope = $1) AND at_ms >= $2 ORDER BY revision DESC LIMIT $3",
        )
        .bind(tenant_id)
        .bind(since_at_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable("audit", "?"))?;
        rows.iter().map(AuditRow::read).collect()
    }
}

impl AuditRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of("audit", row)?;
        Ok(Self {
            revision: columns.number("revision")?,
            at_ms: columns.number("at_ms")?,
            actor: columns.text("actor")?,
            action: columns.text("action")?,
            tenant_id: Some(columns.text("scope")?).filter(|scope| scope != EVERY_TENANT),
            subject: columns.text("subject")?,
            detail: columns.text("detail")?,
        })
    }
}
