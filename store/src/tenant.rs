//! Tenants: who owns keys, credentials and routes.

use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::change::{Change, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::name;
use crate::open::{Database, Store};
use crate::row::Columns;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: String,
    pub name: String,
    /// A disabled tenant's calls are refused; nothing of it is lost.
    pub disabled: bool,
    /// A strict tenant's calls are refused where a part of them would be left out.
    pub strict: bool,
    pub created_at_ms: i64,
}

/// A tenant to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewTenant<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub strict: bool,
}

impl Store {
    /// Makes a tenant together with its data key.
    ///
    /// # Errors
    /// When the name is none or is taken, or the master key at hand is not this database's.
    pub async fn create_tenant(
        &self,
        change: &Change<'_>,
        new: &NewTenant<'_>,
    ) -> Result<Tenant, StoreError> {
        name::check("the tenant's name", new.name)?;
        let mut changing = self.begin_change().await?;
        sqlx::query(
            "INSERT INTO tenants (id, name, disabled, strict, created_at_ms) VALUES ($1, $2, 0, $3, $4)",
        )
        .bind(new.id)
        .bind(new.name)
        .bind(i64::from(new.strict))
        .bind(change.at_ms)
        .execute(changing.connection())
        .await
        .map_err(taken(|| format!("a tenant `{}`", new.name)))?;
        self.make_data_key(changing.connection(), new.id, change.at_ms)
            .await?;
        let done = Done {
            action: "tenant.create",
            tenant_id: Some(new.id),
            subject: new.id,
            detail: json!({ "name": new.name, "strict": new.strict }),
        };
        changing.finish(change, done).await?;
        Ok(Tenant {
            id: new.id.to_owned(),
            name: new.name.to_owned(),
            disabled: false,
            strict: new.strict,
            created_at_ms: change.at_ms,
        })
    }

    /// The tenant with this id or, when there is none, with this name.
    ///
    /// # Errors
    /// When the database does not answer, or the row makes no sense.
    pub async fn tenant_by_name_or_id(&self, name_or_id: &str) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query(
            "SELECT id, name, disabled, strict, created_at_ms FROM tenants WHERE id = $1 OR name = $1 \
             ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1",
        )
        .bind(name_or_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(unreadable("tenants", name_or_id))?;
        row.as_ref().map(Tenant::read).transpose()
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let rows = sqlx::query("SELECT id, name, disabled, strict, created_at_ms FROM tenants ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable("tenants", "?"))?;
        rows.iter().map(Tenant::read).collect()
    }

    /// Whether there is neither a tenant nor an admin key yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        for first in [
            "SELECT id FROM tenants LIMIT 1",
            "SELECT id FROM admin_keys LIMIT 1",
        ] {
            if sqlx::query(first).fetch_optional(&self.pool).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Refuses a tenant's calls from now on, or serves them again.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub async fn set_tenant_disabled(
        &self,
        change: &Change<'_>,
        id: &str,
        disabled: bool,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query("UPDATE tenants SET disabled = $1 WHERE id = $2")
            .bind(i64::from(disabled))
            .bind(id)
            .execute(changing.connection())
            .await?;
        if changed.rows_affected() == 0 {
            return Err(no_tenant(id));
        }
        let done = Done {
            action: "tenant.set_disabled",
            tenant_id: Some(id),
            subject: id,
            detail: json!({ "disabled": disabled }),
        };
        changing.finish(change, done).await
    }

    /// Refuses from now on what would be lost of a tenant's calls, or leaves it out again.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub async fn set_tenant_strict(
        &self,
        change: &Change<'_>,
        id: &str,
        strict: bool,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query("UPDATE tenants SET strict = $1 WHERE id = $2")
            .bind(i64::from(strict))
            .bind(id)
            .execute(changing.connection())
            .await?;
        if changed.rows_affected() == 0 {
            return Err(no_tenant(id));
        }
        let done = Done {
            action: "tenant.set_strict",
            tenant_id: Some(id),
            subject: id,
            detail: json!({ "strict": strict }),
        };
        changing.finish(change, done).await
    }

    /// Removes a tenant with its data key, and with it for ever what was sealed under that, also in backups of the
    /// other rows. Ledger and audit rows stay.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub async fn remove_tenant(&self, change: &Change<'_>, id: &str) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        // Keys, their secrets and credentials go with the tenant's row.
        let removed = sqlx::query("DELETE FROM tenants WHERE id = $1")
            .bind(id)
            .execute(changing.connection())
            .await?;
        if removed.rows_affected() == 0 {
            return Err(no_tenant(id));
        }
        for statement in [
            "DELETE FROM data_keys WHERE scope = $1",
            "DELETE FROM admin_keys WHERE scope = $1",
            "DELETE FROM routes WHERE scope = $1",
            "DELETE FROM prices WHERE scope = $1",
        ] {
            sqlx::query(statement)
                .bind(id)
                .execute(changing.connection())
                .await?;
        }
        let done = Done {
            action: "tenant.remove",
            tenant_id: Some(id),
            subject: id,
            detail: json!({}),
        };
        changing.finish(change, done).await?;
        self.empty_write_ahead_log().await;
        Ok(())
    }

    /// SQLite's log still holds the pages as they were. When a reader is in the way, the next checkpoint does it.
    async fn empty_write_ahead_log(&self) {
        if matches!(self.database, Database::Sqlite) {
            let _emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&self.pool)
                .await;
        }
    }
}

impl Tenant {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of("tenants", row)?;
        Ok(Self {
            id: columns.id(),
            name: columns.text("name")?,
            disabled: columns.flag("disabled")?,
            strict: columns.flag("strict")?,
            created_at_ms: columns.number("created_at_ms")?,
        })
    }
}

/// Refuses when there is no such tenant.
pub(crate) async fn require(connection: &mut AnyConnection, id: &str) -> Result<(), StoreError> {
    let found = sqlx::query("SELECT id FROM tenants WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    found.map(|_| ()).ok_or_else(|| no_tenant(id))
}

fn no_tenant(id: &str) -> StoreError {
    StoreError::not_found(format!("tenant `{id}`"))
}
