//! `tollgate key …`

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};
use store::{GatewayKey, NewGatewayKey};
use vault::Secret;
use vault::gateway_key::{self, KeyKind};

use crate::desk::Desk;
use crate::failure::Failure;
use crate::time::{duration, instant, millis, now_ms};

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Makes a gateway key and shows it, once.
    Create {
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
        /// What people call it; without one, its id.
        #[arg(long)]
        name: Option<String>,
        /// Which model names it may use: patterns divided by commas, such as `gpt-*,claude-*`. Without, all.
        #[arg(long, value_name = "PATTERNS")]
        models: Option<String>,
        /// For how long it opens, such as `30d`. Without, until it is revoked.
        #[arg(long, value_parser = duration, value_name = "DURATION")]
        expires: Option<Duration>,
    },
    /// Shows a tenant's keys.
    List {
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Gives a key a new secret and shows it, once. The old one goes on opening for a while.
    Rotate {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
        /// How long the old secret goes on opening.
        #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "24h")]
        grace: Duration,
    },
    /// Lets a key open nothing any more, within a second and a half.
    Revoke {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
}

pub(super) async fn run(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create {
            tenant,
            name,
            models,
            expires,
        } => create(desk, &tenant, name.as_deref(), models.as_deref(), expires).await,
        Verb::List { tenant } => list(desk, &tenant).await,
        Verb::Rotate { id, tenant, grace } => rotate(desk, &id, &tenant, grace).await,
        Verb::Revoke { id, tenant } => {
            let tenant = desk.tenant(&tenant).await?;
            desk.store.revoke_key(&desk.change(), &tenant.id, &id).await?;
            desk.form.one(&json!({"revoked": id}))
        }
    }
}

async fn create(
    desk: &Desk,
    tenant: &str,
    name: Option<&str>,
    models: Option<&str>,
    expires: Option<Duration>,
) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    let key = gateway_key::generate(KeyKind::Gateway)?;
    let new = NewGatewayKey {
        id: &key.id,
        tenant_id: &tenant.id,
        name: name.unwrap_or(&key.id),
        models,
        expires_at_ms: expires.map(|expires| now_ms().saturating_add(millis(expires))),
    };
    let digest = desk.store.digest_key().await?.digest(key.secret.expose());
    let row = desk.store.create_key(&desk.change(), &new, &digest).await?;
    desk.form.one(&with_secret(shown(&row), &key.text))
}

async fn list(desk: &Desk, tenant: &str) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    let keys = desk.store.list_keys(&tenant.id).await?;
    let rows: Vec<Value> = keys.iter().map(shown).collect();
    desk.form.list(
        &[
            "name",
            "id",
            "models",
            "created_at",
            "rotated_at",
            "expires_at",
            "revoked_at",
        ],
        &rows,
    )
}

async fn rotate(desk: &Desk, id: &str, tenant: &str, grace: Duration) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    let key = gateway_key::with_new_secret(KeyKind::Gateway, id)?;
    let digest = desk.store.digest_key().await?.digest(key.secret.expose());
    let grace_until_ms = now_ms().saturating_add(millis(grace));
    desk.store
        .rotate_key(&desk.change(), &tenant.id, id, &digest, grace_until_ms)
        .await?;
    let thing = json!({"id": id, "old_secret_until": instant(grace_until_ms)});
    desk.form.one(&with_secret(thing, &key.text))
}

/// The one place where a secret is shown: to whoever has just made it.
fn with_secret(mut thing: Value, secret: &Secret) -> Value {
    if let Some(members) = thing.as_object_mut() {
        members.insert("secret".to_owned(), Value::from(secret.expose()));
    }
    thing
}

fn shown(key: &GatewayKey) -> Value {
    json!({
        "id": key.id,
        "tenant_id": key.tenant_id,
        "name": key.name,
        "models": key.models,
        "created_at": instant(key.created_at_ms),
        "rotated_at": key.rotated_at_ms.map(instant),
        "expires_at": key.expires_at_ms.map(instant),
        "revoked_at": key.revoked_at_ms.map(instant),
    })
}
