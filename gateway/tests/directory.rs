//! What the gateway knows without its database, and what it takes in from it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first thing that is wrong"
)]

use std::sync::Arc;
use std::time::Duration;

use gateway::live::{Directory, DirectorySettings, LookupError};
use provider::Catalog;
use store::{Change, NewGatewayKey, NewTenant, Store, StoreOptions};
use testkit::database::TestDatabase;
use tokio::runtime::Handle;
use vault::{MasterKeys, Vault};

const CHANGE: Change<'_> = Change {
    actor: "test",
    at_ms: 1,
};

/// A directory over a database with a tenant `ten-a`, whose key is `key-a`.
struct World {
    store: Store,
    directory: Directory,
    database: TestDatabase,
}

impl World {
    async fn new(tenants_max: u64) -> Self {
        let settings = DirectorySettings {
            tenants_max,
            tenant_idle: Duration::from_secs(60),
            stale_max: Duration::from_secs(60),
        };
        Self::with(settings).await
    }

    async fn with(settings: DirectorySettings) -> Self {
        let database = TestDatabase::sqlite();
        let vault = Vault::new(MasterKeys::generate().unwrap());
        let store = Store::open(database.url(), vault, StoreOptions::default())
            .await
            .unwrap();
        store.migrate(1).await.unwrap();
        store.prepare_vault(1).await.unwrap();
        tenant_with_key(&store, "a").await;
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let directory = Directory::open(store.clone(), catalog, &settings, Handle::current())
            .await
            .unwrap();
        Self {
            store,
            directory,
            database,
        }
    }

    /// The name of the tenant that owns the key.
    async fn owner(&self, key_id: &str) -> Result<Option<String>, LookupError> {
        let tenant = self.directory.tenant_of_key(key_id).await?;
        Ok(tenant.map(|tenant| tenant.name.clone()))
    }
}

async fn tenant_with_key(store: &Store, name: &str) {
    let tenant_id = format!("ten-{name}");
    store
        .create_tenant(
            &CHANGE,
            &NewTenant {
                id: &tenant_id,
                name,
                strict: false,
            },
        )
        .await
        .unwrap();
    let key_id = format!("key-{name}");
    let key = NewGatewayKey {
        id: &key_id,
        tenant_id: &tenant_id,
        name: "k",
        models: None,
        expires_at_ms: None,
    };
    store.create_key(&CHANGE, &key, &[7; 32]).await.unwrap();
}

#[tokio::test]
async fn with_the_database_away_known_keys_are_served_and_unknown_ones_told_to_wait() {
    let world = World::new(10).await;
    assert_eq!(world.owner("key-a").await.unwrap().as_deref(), Some("a"));
    assert_eq!(world.owner("nobody").await.unwrap(), None);
    world.store.close().await;
    assert_eq!(world.owner("key-a").await.unwrap().as_deref(), Some("a"));
    assert_eq!(
        world.owner("nobody").await.unwrap(),
        None,
        "remembered, since nothing has changed"
    );
    assert!(matches!(
        world.owner("another").await,
        Err(LookupError::Unavailable)
    ));
    assert!(!world.directory.store_answers());
}

#[tokio::test]
async fn a_key_works_from_the_moment_at_which_its_making_is_taken_in() {
    let world = World::new(10).await;
    assert_eq!(world.owner("key-b").await.unwrap(), None);
    tenant_with_key(&world.store, "b").await;
    assert_eq!(world.owner("key-b").await.unwrap(), None, "not taken in yet");
    world.directory.take_in_changes().await.unwrap();
    assert_eq!(world.owner("key-b").await.unwrap().as_deref(), Some("b"));
}

#[tokio::test]
async fn a_change_replaces_what_is_in_memory() {
    let world = World::new(10).await;
    assert!(
        !world
            .directory
            .tenant_of_key("key-a")
            .await
            .unwrap()
            .unwrap()
            .disabled
    );
    world
        .store
        .set_tenant_disabled(&CHANGE, "ten-a", true)
        .await
        .unwrap();
    world.directory.take_in_changes().await.unwrap();
    world.store.close().await;
    assert!(
        world
            .directory
            .tenant_of_key("key-a")
            .await
            .unwrap()
            .unwrap()
            .disabled
    );
}

