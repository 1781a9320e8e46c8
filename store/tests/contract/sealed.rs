//! What is sealed stays sealed, in its place, and can be moved to another master key while everything is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use store::{NewTenant, StoreError};
use testkit::database::TestDatabase;
use vault::{MasterKeys, Secret, Vault, VaultError};

use crate::world::{CHANGE, NOW_MS, World, open, open_with, secret_of};

crate::on_both_databases!(
    a_rotation_moves_every_data_key_while_others_serve,
    a_rotation_that_was_broken_off_goes_on,
    a_wrong_master_key_is_noticed,
    swapped_secrets_do_not_open,
    swapped_data_keys_do_not_open,
    a_removed_tenant_is_shredded,
    no_secret_is_in_the_database,
    everything_sealed_can_be_verified,
);

async fn a_rotation_moves_every_data_key_while_others_serve(database: TestDatabase) {
    let world = World::new(database).await;
    for number in 0..30 {
        let tenant = world.tenant(&format!("t{number}")).await;
        world.credential(&tenant.id, &format!("c{number}")).await;
    }
    let digests = world.store.digest_key().await.unwrap();
    let digest = digests.digest("secret");

    // The operator's key file, which both processes can read.
    let file = Arc::new(ArcSwap::from_pointee(world.ring.clone()));
    let read_file = {
        let file = Arc::clone(&file);
        Arc::new(move || Ok((**file.load()).clone()))
    };
    let serving = open_with(&world.database, Vault::reloading(world.ring.clone(), read_file)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let server = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut made = 0;
            while !stop.load(Ordering::SeqCst) || made == 0 {
                let name = format!("new{made}");
                let id = format!("ten-{name}");
                serving
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
                made += 1;
                for number in 0..30 {
                    let bundle = serving
                        .load_tenant(&format!("ten-t{number}"))
                        .await
                        .unwrap()
                        .unwrap();
                    let expected = Secret::new(secret_of(&format!("c{number}")));
                    assert!(bundle.credentials[0].secret.as_ref().unwrap().matches(&expected));
                }
            }
            made
        }
    });

    let next = world.ring.with_next().unwrap();
    file.store(Arc::new(next.clone()));
    let rotating = open(&world.database, &next).await;
    let mut rounds = 0;
    loop {
        let round = rotating.rewrap_data_keys(&CHANGE, 7).await.unwrap();
        rounds += 1;
        assert!(round.moved <= 7);
        if round.left == 0 {
            break;
        }
    }
    assert!(rounds >= 5);
    stop.store(true, Ordering::SeqCst);
    let made = server.await.unwrap();

    let status = rotating.vault_status().await.unwrap();
    assert_eq!((status.current_version, status.proof_version), (2, 2));
    assert_eq!(status.data_keys.into_iter().collect::<Vec<_>>(), [(2, 31 + made)]);

    // After a restart the new key alone is enough, and known gateway keys are still known.
    let restarted = open(&world.database, &next.current_only()).await;
    restarted.prepare_vault(NOW_MS).await.unwrap();
    assert!(restarted.digest_key().await.unwrap().verify("secret", &digest));
    let report = restarted.verify_sealed().await.unwrap();
    assert_eq!((report.opened, report.broken), (31 + made + 30, vec![]));
    // The old one is not.
    let outdated = open(&world.database, &world.ring).await;
    assert_eq!(
        outdated.prepare_vault(NOW_MS).await,
        Err(StoreError::WrongMasterKey)
    );
}

async fn a_rotation_that_was_broken_off_goes_on(database: TestDatabase) {
    let world = World::new(database).await;
    for number in 0..5 {
        world.tenant(&format!("t{number}")).await;
    }
    let next = world.ring.with_next().unwrap();
    let first = open(&world.database, &next)
        .await
        .rewrap_data_keys(&CHANGE, 2)
        .await
        .unwrap();
    assert_eq!((first.moved, first.left), (2, 4));
    // The new key alone does not yet open everything, and says so.
    let too_early = open(&world.database, &next.current_only()).await;
    let missing = StoreError::Vault(VaultError::UnknownVersion(1));
    assert_eq!(too_early.prepare_vault(NOW_MS).await, Err(missing));
    let second = open(&world.database, &next).await;
    second.prepare_vault(NOW_MS).await.unwrap();
    let rest = second.rewrap_data_keys(&CHANGE, 100).await.unwrap();
    assert_eq!((rest.moved, rest.left), (4, 0));
    let before = second.revision().await.unwrap();
    let nothing = second.rewrap_data_keys(&CHANGE, 100).await.unwrap();
    assert_eq!((nothing.moved, nothing.left), (0, 0));
    assert_eq!(
        second.revision().await.unwrap(),
        before,
        "nothing done, nothing recorded"
    );
}

async fn a_wrong_master_key_is_noticed(database: TestDatabase) {
    let world = World::new(database).await;
    world.store.prepare_vault(NOW_MS).await.unwrap();
    let wrong = open(&world.database, &MasterKeys::generate().unwrap()).await;
    assert_eq!(wrong.prepare_vault(NOW_MS).await, Err(StoreError::WrongMasterKey));
    let refused = wrong
        .create_tenant(
            &CHANGE,
            &NewTenant {
                id: "ten-1",
                name: "acme",
                strict: false,
            },
        )
        .await;
    assert_eq!(refused.err(), Some(StoreError::WrongMasterKey));
    assert_eq!(
        wrong.rewrap_data_keys(&CHANGE, 10).await.err(),
        Some(StoreError::WrongMasterKey)
    );
}

