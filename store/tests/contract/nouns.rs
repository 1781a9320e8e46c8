//! Each noun comes back as it went in, names are unique, and one tenant cannot reach another's.

use store::{
    AdminRole, BaseUrlBy, NewAdminKey, NewCredential, NewGatewayKey, NewRoute, NewTenant, StoreError,
};
use testkit::database::TestDatabase;
use vault::Secret;

use crate::world::{CHANGE, NOW_MS, World, new_credential};

crate::on_both_databases!(
    a_tenant_comes_back_and_goes,
    a_gateway_key_comes_back_rotates_and_is_revoked,
    an_admin_key_comes_back_with_its_role,
    a_credential_comes_back_with_its_secret,
    a_route_is_set_replaced_and_removed,
    names_are_unique_where_they_are_used,
    what_is_no_name_is_refused,
    a_tenant_reaches_nothing_of_another,
);

async fn a_tenant_comes_back_and_goes(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    assert_eq!(
        (tenant.disabled, tenant.strict, tenant.created_at_ms),
        (false, false, NOW_MS)
    );
    for wanted in ["acme", "ten-acme"] {
        assert_eq!(
            store.tenant_by_name_or_id(wanted).await.unwrap(),
            Some(tenant.clone())
        );
    }
    assert_eq!(store.tenant_by_name_or_id("nobody").await.unwrap(), None);
    store
        .set_tenant_disabled(&CHANGE, &tenant.id, true)
        .await
        .unwrap();
    let loaded = store.load_tenant(&tenant.id).await.unwrap().unwrap().tenant;
    assert!(loaded.disabled && !loaded.strict);
    store
        .set_tenant_disabled(&CHANGE, &tenant.id, false)
        .await
        .unwrap();
    store.set_tenant_strict(&CHANGE, &tenant.id, true).await.unwrap();
    let loaded = store.load_tenant(&tenant.id).await.unwrap().unwrap().tenant;
    assert!(!loaded.disabled && loaded.strict);
    store.remove_tenant(&CHANGE, &tenant.id).await.unwrap();
    assert!(store.list_tenants().await.unwrap().is_empty());
    assert!(store.load_tenant(&tenant.id).await.unwrap().is_none());
    let again = store.remove_tenant(&CHANGE, &tenant.id).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
    let again = store.set_tenant_strict(&CHANGE, &tenant.id, true).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
    let new = NewTenant {
        id: "ten-strict",
        name: "strict",
        strict: true,
    };
    let tenant = store.create_tenant(&CHANGE, &new).await.unwrap();
    assert!(tenant.strict);
    assert_eq!(store.list_tenants().await.unwrap(), [tenant]);
}

async fn a_gateway_key_comes_back_rotates_and_is_revoked(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    let digests = store.digest_key().await.unwrap();
    let new = NewGatewayKey {
        id: "key000000001",
        tenant_id: &tenant.id,
        name: "ci",
        models: Some("gpt-*,claude-*"),
        expires_at_ms: Some(NOW_MS + 5),
    };
    let key = store
        .create_key(&CHANGE, &new, &digests.digest("one"))
        .await
        .unwrap();
    assert_eq!(
        store.list_keys(&tenant.id).await.unwrap(),
        std::slice::from_ref(&key)
    );
    assert_eq!(
        store.key_by_id(&tenant.id, &key.id).await.unwrap(),
        Some(key.clone())
    );
    assert_eq!(
        store.tenant_of_key(&key.id).await.unwrap(),
        Some(tenant.id.clone())
    );
    assert_eq!(store.tenant_of_key("key000000002").await.unwrap(), None);

    // After two rotations only the last two secrets are live, and only the last without an end.
    for (secret, grace_until_ms) in [("two", NOW_MS + 10), ("three", NOW_MS + 20)] {
        let digest = digests.digest(secret);
        store
            .rotate_key(&CHANGE, &tenant.id, &key.id, &digest, grace_until_ms)
            .await
            .unwrap();
    }
    let bundle = store.load_tenant(&tenant.id).await.unwrap().unwrap();
    let key_bundle = &bundle.keys[0];
    assert_eq!(key_bundle.key.rotated_at_ms, Some(NOW_MS));
    let until = |secret: &str| {
        let known = key_bundle
            .digests
            .iter()
            .find(|(digest, _)| digests.verify(secret, digest));
        known.map(|(_, valid_until_ms)| *valid_until_ms)
    };
    assert_eq!(
        (until("one"), until("two"), until("three")),
        (None, Some(Some(NOW_MS + 20)), Some(None))
    );

    store.revoke_key(&CHANGE, &tenant.id, &key.id).await.unwrap();
    assert_eq!(
        store
            .key_by_id(&tenant.id, &key.id)
            .await
            .unwrap()
            .unwrap()
            .revoked_at_ms,
        Some(NOW_MS)
    );
    let digest = digests.digest("four");
    let late = store
        .rotate_key(&CHANGE, &tenant.id, &key.id, &digest, NOW_MS)
        .await;
    assert!(matches!(late, Err(StoreError::NotFound { .. })));
}