#[tokio::test]
async fn the_keys_of_a_removed_tenant_are_asked_for_no_more() {
    let world = World::new(10).await;
    assert!(world.owner("key-a").await.unwrap().is_some());
    world.store.remove_tenant(&CHANGE, "ten-a").await.unwrap();
    world.directory.take_in_changes().await.unwrap();
    assert_eq!(world.owner("key-a").await.unwrap(), None);
    assert_eq!(world.owner("key-a").await.unwrap(), None);
    world.store.close().await;
    assert_eq!(
        world.owner("key-a").await.unwrap(),
        None,
        "known without the database"
    );
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_in_memory_is_not_served_for_ever_without_word_from_the_database() {
    let world = World::with(DirectorySettings {
        tenants_max: 10,
        tenant_idle: Duration::from_secs(60),
        stale_max: Duration::from_millis(300),
    })
    .await;
    assert!(world.owner("key-a").await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(
        matches!(world.owner("key-a").await, Err(LookupError::Unavailable)),
        "whoever asks it may hang"
    );
    // As the poll does.
    world.directory.take_in_changes().await.unwrap();
    assert!(world.owner("key-a").await.unwrap().is_some());
    world.store.close().await;
    let away = std::time::Instant::now();
    until("refused", async || {
        // As the poll does.
        let _away = world.directory.take_in_changes().await;
        matches!(world.owner("key-a").await, Err(LookupError::Unavailable))
    })
    .await;
    assert!(away.elapsed() < Duration::from_secs(5));
    assert!(world.directory.store_silent_for() > Duration::from_millis(300));
}

#[tokio::test]
async fn a_tenant_without_calls_is_dropped_from_memory() {
    let world = World::with(DirectorySettings {
        tenants_max: 10,
        tenant_idle: Duration::from_millis(200),
        stale_max: Duration::from_secs(60),
    })
    .await;
    assert!(world.owner("key-a").await.unwrap().is_some());
    world.store.close().await;
    assert!(world.owner("key-a").await.unwrap().is_some(), "in memory");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        matches!(world.owner("key-a").await, Err(LookupError::Unavailable)),
        "it would have to be loaded again"
    );
}

#[tokio::test]
async fn no_more_tenants_are_in_memory_than_are_allowed() {
    let world = World::new(5).await;
    for number in 0..40 {
        let name = format!("n{number}");
        tenant_with_key(&world.store, &name).await;
        assert!(world.owner(&format!("key-{name}")).await.unwrap().is_some());
    }
    until("few are kept", async || {
        // Looking is what makes the cache tidy up.
        let _tidied = world.owner("key-n39").await;
        world.directory.tenants_in_memory() <= 5
    })
    .await;
}

#[tokio::test]
async fn a_broken_rule_for_all_tenants_stops_no_change() {
    let world = World::new(10).await;
    tamper(
        &world,
        "INSERT INTO routes (scope, pattern, id, targets) VALUES ('*', 'gpt-*', 'rt-1', '/')",
    )
    .await;
    world
        .store
        .set_route(
            &CHANGE,
            &store::NewRoute {
                id: "rt-2",
                tenant_id: None,
                pattern: "fast",
                targets: "echo/echo-1",
            },
        )
        .await
        .unwrap();
    world.directory.take_in_changes().await.unwrap();
    let global = world.directory.global();
    let kept: Vec<(&str, usize)> = global
        .routes
        .iter()
        .map(|route| (route.id.as_str(), route.targets.len()))
        .collect();
    assert_eq!(kept, [("rt-2", 1), ("rt-1", 0)]);
    assert_eq!(world.directory.poison_found(), 1);
    assert!(world.owner("key-a").await.unwrap().is_some());
}

async fn tamper(world: &World, statement: &'static str) {
    let url = world.database.url().to_owned();
    tokio::task::spawn_blocking(move || testkit::database::execute(&url, statement))
        .await
        .unwrap();
}
