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

/// Makes them when there is no tenant yet. Of several replicas that start at once, one makes them.
pub(super) async fn prepare(store: &Store, admin_key: Option<&Secret>) -> Result<Option<Made>, Failure> {
    if !store.is_empty().await? {
        return Ok(None);
    }
    let change = Change {
        actor: ACTOR,
        at_ms: now_ms(),
    };
    let id = random_id("ten")?;
    let made = store
        .create_tenant(
            &change,
            &NewTenant {
                id: &id,
                name: DEFAULT_TENANT,
                strict: false,
            },
        )
        .await;
    let Some(tenant) = unless_there(made)? else {
        return Ok(None);
    };
    let digest_key = store.digest_key().await?;
    let gateway_key = gateway_key::generate(KeyKind::Gateway)?;
    let new = NewGatewayKey {
        id: &gateway_key.id,
        tenant_id: &tenant.id,
        name: "first",
        models: None,
        expires_at_ms: None,
    };
    store
        .create_key(&change, &new, &digest_key.digest(gateway_key.secret.expose()))
        .await?;
    let own_admin_key = match admin_key.and_then(|key| gateway_key::parse(key.expose())) {
        Some(brought) => {
            let digest = digest_key.digest(brought.secret);
            store
                .create_admin_key(&change, &operator(brought.id), &digest)
                .await?;
            None
        }
        None => {
            let made = gateway_key::generate(KeyKind::Admin)?;
            store
                .create_admin_key(
                    &change,
                    &operator(&made.id),
                    &digest_key.digest(made.secret.expose()),
                )
                .await?;
            Some(made.text)
        }
    };
    Ok(Some(Made {
        gateway_key: gateway_key.text,
        admin_key: own_admin_key,
    }))
}

fn operator(id: &str) -> NewAdminKey<'_> {
    NewAdminKey {
        id,
        name: "operator",
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
                "  admin key of the operator         {}",
                admin_key.expose()
            ))?;
        }
        print(&format!(
            "\nTry it:\n\n  curl {url}/v1/chat/completions -H 'authorization: Bearer {key}' \\\n    -H 'content-type: application/json' \\\n    -d '{{\"model\": \"echo-1\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello, gateway!\"}}]}}'\n\n\
             Add `\"stream\": true` to see it stream.\n"
        ))
    }
}
