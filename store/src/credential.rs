//! Credentials: the secrets that a tenant's calls show to providers, sealed under the tenant's data key.

use policy::limit::Subject;
use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use vault::{Place, Secret};

use crate::change::{Change, Changing, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::limit::remove_limits_on;
use crate::name;
use crate::open::Store;
use crate::row::Columns;
use crate::tenant;

/// A credential, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub id: String,
    pub tenant_id: String,
    pub provider: String,
    pub name: String,
    /// Its share among the tenant's credentials for the same provider.
    pub weight: i64,
    /// Where the provider is, when not where the catalogue says.
    pub base_url: Option<String>,
    pub base_url_by: BaseUrlBy,
    pub disabled: bool,
    pub created_at_ms: i64,
}

/// Who gave a credential's base URL. An operator may send calls into the own network, a tenant may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BaseUrlBy {
    Operator,
    Tenant,
}

/// A credential to be added.
///
/// Has no `Debug`, like the secret in it.
#[derive(Clone, Copy)]
pub struct NewCredential<'a> {
    pub id: &'a str,
    pub tenant_id: &'a str,
    pub provider: &'a str,
    pub name: &'a str,
    pub weight: i64,
    pub base_url: Option<&'a str>,
    pub base_url_by: BaseUrlBy,
    /// `None` for a provider that asks for none.
    pub secret: Option<&'a Secret>,
}

const TABLE: &str = "credentials";
const WEIGHT_MAX: i64 = 1_000_000;

impl BaseUrlBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Tenant => "tenant",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Operator, Self::Tenant]
            .into_iter()
            .find(|by| by.as_str() == word)
    }
}

impl Store {
    /// Adds a credential and seals its secret.
    ///
    /// # Errors
    /// When a name is none or is taken, the weight is none, there is no such tenant, or the secret cannot be sealed.
    pub async fn add_credential(
        &self,
        change: &Change<'_>,
        new: &NewCredential<'_>,
    ) -> Result<Credential, StoreError> {
        let mut changing = self.begin_change().await?;
        self.insert_credential(changing.connection(), change, new).await?;
        let done = Done {
            action: "credential.add",
            tenant_id: Some(new.tenant_id),
            subject: new.id,
            detail: json!({
                "provider": new.provider, "name": new.name, "weight": new.weight,
                "base_url": new.base_url, "base_url_by": new.base_url_by.as_str(),
            }),
        };
        changing.finish(change, done).await?;
        Ok(Credential {
            id: new.id.to_owned(),
            tenant_id: new.tenant_id.to_owned(),
            provider: new.provider.to_owned(),
            name: new.name.to_owned(),
            weight: new.weight,
            base_url: new.base_url.map(str::to_owned),
            base_url_by: new.base_url_by,
            disabled: false,
            created_at_ms: change.at_ms,
        })
    }