async fn an_admin_key_comes_back_with_its_role(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    let new = |id, tenant_id| NewAdminKey {
        id,
        name: "ops",
        tenant_id,
    };
    let operator = store
        .create_admin_key(&CHANGE, &new("adm1", None), b"digest-1")
        .await
        .unwrap();
    let own = new("adm2", Some(tenant.id.as_str()));
    let tenant_admin = store.create_admin_key(&CHANGE, &own, b"digest-2").await.unwrap();
    assert_eq!(
        (operator.role, tenant_admin.role),
        (AdminRole::Operator, AdminRole::TenantAdmin)
    );
    let bundle = store.admin_key_by_id("adm2").await.unwrap().unwrap();
    assert_eq!(
        (bundle.key, bundle.digest),
        (tenant_admin.clone(), b"digest-2".to_vec())
    );
    assert_eq!(store.list_admin_keys(None).await.unwrap().len(), 2);
    assert_eq!(
        store.list_admin_keys(Some(&tenant.id)).await.unwrap(),
        [tenant_admin]
    );
    // A tenant's administrator cannot revoke an operator's key by its id.
    let foreign = store.revoke_admin_key(&CHANGE, Some(&tenant.id), "adm1").await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })));
    store.revoke_admin_key(&CHANGE, None, "adm1").await.unwrap();
    let revoked = store.admin_key_by_id("adm1").await.unwrap().unwrap();
    assert_eq!(revoked.key.revoked_at_ms, Some(NOW_MS));
    // With the tenant goes its administrator.
    store.remove_tenant(&CHANGE, &tenant.id).await.unwrap();
    assert!(store.admin_key_by_id("adm2").await.unwrap().is_none());
}

async fn a_credential_comes_back_with_its_secret(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    let secret = Secret::new("sk-provider-1".to_owned());
    let new = NewCredential {
        id: "cred-1",
        weight: 3,
        base_url: Some("https://llm.example/v1"),
        base_url_by: BaseUrlBy::Operator,
        ..new_credential(&tenant.id, "main", Some(&secret))
    };
    let credential = store.add_credential(&CHANGE, &new).await.unwrap();
    let keyless = new_credential(&tenant.id, "keyless", None);
    store.add_credential(&CHANGE, &keyless).await.unwrap();
    store
        .set_credential_weight(&CHANGE, &tenant.id, "cred-1", 7)
        .await
        .unwrap();
    store
        .set_credential_disabled(&CHANGE, &tenant.id, "cred-1", true)
        .await
        .unwrap();

    let bundle = store.load_tenant(&tenant.id).await.unwrap().unwrap();
    let [keyless, main] = bundle.credentials.as_slice() else {
        panic!("two credentials, by name");
    };
    assert!(keyless.secret.is_none());
    assert!(main.secret.as_ref().unwrap().matches(&secret));
    let changed = store::Credential {
        weight: 7,
        disabled: true,
        ..credential
    };
    assert_eq!(main.credential, changed);
    assert_eq!(store.list_credentials(&tenant.id).await.unwrap()[1], changed);

    let next = Secret::new("sk-provider-2".to_owned());
    let set = |id| store.set_credential_secret(&CHANGE, &tenant.id, id, &next);
    set("cred-1").await.unwrap();
    assert!(set("cred-none").await.is_err());
    let bundle = store.load_tenant(&tenant.id).await.unwrap().unwrap();
    let main = &bundle.credentials[1];
    assert!(main.secret.as_ref().unwrap().matches(&next));
    assert_eq!(main.credential, changed);

    store
        .remove_credential(&CHANGE, &tenant.id, "cred-1")
        .await
        .unwrap();
    assert_eq!(store.list_credentials(&tenant.id).await.unwrap().len(), 1);
}

