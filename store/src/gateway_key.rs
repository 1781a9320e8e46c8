//! Gateway keys. What is kept of a secret is its keyed digest.

use policy::ModelAllow;
use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::change::{Change, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::name;
use crate::open::Store;
use crate::row::Columns;
use crate::tenant;

/// A gateway key, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayKey {
    pub id: String,
    pub tenant_id: String,
    pub name: String,
    /// The allow-list as it was written; `None` allows every model name.
    pub models: Option<String>,
    pub created_at_ms: i64,
    pub rotated_at_ms: Option<i64>,
    pub expires_at_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
}

/// A gateway key to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewGatewayKey<'a> {
    pub id: &'a str,
    pub tenant_id: &'a str,
    pub name: &'a str,
    pub models: Option<&'a str>,
    pub expires_at_ms: Option<i64>,
}

const TABLE: &str = "gateway_keys";

impl Store {
    /// Makes a key whose secret has this digest (see [`Store::digest_key`]).
    ///
    /// # Errors
    /// When the name or the allow-list is none, the name is taken, or there is no such tenant.
    pub async fn create_key(
        &self,
        change: &Change<'_>,
        new: &NewGatewayKey<'_>,
        digest: &[u8],
    ) -> Result<GatewayKey, StoreError> {
        name::check("the key's name", new.name)?;
        check_models(new.models)?;
        let mut changing = self.begin_change().await?;
        tenant::require(changing.connection(), new.tenant_id).await?;
        sqlx::query(
            "INSERT INTO gateway_keys (tenant_id, id, name, models, created_at_ms, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.tenant_id)
        .bind(new.id)
        .bind(new.name)
        .bind(new.models)
        .bind(change.at_ms)
        .bind(new.expires_at_ms)
        .execute(changing.connection())
        .await
        .map_err(taken(|| format!("a gateway key `{}`", new.name)))?;
        add_secret(changing.connection(), new.tenant_id, new.id, digest).await?;
        let done = Done {
            action: "key.create",
            tenant_id: Some(new.tenant_id),
            subject: new.id,
            detail: json!({ "name": new.name, "models": new.models, "expires_at_ms": new.expires_at_ms }),
        };
        changing.finish(change, done).await?;
        Ok(GatewayKey {
            id: new.id.to_owned(),
            tenant_id: new.tenant_id.to_owned(),
            name: new.name.to_owned(),
            models: new.models.map(str::to_owned),
            created_at_ms: change.at_ms,
            rotated_at_ms: None,
            expires_at_ms: new.expires_at_ms,
            revoked_at_ms: None,
        })
    }

    /// Gives a key a new secret. The one that it had opens until `grace_until_ms`; an older one no longer.
    ///
    /// # Errors
    /// When the tenant has no such key, or it is revoked.
    pub async fn rotate_key(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
        digest: &[u8],
        grace_until_ms: i64,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query(
            "UPDATE gateway_keys SET rotated_at_ms = $1 \
             WHERE tenant_id = $2 AND id = $3 AND revoked_at_ms IS NULL",
        )
        .bind(change.at_ms)
        .bind(tenant_id)
        .bind(id)
        .execute(changing.connection())
        .await?;
        if changed.rows_affected() == 0 {
            return Err(no_key(id));
        }
        sqlx::query(
            "DELETE FROM key_secrets WHERE tenant_id = $1 AND key_id = $2 AND valid_until_ms IS NOT NULL",
        )
        .bind(tenant_id)
        .bind(id)
        .execute(changing.connection())
        .await?;
        sqlx::query("UPDATE key_secrets SET valid_until_ms = $1 WHERE tenant_id = $2 AND key_id = $3")
            .bind(grace_until_ms)
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        add_secret(changing.connection(), tenant_id, id, digest).await?;
        let done = Done {
            action: "key.rotate",
            tenant_id: Some(tenant_id),
            subject: id,
            detail: json!({ "grace_until_ms": grace_until_ms }),
        };
        changing.finish(change, done).await
    }

    /// Revokes a key: it opens nothing from now on, and its name is free again.
    ///
    /// # Errors
    /// When the tenant has no such key, or it is revoked already.
    pub async fn revoke_key(&self, change: &Change<'_>, tenant_id: &str, id: &str) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query(
            "UPDATE gateway_keys SET revoked_at_ms = $1 \
             WHERE tenant_id = $2 AND id = $3 AND revoked_at_ms IS NULL",
        )
        .bind(change.at_ms)
        .bind(tenant_id)
        .bind(id)
        .execute(changing.connection())
        .await?;
        if changed.rows_affected() == 0 {
            return Err(no_key(id));
        }
        let done = Done {
            action: "key.revoke",
            tenant_id: Some(tenant_id),
            subject: id,
            detail: json!({}),
        };
        changing.finish(change, done).await
    }

    /// A tenant's keys, revoked ones too, by name.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_keys(&self, tenant_id: &str) -> Result<Vec<GatewayKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, id, name, models, created_at_ms, rotated_at_ms, expires_at_ms, revoked_at_ms \
             FROM gateway_keys WHERE tenant_id = $1 ORDER BY name, id",
        )
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, tenant_id))?;
        rows.iter().map(GatewayKey::read).collect()
    }

    /// One key of a tenant.
    ///
    /// # Errors
    /// When the database does not answer, or the row makes no sense.
    pub async fn key_by_id(&self, tenant_id: &str, id: &str) -> Result<Option<GatewayKey>, StoreError> {
        let row = sqlx::query(
            "SELECT tenant_id, id, name, models, created_at_ms, rotated_at_ms, expires_at_ms, revoked_at_ms \
             FROM gateway_keys WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(unreadable(TABLE, id))?;
        row.as_ref().map(GatewayKey::read).transpose()
    }
}

impl GatewayKey {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        let models = columns.text_or_null("models")?;
        check_models(models.as_deref()).map_err(|error| columns.poison(error.to_string()))?;
        Ok(Self {
            id: columns.id(),
            tenant_id: columns.text("tenant_id")?,
            name: columns.text("name")?,
            models,
            created_at_ms: columns.number("created_at_ms")?,
            rotated_at_ms: columns.number_or_null("rotated_at_ms")?,
            expires_at_ms: columns.number_or_null("expires_at_ms")?,
            revoked_at_ms: columns.number_or_null("revoked_at_ms")?,
        })
    }
}

fn check_models(models: Option<&str>) -> Result<(), StoreError> {
    match models.map(ModelAllow::parse) {
        Some(Err(error)) => Err(StoreError::Invalid {
            what: "the key's models",
            why: error.to_string(),
        }),
        _ => Ok(()),
    }
}

async fn add_secret(
    connection: &mut AnyConnection,
    tenant_id: &str,
    key_id: &str,
    digest: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO key_secrets (tenant_id, key_id, digest) VALUES ($1, $2, $3)")
        .bind(tenant_id)
        .bind(key_id)
        .bind(digest)
        .execute(connection)
        .await
        .map_err(taken(|| "this secret on this key".to_owned()))?;
    Ok(())
}

fn no_key(id: &str) -> StoreError {
    StoreError::not_found(format!("live gateway key `{id}`"))
}