    /// A tenant's credentials, by provider and name.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_credentials(&self, tenant_id: &str) -> Result<Vec<Credential>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, id, provider, name, weight, base_url, base_url_by, disabled, created_at_ms \
             FROM credentials WHERE tenant_id = $1 ORDER BY provider, name",
        )
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, tenant_id))?;
        rows.iter().map(Credential::read).collect()
    }

    /// Changes a credential's place among those for the same provider.
    ///
    /// # Errors
    /// When the weight is none, or the tenant has no such credential.
    pub async fn set_credential_weight(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
        weight: i64,
    ) -> Result<(), StoreError> {
        check_weight(weight)?;
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query("UPDATE credentials SET weight = $1 WHERE tenant_id = $2 AND id = $3")
            .bind(weight)
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        let detail = json!({ "weight": weight });
        let action = "credential.set_weight";
        finish_one(
            changing,
            change,
            changed.rows_affected(),
            (tenant_id, id),
            (action, detail),
        )
        .await
    }

    /// Stops using a credential, or uses it again.
    ///
    /// # Errors
    /// When the tenant has no such credential.
    pub async fn set_credential_disabled(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
        disabled: bool,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query("UPDATE credentials SET disabled = $1 WHERE tenant_id = $2 AND id = $3")
            .bind(i64::from(disabled))
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        let detail = json!({ "disabled": disabled });
        let action = "credential.set_disabled";
        finish_one(
            changing,
            change,
            changed.rows_affected(),
            (tenant_id, id),
            (action, detail),
        )
        .await
    }

    /// Puts another secret in a credential's place; all else of it stays as it is.
    ///
    /// # Errors
    /// When the tenant has no such credential, or the secret cannot be sealed.
    pub async fn set_credential_secret(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        tenant::require(changing.connection(), tenant_id).await?;
        let sealed = self.seal(changing.connection(), (tenant_id, id), secret).await?;
        let changed = sqlx::query("UPDATE credentials SET secret = $1 WHERE tenant_id = $2 AND id = $3")
            .bind(sealed)
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        let action = "credential.set_secret";
        finish_one(
            changing,
            change,
            changed.rows_affected(),
            (tenant_id, id),
            (action, json!({})),
        )
        .await
    }

    /// Removes a credential with its secret.
    ///
    /// # Errors
    /// When the tenant has no such credential.
    pub async fn remove_credential(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let removed = sqlx::query("DELETE FROM credentials WHERE tenant_id = $1 AND id = $2")
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        remove_limits_on(changing.connection(), tenant_id, &Subject::Credential(id.into())).await?;
        let action = "credential.remove";
        finish_one(
            changing,
            change,
            removed.rows_affected(),
            (tenant_id, id),
            (action, json!({})),
        )
        .await
    }

    /// Puts the row in, with its secret sealed.
    pub(crate) async fn insert_credential(
        &self,
        connection: &mut AnyConnection,
        change: &Change<'_>,
        new: &NewCredential<'_>,
    ) -> Result<(), StoreError> {
        name::check("the provider's name", new.provider)?;
        name::check("the credential's name", new.name)?;
        check_weight(new.weight)?;
        tenant::require(connection, new.tenant_id).await?;
        let sealed = match new.secret {
            Some(secret) => Some(self.seal(connection, (new.tenant_id, new.id), secret).await?),
            None => None,
        };
        sqlx::query(
            "INSERT INTO credentials \
             (tenant_id, id, provider, name, weight, base_url, base_url_by, disabled, secret, created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)",
        )
        .bind(new.tenant_id)
        .bind(new.id)
        .bind(new.provider)
        .bind(new.name)
        .bind(new.weight)
        .bind(new.base_url)
        .bind(new.base_url_by.as_str())
        .bind(sealed)
        .bind(change.at_ms)
        .execute(connection)
        .await
        .map_err(taken(|| {
            format!("a credential `{}` for {}", new.name, new.provider)
        }))?;
        Ok(())
    }

    async fn seal(
        &self,
        connection: &mut AnyConnection,
        (tenant_id, id): (&str, &str),
        secret: &Secret,
    ) -> Result<Vec<u8>, StoreError> {
        let key = self.data_key(connection, tenant_id).await?;
        Ok(key.seal(&place(tenant_id, id), secret)?)
    }
}

impl Credential {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        let weight = columns.number("weight")?;
        check_weight(weight).map_err(|error| columns.poison(error.to_string()))?;
        Ok(Self {
            id: columns.id(),
            tenant_id: columns.text("tenant_id")?,
            provider: columns.text("provider")?,
            name: columns.text("name")?,
            weight,
            base_url: columns.text_or_null("base_url")?,
            base_url_by: columns.word("base_url_by", BaseUrlBy::read)?,
            disabled: columns.flag("disabled")?,
            created_at_ms: columns.number("created_at_ms")?,
        })
    }
}

/// Where a credential's secret belongs.
pub(crate) fn place<'a>(tenant_id: &'a str, id: &'a str) -> Place<'a> {
    Place {
        tenant: tenant_id,
        table: TABLE,
        row: id,
        column: "secret",
    }
}

fn check_weight(weight: i64) -> Result<(), StoreError> {
    if (1..=WEIGHT_MAX).contains(&weight) {
        return Ok(());
    }
    Err(StoreError::Invalid {
        what: "the credential's weight",
        why: format!("a weight is 1 to {WEIGHT_MAX}"),
    })
}

/// Finishes a change of one credential; refuses when there was none to be changed.
async fn finish_one(
    changing: Changing,
    change: &Change<'_>,
    rows_changed: u64,
    (tenant_id, id): (&str, &str),
    (action, detail): (&'static str, serde_json::Value),
) -> Result<(), StoreError> {
    if rows_changed == 0 {
        return Err(StoreError::not_found(format!("credential `{id}`")));
    }
    let done = Done {
        action,
        tenant_id: Some(tenant_id),
        subject: id,
        detail,
    };
    changing.finish(change, done).await
}