async fn a_route_is_set_replaced_and_removed(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    let own = NewRoute {
        id: "rt-1",
        tenant_id: Some(&tenant.id),
        pattern: "gpt-*",
        targets: "openai,groq/llama-3",
    };
    store.set_route(&CHANGE, &own).await.unwrap();
    let again = NewRoute {
        id: "rt-2",
        targets: "openai",
        ..own
    };
    let replaced = store.set_route(&CHANGE, &again).await.unwrap();
    assert_eq!(
        (replaced.id.as_str(), replaced.targets.as_str()),
        ("rt-1", "openai")
    );
    let for_all = NewRoute {
        id: "rt-3",
        tenant_id: None,
        ..own
    };
    store.set_route(&CHANGE, &for_all).await.unwrap();
    assert_eq!(store.list_routes(Some(&tenant.id)).await.unwrap(), [replaced]);

    let bundle = store.load_tenant(&tenant.id).await.unwrap().unwrap();
    assert_eq!(
        (bundle.routes.len(), bundle.routes[0].scope),
        (1, policy::Scope::Tenant)
    );
    let global = store.load_global().await.unwrap();
    assert_eq!(global.routes[0].scope, policy::Scope::Global);
    assert_eq!(global.routes[0].targets[1].model.as_deref(), Some("llama-3"));

    for (tenant_id, id) in [(Some(tenant.id.as_str()), "rt-3"), (None, "rt-1")] {
        let foreign = store.remove_route(&CHANGE, tenant_id, id).await;
        assert!(matches!(foreign, Err(StoreError::NotFound { .. })));
    }
    store.remove_route(&CHANGE, None, "rt-3").await.unwrap();
    assert!(store.load_global().await.unwrap().routes.is_empty());
}

async fn names_are_unique_where_they_are_used(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let taken = store
        .create_tenant(
            &CHANGE,
            &NewTenant {
                id: "ten-2",
                name: "acme",
                strict: false,
            },
        )
        .await;
    let conflict = taken.unwrap_err();
    assert_eq!(
        conflict,
        StoreError::Conflict {
            what: "a tenant `acme`".to_owned()
        }
    );

    let key = world.key(&acme.id, "ci").await;
    let twin = |id, tenant_id| NewGatewayKey {
        id,
        tenant_id,
        name: "ci",
        models: None,
        expires_at_ms: None,
    };
    let taken = store.create_key(&CHANGE, &twin("key-2", &acme.id), b"d").await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    store
        .create_key(&CHANGE, &twin("key-3", &other.id), b"d")
        .await
        .unwrap();
    // A revoked key gives its name back.
    store.revoke_key(&CHANGE, &acme.id, &key.id).await.unwrap();
    store
        .create_key(&CHANGE, &twin("key-4", &acme.id), b"d")
        .await
        .unwrap();

    world.credential(&acme.id, "main").await;
    let twin = NewCredential {
        id: "cred-2",
        ..new_credential(&acme.id, "main", None)
    };
    let taken = store.add_credential(&CHANGE, &twin).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
    let elsewhere = NewCredential {
        provider: "groq",
        ..twin
    };
    store.add_credential(&CHANGE, &elsewhere).await.unwrap();
}

async fn what_is_no_name_is_refused(database: TestDatabase) {
    let world = World::new(database).await;
    let too_long = "n".repeat(65);
    for name in ["", "two words", "a/b", "ä", "a\0b", "*", too_long.as_str()] {
        let refused = world
            .store
            .create_tenant(
                &CHANGE,
                &NewTenant {
                    id: "ten-1",
                    name,
                    strict: false,
                },
            )
            .await;
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("1 to 64 of the letters"), "{name:?}: {why}");
    }
    let tenant = world.tenant(&"n".repeat(64)).await;
    let route = NewRoute {
        id: "rt-1",
        tenant_id: Some(&tenant.id),
        pattern: "gpt-[",
        targets: "openai",
    };
    let no_target = NewRoute {
        pattern: "gpt-*",
        targets: "openai,",
        ..route
    };
    for route in [route, no_target] {
        let refused = world.store.set_route(&CHANGE, &route).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })));
    }
}

async fn a_tenant_reaches_nothing_of_another(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let key = world.key(&acme.id, "ci").await;
    let credential = world.credential(&acme.id, "main").await;
    let before = store.revision().await.unwrap();

    assert!(store.list_keys(&other.id).await.unwrap().is_empty());
    assert!(store.key_by_id(&other.id, &key.id).await.unwrap().is_none());
    assert!(store.list_credentials(&other.id).await.unwrap().is_empty());
    let bundle = store.load_tenant(&other.id).await.unwrap().unwrap();
    assert!(bundle.keys.is_empty() && bundle.credentials.is_empty());
    let (tenant, id) = (other.id.as_str(), credential.id.as_str());
    let refused = [
        store.rotate_key(&CHANGE, tenant, &key.id, b"d", NOW_MS).await,
        store.revoke_key(&CHANGE, tenant, &key.id).await,
        store.set_credential_weight(&CHANGE, tenant, id, 9).await,
        store.set_credential_disabled(&CHANGE, tenant, id, true).await,
        store.remove_credential(&CHANGE, tenant, id).await,
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(StoreError::NotFound { .. })));
    }
    assert_eq!(
        store.revision().await.unwrap(),
        before,
        "a refused change leaves no trace"
    );
    assert_eq!(store.list_credentials(&acme.id).await.unwrap(), [credential]);
}
