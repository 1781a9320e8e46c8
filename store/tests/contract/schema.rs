//! Opening and migrating.

use store::{ENCRYPTED_COLUMNS, EncryptedColumn, Migrated, Store, StoreError, StoreOptions};
use testkit::database::TestDatabase;
use vault::{MasterKeys, Vault};

use crate::world::{NOW_MS, World, open};

crate::on_both_databases!(
    any_number_may_migrate_and_prepare_at_once,
    a_newer_schema_is_left_alone,
    an_older_schema_is_told,
    a_version_that_makes_no_sense_changes_nothing,
    one_of_two_master_keys_wins_a_new_database,
);

async fn any_number_may_migrate_and_prepare_at_once(database: TestDatabase) {
    let ring = MasterKeys::generate().unwrap();
    let mut migrating = Vec::new();
    for _ in 0..6 {
        let (url, ring) = (database.url().to_owned(), ring.clone());
        migrating.push(tokio::spawn(async move {
            let store = Store::open(&url, Vault::new(ring), StoreOptions::default())
                .await
                .unwrap();
            let migrated = store.migrate(NOW_MS).await.unwrap();
            store.prepare_vault(NOW_MS).await.unwrap();
            migrated.from
        }));
    }
    let mut new = 0;
    for outcome in migrating {
        new += i32::from(outcome.await.unwrap() == 0);
    }
    assert_eq!(new, 1, "exactly one found a new database");
    let store = open(&database, &ring).await;
    let version = store.schema_version().await.unwrap();
    assert_eq!(
        store.migrate(NOW_MS).await.unwrap(),
        Migrated {
            from: version,
            to: version
        }
    );
    assert_eq!(
        store
            .vault_status()
            .await
            .unwrap()
            .data_keys
            .into_values()
            .sum::<i64>(),
        1
    );
}

async fn a_newer_schema_is_left_alone(database: TestDatabase) {
    let world = World::new(database).await;
    world.store.check_schema().await.unwrap();
    let known = world.store.schema_version().await.unwrap();
    world
        .tamper("UPDATE schema_version SET version = version + 1")
        .await;
    let too_new = StoreError::SchemaTooNew {
        found: known + 1,
        known,
    };
    assert_eq!(world.store.migrate(NOW_MS).await.unwrap_err(), too_new);
    assert_eq!(world.store.check_schema().await.unwrap_err(), too_new);
    assert_eq!(world.store.schema_version().await.unwrap(), known + 1);
}

async fn an_older_schema_is_told(database: TestDatabase) {
    let store = open(&database, &MasterKeys::generate().unwrap()).await;
    let outcome = store.check_schema().await;
    assert!(matches!(outcome, Err(StoreError::SchemaTooOld { found: 0, .. })));
}

async fn a_version_that_makes_no_sense_changes_nothing(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    world.tamper("UPDATE schema_version SET version = -1").await;
    let outcome = world.store.migrate(NOW_MS).await;
    assert!(
        matches!(
            outcome,
            Err(StoreError::Poison {
                table: "schema_version",
                ..
            })
        ),
        "{outcome:?}"
    );
    assert_eq!(world.store.list_tenants().await.unwrap().len(), 1);
}

async fn one_of_two_master_keys_wins_a_new_database(database: TestDatabase) {
    let rings = [MasterKeys::generate().unwrap(), MasterKeys::generate().unwrap()];
    let stores = [open(&database, &rings[0]).await, open(&database, &rings[1]).await];
    stores[0].migrate(NOW_MS).await.unwrap();
    let (one, other) = tokio::join!(stores[0].prepare_vault(NOW_MS), stores[1].prepare_vault(NOW_MS));
    let outcomes = [one, other];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.contains(&Err(StoreError::WrongMasterKey)));
}

#[tokio::test]
async fn what_is_no_database_is_refused_without_its_password() {
    let urls = [
        "mysql://user:canary@localhost/db",
        "tollgate.db",
        "sqlite::memory:",
        "postgres://user:canary@[/db",
        "postgres://user:canary@127.0.0.1:1/db?sslmode=canary",
        "postgres://user:canary@127.0.0.1:1/db",
        "sqlite:/no/such/folder/tollgate.db",
    ];
    for url in urls {
        let vault = Vault::new(MasterKeys::generate().unwrap());
        let error = Store::open(url, vault, StoreOptions::default())
            .await
            .err()
            .unwrap();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("canary"), "{told}");
        assert!(
            matches!(error, StoreError::BadUrl(_) | StoreError::Unavailable(_)),
            "{url}: {told}"
        );
    }
}

/// A new column with bytes has to be either sealed and registered, or named here with what it is instead.
#[test]
fn every_column_of_bytes_is_accounted_for() {
    let not_secrets = [
        ("master_proof", "proof"),
        ("data_keys", "wrapped"),
        ("key_secrets", "digest"),
        ("admin_keys", "digest"),
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut found = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let mut table = String::new();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("--")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["CREATE" | "ALTER", "TABLE", name, ..] => table = (*name).to_owned(),
                [column, "BYTEA" | "BYTEA,", ..] => {
                    found += 1;
                    let registered =
                        |sealed: &EncryptedColumn| sealed.table == table && sealed.column == *column;
                    assert!(
                        not_secrets.contains(&(table.as_str(), column))
                            || ENCRYPTED_COLUMNS.iter().any(registered),
                        "{table}.{column}"
                    );
                }
                _ => {}
            }
        }
    }
    assert_eq!(found, not_secrets.len() + ENCRYPTED_COLUMNS.len());
}