async fn swapped_secrets_do_not_open(database: TestDatabase) {
    let world = World::new(database).await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.credential(&acme.id, "one").await;
    world.credential(&acme.id, "two").await;
    world.credential(&other.id, "three").await;
    // Inside one tenant, under one data key, it is the place that refuses.
    world
        .tamper(
            "UPDATE credentials SET secret = \
             (SELECT theirs.secret FROM credentials AS theirs WHERE theirs.id = 'cred-two') WHERE id = 'cred-one'",
        )
        .await;
    let poison = world.store.load_tenant(&acme.id).await.err().unwrap();
    assert!(matches!(poison, StoreError::Poison { table: "credentials", row, .. } if row == "cred-one"));
    assert!(world.store.load_tenant(&other.id).await.unwrap().is_some());
    let report = world.store.verify_sealed().await.unwrap();
    let broken: Vec<&str> = report.broken.iter().map(|blob| blob.row.as_str()).collect();
    assert_eq!(broken, ["cred-one"]);
}

async fn swapped_data_keys_do_not_open(database: TestDatabase) {
    let world = World::new(database).await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.credential(&acme.id, "main").await;
    world
        .tamper(
            "UPDATE data_keys SET wrapped = \
             (SELECT theirs.wrapped FROM data_keys AS theirs WHERE theirs.scope = 'ten-other') \
             WHERE scope = 'ten-acme'",
        )
        .await;
    let poison = world.store.load_tenant(&acme.id).await.err().unwrap();
    assert!(matches!(poison, StoreError::Poison { table: "data_keys", row, .. } if row == acme.id));
    assert!(world.store.load_tenant(&other.id).await.unwrap().is_some());
    // A rotation passes over it, and says that it is left.
    let rotating = open(&world.database, &world.ring.with_next().unwrap()).await;
    let round = rotating.rewrap_data_keys(&CHANGE, 100).await.unwrap();
    assert_eq!((round.moved, round.left), (2, 1));
}

async fn a_removed_tenant_is_shredded(database: TestDatabase) {
    let world = World::new(database).await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.key(&acme.id, "ci").await;
    world.credential(&acme.id, "main").await;
    world.credential(&other.id, "spare").await;
    world.store.remove_tenant(&CHANGE, &acme.id).await.unwrap();
    for left in [
        "SELECT COUNT(*) FROM data_keys WHERE scope = 'ten-acme'",
        "SELECT COUNT(*) FROM credentials WHERE tenant_id = 'ten-acme'",
        "SELECT COUNT(*) FROM gateway_keys WHERE tenant_id = 'ten-acme'",
        "SELECT COUNT(*) FROM key_secrets WHERE tenant_id = 'ten-acme'",
    ] {
        assert_eq!(world.count(left).await, 0, "{left}");
    }
    // The same id again is another tenant: it has a key of its own, and nothing of the first.
    let again = world.tenant("acme").await;
    let bundle = world.store.load_tenant(&again.id).await.unwrap().unwrap();
    assert!(bundle.keys.is_empty() && bundle.credentials.is_empty());
    assert!(world.store.load_tenant(&other.id).await.unwrap().is_some());
}

/// On Postgres, what a deleted row leaves in a page is the database's own affair until it is vacuumed.
#[tokio::test]
async fn a_removed_data_key_is_gone_from_sqlites_files_too() {
    let world = World::new(TestDatabase::sqlite()).await;
    let tenant = world.tenant("acme").await;
    let path = world.database.url().strip_prefix("sqlite:").unwrap().to_owned();
    let pool = sqlx::AnyPool::connect(world.database.url()).await.unwrap();
    let wrapped: Vec<u8> = sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE scope = $1")
        .bind(&tenant.id)
        .fetch_one(&pool)
        .await
        .unwrap();
    pool.close().await;
    let is_there = || {
        [path.clone(), format!("{path}-wal")].iter().any(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes.windows(wrapped.len()).any(|window| window == wrapped)
        })
    };
    assert!(is_there());
    world.store.remove_tenant(&CHANGE, &tenant.id).await.unwrap();
    assert!(!is_there());
}

async fn no_secret_is_in_the_database(database: TestDatabase) {
    let world = World::new(database).await;
    let tenant = world.tenant("acme").await;
    let credential = world.credential(&tenant.id, "main").await;
    let secret = secret_of("main");
    let pool = sqlx::AnyPool::connect(world.database.url()).await.unwrap();
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT secret FROM credentials WHERE id = $1")
        .bind(&credential.id)
        .fetch_one(&pool)
        .await
        .unwrap();
    pool.close().await;
    assert!(
        !sealed
            .windows(6)
            .any(|window| secret.as_bytes().windows(6).any(|part| part == window))
    );
    if let Some(path) = world.database.url().strip_prefix("sqlite:") {
        for file in [path.to_owned(), format!("{path}-wal")] {
            let bytes = std::fs::read(file).unwrap_or_default();
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes())
            );
        }
    }
}

async fn everything_sealed_can_be_verified(database: TestDatabase) {
    let world = World::new(database).await;
    let tenant = world.tenant("acme").await;
    world.credential(&tenant.id, "main").await;
    let report = world.store.verify_sealed().await.unwrap();
    assert_eq!((report.opened, report.broken), (3, vec![]));
    let status = world.store.vault_status().await.unwrap();
    let counts: Vec<i64> = status.blobs.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [1, 0], "a credential, and no login that is under way");
    world
        .tamper("DELETE FROM data_keys WHERE scope = 'ten-acme'")
        .await;
    let report = world.store.verify_sealed().await.unwrap();
    assert_eq!((report.opened, report.broken[0].why), (1, None));
}
