//! Changes are numbered, recorded and announced.

use std::time::Duration;

use store::{NewRoute, NewTenant};
use testkit::database::TestDatabase;
use tokio::time::timeout;

use crate::world::{CHANGE, NOW_MS, World, open};

crate::on_both_databases!(
    a_change_is_seen_by_whoever_asks_since_when,
    a_removed_tenant_is_told_too,
    a_database_that_was_set_back_is_read_anew,
    each_change_leaves_one_audit_row_and_a_refused_one_none,
    a_change_that_cannot_be_recorded_does_not_happen,
    an_announcement_wakes_where_there_are_any,
    changes_at_once_get_a_number_each,
);

async fn a_change_is_seen_by_whoever_asks_since_when(database: TestDatabase) {
    let world = World::new(database).await;
    let replica = open(&world.database, &world.ring).await;
    let start = replica.revision().await.unwrap();
    let tenant = world.tenant("acme").await;
    world.tenant("other").await;
    let changes = replica.changes_since(start).await.unwrap();
    assert_eq!(changes.tenants, ["ten-acme", "ten-other"]);
    assert!(!changes.global);
    let loaded = replica.load_tenant(&tenant.id).await.unwrap().unwrap();
    assert_eq!(loaded.revision, changes.revision);

    let since = changes.revision;
    world.key(&tenant.id, "ci").await;
    let route = NewRoute {
        id: "rt-1",
        tenant_id: None,
        pattern: "*",
        targets: "openai",
    };
    world.store.set_route(&CHANGE, &route).await.unwrap();
    let changes = replica.changes_since(since).await.unwrap();
    assert_eq!(
        (changes.tenants, changes.global),
        (vec!["ten-acme".to_owned()], true)
    );
    assert_eq!(replica.load_global().await.unwrap().revision, changes.revision);
    let nothing = replica.changes_since(changes.revision).await.unwrap();
    assert!(nothing.tenants.is_empty() && !nothing.global);
}

async fn a_removed_tenant_is_told_too(database: TestDatabase) {
    let world = World::new(database).await;
    let tenant = world.tenant("acme").await;
    let since = world.store.revision().await.unwrap();
    world.store.remove_tenant(&CHANGE, &tenant.id).await.unwrap();
    assert_eq!(
        world.store.changes_since(since).await.unwrap().tenants,
        [tenant.id]
    );
}

async fn a_database_that_was_set_back_is_read_anew(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let changes = world.store.changes_since(1_000_000).await.unwrap();
    assert_eq!(
        (changes.tenants, changes.global),
        (vec!["ten-acme".to_owned()], true)
    );
    assert_eq!(changes.revision, world.store.revision().await.unwrap());
}

async fn each_change_leaves_one_audit_row_and_a_refused_one_none(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    let credential = world.credential(&tenant.id, "main").await;
    let refused = store
        .create_tenant(
            &CHANGE,
            &NewTenant {
                id: "ten-2",
                name: "acme",
                strict: false,
            },
        )
        .await;
    assert!(refused.is_err());
    store
        .remove_credential(&CHANGE, &tenant.id, &credential.id)
        .await
        .unwrap();

    let rows = store.list_audit(Some(&tenant.id), NOW_MS, 10).await.unwrap();
    let actions: Vec<&str> = rows.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["credential.remove", "credential.add", "tenant.create"]);
    let added = &rows[1];
    assert_eq!((added.actor.as_str(), added.at_ms), ("admin:tester", NOW_MS));
    assert_eq!(
        (added.subject.as_str(), added.tenant_id.as_ref()),
        ("cred-main", Some(&tenant.id))
    );
    assert!(added.detail.contains("\"provider\":\"openai\"") && !added.detail.contains("canary"));
    let all = store.list_audit(None, 0, 100).await.unwrap();
    assert_eq!(
        all.len() as i64,
        store.revision().await.unwrap(),
        "one for each revision"
    );
    assert_eq!(all.last().unwrap().action, "vault.create");
    assert!(store.list_audit(None, NOW_MS + 1, 10).await.unwrap().is_empty());
}

async fn a_change_that_cannot_be_recorded_does_not_happen(database: TestDatabase) {
    let world = World::new(database).await;
    let tenant = world.tenant("acme").await;
    world.credential(&tenant.id, "main").await;
    let before = world.store.revision().await.unwrap();
    world.tamper("ALTER TABLE audit RENAME TO away").await;
    let new = NewTenant {
        id: "ten-2",
        name: "other",
        strict: false,
    };
    assert!(world.store.create_tenant(&CHANGE, &new).await.is_err());
    assert!(
        world
            .store
            .remove_credential(&CHANGE, &tenant.id, "cred-main")
            .await
            .is_err()
    );
    assert!(world.store.remove_tenant(&CHANGE, &tenant.id).await.is_err());
    world.tamper("ALTER TABLE away RENAME TO audit").await;
    assert_eq!(world.store.revision().await.unwrap(), before);
    assert_eq!(
        world.store.list_tenants().await.unwrap(),
        std::slice::from_ref(&tenant)
    );
    assert_eq!(world.store.list_credentials(&tenant.id).await.unwrap().len(), 1);
}

async fn an_announcement_wakes_where_there_are_any(database: TestDatabase) {
    let world = World::new(database).await;
    let replica = open(&world.database, &world.ring).await;
    let mut wakeups = replica.wakeups();
    let is_postgres = world.database.url().starts_with("postgres");
    if !is_postgres {
        world.tenant("acme").await;
        assert!(timeout(Duration::from_millis(50), wakeups.next()).await.is_err());
        return;
    }
    // The first one says that the listener is there.
    timeout(Duration::from_secs(10), wakeups.next()).await.unwrap();
    world.tenant("acme").await;
    timeout(Duration::from_secs(10), wakeups.next()).await.unwrap();
    // A listener whose connection was cut comes back by itself, and wakes, since it may have missed something.
    let cut = "SELECT CAST(COUNT(pg_terminate_backend(pid)) AS BIGINT) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(world.count(cut).await, 1);
    timeout(Duration::from_secs(10), wakeups.next()).await.unwrap();
    world.tenant("other").await;
    timeout(Duration::from_secs(10), wakeups.next()).await.unwrap();
}

async fn changes_at_once_get_a_number_each(database: TestDatabase) {
    let world = World::new(database).await;
    let start = world.store.revision().await.unwrap();
    let making = (0..20).map(|number| {
        let store = world.store.clone();
        tokio::spawn(async move {
            let name = format!("t{number}");
            let id = format!("ten-{name}");
            store
                .create_tenant(
                    &CHANGE,
                    &NewTenant {
                        id: &id,
                        name: &name,
                        strict: false,
                    },
                )
                .await
                .unwrap();
        })
    });
    for made in making.collect::<Vec<_>>() {
        made.await.unwrap();
    }
    let changes = world.store.changes_since(start).await.unwrap();
    assert_eq!((changes.tenants.len(), changes.revision), (20, start + 20));
    assert_eq!(world.count("SELECT COUNT(*) FROM audit").await, start + 20);
}
