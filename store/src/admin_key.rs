//! Admin keys: what an operator or a tenant's administrator shows to the admin API.

use serde_json::json;
use sqlx::any::AnyRow;

use crate::EVERY_TENANT;
use crate::change::{Change, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::name;
use crate::open::Store;
use crate::row::Columns;
use crate::tenant;

/// What an admin key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdminRole {
    /// Everything.
    Operator,
    /// Everything inside one tenant.
    TenantAdmin,
}

/// An admin key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKey {
    pub id: String,
    pub name: String,
    pub role: AdminRole,
    /// The tenant of a tenant's administrator; an operator has none.
    pub tenant_id: Option<String>,
    pub created_at_ms: i64,
    pub revoked_at_ms: Option<i64>,
}

/// An admin key with the digest of its secret, by which a presented one is checked.
#[derive(Debug, Clone)]
pub struct AdminKeyBundle {
    pub key: AdminKey,
    pub digest: Vec<u8>,
}

/// An admin key to be made: an operator's, or with a tenant that tenant's administrator's.
#[derive(Debug, Clone, Copy)]
pub struct NewAdminKey<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub tenant_id: Option<&'a str>,
}

const TABLE: &str = "admin_keys";

impl AdminRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::TenantAdmin => "tenant_admin",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Operator, Self::TenantAdmin]
            .into_iter()
            .find(|role| role.as_str() == word)
    }

    fn of(tenant_id: Option<&str>) -> Self {
        match tenant_id {
            None => Self::Operator,
            Some(_) => Self::TenantAdmin,
        }
    }
}

impl Store {
    /// Makes a key whose secret has this digest (see [`Store::digest_key`]).
    ///
    /// # Errors
    /// When the name is none or is taken, or there is no such tenant.
    pub async fn create_admin_key(
        &self,
        change: &Change<'_>,
        new: &NewAdminKey<'_>,
        digest: &[u8],
    ) -> Result<AdminKey, StoreError> {
        name::check("the admin key's name", new.name)?;
        let role = AdminRole::of(new.tenant_id);
        let mut changing = self.begin_change().await?;
        if let Some(tenant_id) = new.tenant_id {
            tenant::require(changing.connection(), tenant_id).await?;
        }
        sqlx::query(
            "INSERT INTO admin_keys (id, scope, name, role, digest, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.id)
        .bind(new.tenant_id.unwrap_or(EVERY_TENANT))
        .bind(new.name)
        .bind(role.as_str())
        .bind(digest)
        .bind(change.at_ms)
        .execute(changing.connection())
        .await
        .map_err(taken(|| format!("an admin key `{}`", new.name)))?;
        let done = Done {
            action: "admin_key.create",
            tenant_id: new.tenant_id,
            subject: new.id,
            detail: json!({ "name": new.name, "role": role.as_str() }),
        };
        changing.finish(change, done).await?;
        Ok(AdminKey {
            id: new.id.to_owned(),
            name: new.name.to_owned(),
            role,
            tenant_id: new.tenant_id.map(str::to_owned),
            created_at_ms: change.at_ms,
            revoked_at_ms: None,
        })
    }

    /// Revokes a key: an operator's when no tenant is given, that tenant's otherwise.
    ///
    /// # Errors
    /// When there is no such key, or it is revoked already.
    pub async fn revoke_admin_key(
        &self,
        change: &Change<'_>,
        tenant_id: Option<&str>,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query(
            "UPDATE admin_keys SET revoked_at_ms = $1 WHERE scope = $2 AND id = $3 AND revoked_at_ms IS NULL",
        )
        .bind(change.at_ms)
        .bind(tenant_id.unwrap_or(EVERY_TENANT))
        .bind(id)
        .execute(changing.connection())
        .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::not_found(format!("live admin key `{id}`")));
        }
        let done = Done {
            action: "admin_key.revoke",
            tenant_id,
            subject: id,
            detail: json!({}),
        };
        changing.finish(change, done).await
    }

    /// Admin keys, revoked ones too, by name: a tenant's, or all.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_admin_keys(&self, tenant_id: Option<&str>) -> Result<Vec<AdminKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, scope, name, role, created_at_ms, revoked_at_ms FROM admin_keys \
             WHERE (CAST($1 AS TEXT) IS NULL OR scope = $1) ORDER BY scope, name, id",
        )
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, "?"))?;
        rows.iter().map(AdminKey::read).collect()
    }

    /// The key with this id, revoked or not, with its digest.
    ///
    /// # Errors
    /// When the database does not answer, or the row makes no sense.
    pub async fn admin_key_by_id(&self, id: &str) -> Result<Option<AdminKeyBundle>, StoreError> {
        let row = sqlx::query(
            "SELECT id, scope, name, role, digest, created_at_ms, revoked_at_ms FROM admin_keys WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(unreadable(TABLE, id))?;
        row.map(|row| {
            Ok(AdminKeyBundle {
                key: AdminKey::read(&row)?,
                digest: Columns::of(TABLE, &row)?.blob("digest")?,
            })
        })
        .transpose()
    }
}

impl AdminKey {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        let role = columns.word("role", AdminRole::read)?;
        let tenant_id = Some(columns.text("scope")?).filter(|scope| scope != EVERY_TENANT);
        // A role that does not fit the tenant would be a wider one than was given.
        if role != AdminRole::of(tenant_id.as_deref()) {
            return Err(columns.poison("role and tenant do not fit"));
        }
        Ok(Self {
            id: columns.id(),
            name: columns.text("name")?,
            role,
            tenant_id,
            created_at_ms: columns.number("created_at_ms")?,
            revoked_at_ms: columns.number_or_null("revoked_at_ms")?,
        })
    }
}
