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
    _database: TestDatabase,
}

impl World {
    async fn new(tenants_max: u64) -> Self {
        let database = TestDatabase::sqlite();
        let vault = Vault::new(MasterKeys::generate().unwrap());
        let store = Store::open(database.url(), vault, StoreOptions::default())
            .await
            .unwrap();
        store.migrate(1).await.unwrap();
        store.prepare_vault(1).await.unwrap();
        tenant_with_key(&store, "a").await;
        let settings = DirectorySettings {
            tenants_max,
            tenant_idle: Duration::from_secs(60),
        };
        let catalog = Arc::new(Catalog::built_in().unwrap());
        let directory = Directory::open(store.clone(), catalog, &settings, Handle::current())
            .await
            .unwrap();
        Self {
            store,
            directory,
            _database: database,
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
        .create_tenant(&CHANGE, &NewTenant { id: &tenant_id, name })
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
