//! What the live state loads: everything about one tenant, as it was at one moment, in a handful of queries.

use std::sync::Arc;

use policy::Route;
use policy::limit::Limit;
use policy::price::PriceList;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use vault::{DataKey, DigestKey, Secret};

use crate::EVERY_TENANT;
use crate::credential::{Credential, place};
use crate::error::{StoreError, unreadable};
use crate::gateway_key::GatewayKey;
use crate::limit::load_limits;
use crate::master::{INSTALLATION, opened};
use crate::open::Store;
use crate::price::{load_global_prices, load_prices};
use crate::route::{read_pattern_alone, read_rule};
use crate::row::Columns;
use crate::tenant::Tenant;

/// A tenant with all that a call may need.
///
/// Has no `Debug`: it holds the credentials' secrets.
pub struct TenantBundle {
    pub tenant: Tenant,
    /// The number of the last change, to whichever tenant, that this takes in.
    pub revision: i64,
    pub keys: Vec<KeyBundle>,
    pub credentials: Vec<CredentialBundle>,
    pub routes: Vec<Route>,
    pub limits: Vec<Limit>,
    /// What the tenant pays where that is its own.
    pub prices: Arc<PriceList>,
}

/// A gateway key with the digests of its secrets, each with the instant until which it opens, if there is one.
#[derive(Debug, Clone)]
pub struct KeyBundle {
    pub key: GatewayKey,
    pub digests: Vec<(Vec<u8>, Option<i64>)>,
}

/// A credential with its secret.
///
/// Has no `Debug`, like the secret in it.
pub struct CredentialBundle {
    pub credential: Credential,
    pub secret: Option<Secret>,
    /// Of one that is a login with Google.
    pub login: Option<LoginBundle>,
}

/// What a call needs to know of a login with Google.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginBundle {
    pub token_version: i64,
    /// Whether its owner has agreed to the warning.
    pub consented: bool,
    /// Whether Google has ended it.
    pub revoked: bool,
}

/// What holds for every tenant.
#[derive(Debug, Clone)]
pub struct GlobalBundle {
    /// The number of the last change that this takes in.
    pub revision: i64,
    pub routes: Vec<Route>,
    pub prices: Arc<PriceList>,
    /// What is wrong with rows that make no sense. Where the pattern of a route can be read, it is there without targets;
    /// where the model of a price can, that has a price that nobody knows.
    pub broken: Vec<StoreError>,
}

impl Store {
    /// The id of the tenant that owns a gateway key, live or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tenant_of_key(&self, key_id: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT tenant_id FROM gateway_keys WHERE id = $1")
            .bind(key_id)
            .fetch_optional(&self.pool)
            .await
            .map_err(unreadable("gateway_keys", key_id))
    }

    /// A tenant with all that a call may need; `None` when there is no such tenant.
    ///
    /// # Errors
    /// When the database does not answer, or one of the tenant's rows makes no sense.
    pub async fn load_tenant(&self, id: &str) -> Result<Option<TenantBundle>, StoreError> {
        let mut reading = self.begin_read().await?;
        let Some(row) = sqlx::query(
            "SELECT tenants.id, name, disabled, strict, tenants.created_at_ms, revision, wrapped \
             FROM tenants CROSS JOIN revision_counter LEFT JOIN data_keys ON data_keys.scope = tenants.id \
             WHERE tenants.id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *reading)
        .await
        .map_err(unreadable("tenants", id))?
        else {
            return Ok(None);
        };
        let columns = Columns::of("tenants", &row)?;
        let wrapped = columns
            .blob_or_null("wrapped")?
            .ok_or_else(|| columns.poison("it has no data key"))?;
        let data_key = opened("data_keys", id, self.vault.unwrap(id, &wrapped))?;
        let bundle = TenantBundle {
            tenant: Tenant::read(&row)?,
            revision: columns.number("revision")?,
            keys: load_keys(&mut reading, id).await?,
            credentials: load_credentials(&mut reading, id, &data_key).await?,
            routes: load_routes(&mut reading, id).await?,
            limits: load_limits(&mut reading, id).await?,
            prices: load_prices(&mut reading, id).await?,
        };
        reading.commit().await?;
        Ok(Some(bundle))
    }

    /// What holds for every tenant. A row that makes no sense is told, and leaves the others as they are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn load_global(&self) -> Result<GlobalBundle, StoreError> {
        let mut reading = self.begin_read().await?;
        let revision = sqlx::query_scalar("SELECT revision FROM revision_counter WHERE id = 1")
            .fetch_one(&mut *reading)
            .await?;
        let rows = select_routes(&mut reading, EVERY_TENANT).await?;
        let mut broken = Vec::new();
        let prices = load_global_prices(&mut reading, &mut broken).await?;
        reading.commit().await?;
        let mut global = GlobalBundle {
            revision,
            routes: Vec::with_capacity(rows.len()),
            prices,
            broken,
        };
        for row in &rows {
            match read_rule(row) {
                Ok(route) => global.routes.push(route),
                Err(error) => {
                    global.routes.extend(read_pattern_alone(row));
                    global.broken.push(error);
                }
            }
        }
        Ok(global)
    }

    /// The key under which secrets of gateway and admin keys are digested. It stays the same for the life of the
    /// installation, also when the master key is rotated.
    ///
    /// # Errors
    /// When the database does not answer, or the vault was not prepared.
    pub async fn digest_key(&self) -> Result<DigestKey, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let key = self.data_key(&mut connection, INSTALLATION).await?;
        Ok(key.digest_key()?)
    }
}

