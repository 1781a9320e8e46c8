//! What an empty installation needs before anybody can call: a tenant, its gateway key, and an operator's admin key.

use store::{Change, NewAdminKey, NewGatewayKey, NewTenant, Store};
use vault::Secret;
use vault::gateway_key::{self, KeyKind, random_id};

use crate::desk::unless_there;
use crate::failure::Failure;
use crate::output::print;
use crate::time::now_ms;

/// The secrets that were made. They are told once, and stored nowhere in plain.
pub(super) struct Made {
    gateway_key: Secret,
    /// None when the operator brought one.
    admin_key: Option<Secret>,
}

/// The tenant for whoever does not care about tenants.
pub(super) const DEFAULT_TENANT: &str = "default";
const ACTOR: &str = "first-start";
const OPERATOR: &str = "operator";

/// For a first start to come to its end: one that did not by then was cut off, and the next one goes on with it.
const CUT_OFF_AFTER_MS: i64 = 60_000;

/// Makes them when there is no tenant yet, or a first start was cut off before anybody was told of a key. Of several replicas
/// that start at once, one makes them.
pub(super) async fn prepare(store: &Store, admin_key: Option<&Secret>) -> Result<Option<Made>, Failure> {
    let change = Change {
        actor: ACTOR,
        at_ms: now_ms(),
    };
    let Some(tenant_id) = tenant_without_key(store, &change).await? else {
        return Ok(None);
    };
    // The gateway key last: where that is, all is.
    let admin_key = admin_key_of_operator(store, &change, admin_key).await?;
    let digest_key = store.digest_key().await?;
    let gateway_key = gateway_key::generate(KeyKind::Gateway)?;
    let new = NewGatewayKey {
        id: &gateway_key.id,
        tenant_id: &tenant_id,
        name: "first",
        models: None,
        expires_at_ms: None,
    };
    store
        .create_key(&change, &new, &digest_key.digest(gateway_key.secret.expose()))
        .await?;
    Ok(Some(Made {
        gateway_key: gateway_key.text,
        admin_key,
    }))
}

/// The tenant that has no key yet: a new one, or one of a first start that was cut off.
async fn tenant_without_key(store: &Store, change: &Change<'_>) -> Result<Option<String>, Failure> {
    if !store.is_empty().await? {
        return left_without_key(store, change.at_ms).await;
    }
    let id = random_id("ten")?;
    let new = NewTenant {
        id: &id,
        name: DEFAULT_TENANT,
        strict: false,
    };
    let made = unless_there(store.create_tenant(change, &new).await)?;
    Ok(made.map(|tenant| tenant.id))
}

async fn left_without_key(store: &Store, now_ms: i64) -> Result<Option<String>, Failure> {
    // A row that makes no sense is its tenant's affair, and keeps nobody from starting.
    let Ok(Some(tenant)) = store.tenant_by_name_or_id(DEFAULT_TENANT).await else {
        return Ok(None);
    };
    let is_old = now_ms.saturating_sub(tenant.created_at_ms) >= CUT_OFF_AFTER_MS;
    let has_key = store
        .list_keys(&tenant.id)
        .await
        .map_or(true, |keys| !keys.is_empty());
    Ok((is_old && !has_key).then_some(tenant.id))
}

/// The operator's admin key: the one that was brought, or a new one, whose text is told. One that nobody was told of is
/// revoked.
async fn admin_key_of_operator(
    store: &Store,
    change: &Change<'_>,
    brought: Option<&Secret>,
) -> Result<Option<Secret>, Failure> {
    let brought = brought.and_then(|key| gateway_key::parse(key.expose()));
    let there = store.list_admin_keys(None).await?;
    let untold = there.iter().filter(|key| {
        let is_operators = key.tenant_id.is_none() && key.revoked_at_ms.is_none() && key.name == OPERATOR;
        is_operators && brought.as_ref().is_none_or(|brought| brought.id != key.id)
    });
    for key in untold {
        store.revoke_admin_key(change, None, &key.id).await?;
    }
    let digest_key = store.digest_key().await?;
    if let Some(brought) = brought {
        let digest = digest_key.digest(brought.secret);
        let created = store
            .create_admin_key(change, &operator(brought.id), &digest)
            .await;
        unless_there(created)?;
        return Ok(None);
    }
    let made = gateway_key::generate(KeyKind::Admin)?;
    let digest = digest_key.digest(made.secret.expose());
    store
        .create_admin_key(change, &operator(&made.id), &digest)
        .await?;
    Ok(Some(made.text))
}

fn operator(id: &str) -> NewAdminKey<'_> {
    NewAdminKey {
        id,
        name: OPERATOR,
        tenant_id: None,
    }
}

impl Made {
    /// Tells them, with a line that works as it stands.
    pub(super) fn tell(&self, url: &str) -> Result<(), Failure> {
        let key = self.gateway_key.expose();
        print("This is the first start. These keys are shown once and stored nowhere: keep them.\n")?;
        print(&format!("  gateway key of tenant `{DEFAULT_TENANT}`   {key}"))?;
        if let Some(admin_key) = &self.admin_key {
            print(&format!(
                "  admin key of the operator         {}\n\n\
                 Nothing asks for the admin key yet: until there is an admin API, operators use the command line.",
                admin_key.expose()
            ))?;
        }
        print(&format!(
            "\nTry it:\n\n  curl {url}/v1/chat/completions -H 'authorization: Bearer {key}' \\\n    -H 'content-type: application/json' \\\n    -d '{{\"model\": \"echo-1\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello, gateway!\"}}]}}'\n\n\
             Add `\"stream\": true` to see it stream.\n"
        ))
    }
}
