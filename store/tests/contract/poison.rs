//! A row that makes no sense is named, and concerns its tenant alone.

use store::StoreError;
use testkit::database::TestDatabase;

use crate::world::{CHANGE, World};

crate::on_both_databases!(
    an_unknown_word_is_poison_for_its_tenant_only,
    what_cannot_be_read_as_a_rule_is_poison,
    a_role_wider_than_its_scope_is_poison,
);

async fn an_unknown_word_is_poison_for_its_tenant_only(database: TestDatabase) {
    let world = World::new(database).await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.credential(&acme.id, "main").await;
    world.credential(&other.id, "spare").await;
    world
        .tamper("UPDATE credentials SET base_url_by = 'martian' WHERE id = 'cred-main'")
        .await;
    let poison = world.store.load_tenant(&acme.id).await.err().unwrap();
    let expected = StoreError::Poison {
        table: "credentials",
        row: "cred-main".to_owned(),
        why: "base_url_by is `martian`".to_owned(),
    };
    assert_eq!(poison, expected);
    assert!(world.store.load_tenant(&other.id).await.unwrap().is_some());
    // It can be mended by the ordinary way.
    world
        .store
        .remove_credential(&CHANGE, &acme.id, "cred-main")
        .await
        .unwrap();
    assert!(world.store.load_tenant(&acme.id).await.unwrap().is_some());
}

async fn what_cannot_be_read_as_a_rule_is_poison(database: TestDatabase) {
    let world = World::new(database).await;
    let acme = world.tenant("acme").await;
    world.key(&acme.id, "ci").await;
    let table_of = async || match world.store.load_tenant(&acme.id).await.err() {
        Some(StoreError::Poison { table, .. }) => Some(table),
        _ => None,
    };
    assert_eq!(table_of().await, None);
    world.tamper("UPDATE gateway_keys SET models = 'gpt-['").await;
    assert_eq!(table_of().await, Some("gateway_keys"));
    world.tamper("UPDATE gateway_keys SET models = NULL").await;
    world
        .tamper("INSERT INTO routes (scope, pattern, id, targets) VALUES ('ten-acme', 'x', 'rt-1', '/')")
        .await;
    assert_eq!(table_of().await, Some("routes"));
    world.tamper("DELETE FROM routes").await;
    world.tamper("UPDATE tenants SET disabled = 2").await;
    assert_eq!(table_of().await, Some("tenants"));
    world.tamper("UPDATE tenants SET disabled = 0, strict = -1").await;
    assert_eq!(table_of().await, Some("tenants"));
}

async fn a_role_wider_than_its_scope_is_poison(database: TestDatabase) {
    let world = World::new(database).await;
    let acme = world.tenant("acme").await;
    let new = store::NewAdminKey {
        id: "adm1",
        name: "ops",
        tenant_id: Some(&acme.id),
    };
    world.store.create_admin_key(&CHANGE, &new, b"d").await.unwrap();
    for role in [
        "UPDATE admin_keys SET role = 'operator'",
        "UPDATE admin_keys SET role = 'martian'",
    ] {
        world.tamper(role).await;
        let outcome = world.store.admin_key_by_id("adm1").await;
        assert!(matches!(
            outcome,
            Err(StoreError::Poison {
                table: "admin_keys",
                ..
            })
        ));
    }
}
