//! Provider keys that stand in the environment become credentials of the tenant `default`.

use provider::{Catalog, Provider};
use store::{BaseUrlBy, Change, CredentialBundle, NewCredential, Store};
use vault::Secret;
use vault::gateway_key::random_id;

use super::first_start::DEFAULT_TENANT;
use crate::desk::unless_there;
use crate::failure::Failure;
use crate::settings::Source;
use crate::time::now_ms;

const ACTOR: &str = "environment";
/// What such a credential is called: it is taken to be this program's own.
const NAME: &str = "environment";

/// Takes them in: a new one is added, one whose key has changed gets that and keeps all else (its limits, its weight, and
/// whether it is disabled), one that is no longer there stays. Does nothing when there is no tenant of that name, or one whose rows make no sense.
pub(super) async fn take_in_credentials(
    store: &Store,
    catalog: &Catalog,
    source: &Source,
) -> Result<(), Failure> {
    match look_for_credentials(store, catalog, source).await {
        Err(failure) if failure.is_about_a_row() => {
            tracing::error!(why = %failure.message(), tenant = DEFAULT_TENANT, "no credential from the environment");
            Ok(())
        }
        done => done,
    }
}

async fn look_for_credentials(store: &Store, catalog: &Catalog, source: &Source) -> Result<(), Failure> {
    let Some(tenant) = store.tenant_by_name_or_id(DEFAULT_TENANT).await? else {
        return Ok(());
    };
    let Some(bundle) = store.load_tenant(&tenant.id).await? else {
        return Ok(());
    };
    for provider in catalog.iter() {
        let found = provider
            .env
            .iter()
            .find_map(|name| Some((name, source.given(name)?)));
        if let Some((variable, key)) = found {
            take_in(
                store,
                &tenant.id,
                provider,
                variable,
                Secret::new(key.to_owned()),
                &bundle.credentials,
            )
            .await?;
        }
    }
    Ok(())
}

async fn take_in(
    store: &Store,
    tenant_id: &str,
    provider: &Provider,
    variable: &str,
    secret: Secret,
    there: &[CredentialBundle],
) -> Result<(), Failure> {
    let change = Change {
        actor: ACTOR,
        at_ms: now_ms(),
    };
    let own = |bundle: &&CredentialBundle| {
        bundle.credential.provider == provider.name && bundle.credential.name == NAME
    };
    if let Some(old) = there.iter().find(own) {
        if old.secret.as_ref().is_some_and(|known| known.matches(&secret)) {
            return Ok(());
        }
        store
            .set_credential_secret(&change, tenant_id, &old.credential.id, &secret)
            .await?;
        tracing::info!(provider = %provider.name, variable, tenant = DEFAULT_TENANT, "another key from the environment");
        return Ok(());
    }
    let id = random_id("cred")?;
    let new = NewCredential {
        id: &id,
        tenant_id,
        provider: &provider.name,
        name: NAME,
        weight: 1,
        base_url: None,
        base_url_by: BaseUrlBy::Operator,
        secret: Some(&secret),
    };
    if unless_there(store.add_credential(&change, &new).await)?.is_some() {
        tracing::info!(provider = %provider.name, variable, tenant = DEFAULT_TENANT, "credential from the environment");
    }
    Ok(())
}