async fn load_keys(connection: &mut AnyConnection, tenant_id: &str) -> Result<Vec<KeyBundle>, StoreError> {
    let rows = sqlx::query(
        "SELECT gateway_keys.tenant_id, id, name, models, created_at_ms, rotated_at_ms, expires_at_ms, \
                revoked_at_ms, digest, valid_until_ms \
         FROM gateway_keys LEFT JOIN key_secrets \
           ON key_secrets.tenant_id = gateway_keys.tenant_id AND key_secrets.key_id = gateway_keys.id \
         WHERE gateway_keys.tenant_id = $1 ORDER BY id, digest",
    )
    .bind(tenant_id)
    .fetch_all(connection)
    .await
    .map_err(unreadable("gateway_keys", tenant_id))?;
    let mut keys: Vec<KeyBundle> = Vec::new();
    for row in &rows {
        let columns = Columns::of("gateway_keys", row)?;
        let digest = columns.blob_or_null("digest")?;
        let valid_until_ms = columns.number_or_null("valid_until_ms")?;
        let id = columns.id();
        if keys.last().is_none_or(|last| last.key.id != id) {
            keys.push(KeyBundle {
                key: GatewayKey::read(row)?,
                digests: Vec::new(),
            });
        }
        if let (Some(key), Some(digest)) = (keys.last_mut(), digest) {
            key.digests.push((digest, valid_until_ms));
        }
    }
    Ok(keys)
}

async fn load_credentials(
    connection: &mut AnyConnection,
    tenant_id: &str,
    data_key: &DataKey,
) -> Result<Vec<CredentialBundle>, StoreError> {
    let rows = sqlx::query(
        "SELECT credentials.tenant_id, id, provider, name, weight, base_url, base_url_by, disabled, created_at_ms, \
                secret, token_version, consent_at_ms, revoked_at_ms \
         FROM credentials LEFT JOIN google_logins \
           ON google_logins.tenant_id = credentials.tenant_id AND google_logins.credential_id = credentials.id \
         WHERE credentials.tenant_id = $1 ORDER BY provider, name",
    )
    .bind(tenant_id)
    .fetch_all(connection)
    .await
    .map_err(unreadable("credentials", tenant_id))?;
    rows.iter().map(|row| read_credential(row, data_key)).collect()
}

fn read_credential(row: &AnyRow, data_key: &DataKey) -> Result<CredentialBundle, StoreError> {
    let credential = Credential::read(row)?;
    let sealed = Columns::of("credentials", row)?.blob_or_null("secret")?;
    let secret = sealed.map(|sealed| {
        let place = place(&credential.tenant_id, &credential.id);
        opened("credentials", &credential.id, data_key.open(&place, &sealed))
    });
    Ok(CredentialBundle {
        secret: secret.transpose()?,
        login: read_login(&Columns::of("credentials", row)?)?,
        credential,
    })
}

fn read_login(columns: &Columns<'_>) -> Result<Option<LoginBundle>, StoreError> {
    let Some(token_version) = columns.number_or_null("token_version")? else {
        return Ok(None);
    };
    Ok(Some(LoginBundle {
        token_version,
        consented: columns.number_or_null("consent_at_ms")?.is_some(),
        revoked: columns.number_or_null("revoked_at_ms")?.is_some(),
    }))
}

async fn load_routes(connection: &mut AnyConnection, scope: &str) -> Result<Vec<Route>, StoreError> {
    let rows = select_routes(connection, scope).await?;
    rows.iter().map(read_rule).collect()
}

async fn select_routes(connection: &mut AnyConnection, scope: &str) -> Result<Vec<AnyRow>, StoreError> {
    sqlx::query("SELECT id, scope, pattern, targets FROM routes WHERE scope = $1 ORDER BY pattern")
        .bind(scope)
        .fetch_all(connection)
        .await
        .map_err(unreadable("routes", scope))
}
