//! Limits come back as they went in, one for each subject, unit and period, and belong to their tenant.

use std::sync::Arc;

use policy::limit::{Cap, Firmness, Limit, Mode, Period, Subject, Unit, Unpriced};
use store::{LimitRow, NewLimit, Store, StoreError};
use testkit::database::TestDatabase;

use crate::world::{CHANGE, NOW_MS, World};

crate::on_both_databases!(
    a_limit_is_set_replaced_observed_and_removed,
    no_cap_and_a_cap_of_nothing_are_two_things,
    what_cannot_be_meant_is_refused,
    a_limit_is_on_what_is_the_tenants_own,
    limits_go_with_what_they_are_on,
    every_change_of_a_limit_is_told,
    a_limit_that_makes_no_sense_is_poison_for_its_tenant_only,
);

fn limit(id: &str, subject: Subject, unit: Unit, period: Period, cap: u64) -> Limit {
    Limit {
        id: Arc::from(id),
        subject,
        unit,
        period,
        zone: Arc::from("UTC"),
        cap: Cap::Units(cap),
        mode: Mode::Enforce,
        firmness: Firmness::Hard,
        unpriced: Unpriced::Refuse,
    }
}

async fn set(store: &Store, tenant_id: &str, limit: &Limit) -> Result<LimitRow, StoreError> {
    let new = NewLimit {
        id: &limit.id,
        tenant_id,
        subject: &limit.subject,
        unit: limit.unit,
        period: limit.period,
        zone: &limit.zone,
        cap: limit.cap,
        mode: Some(limit.mode),
        firmness: limit.firmness,
        unpriced: Some(limit.unpriced),
    };
    store.set_limit(&CHANGE, &new).await
}

/// A thousand million dollars.
const LARGEST: u64 = 1_000_000_000_000_000_000;

fn requests(id: &str, cap: u64) -> Limit {
    limit(id, Subject::Tenant, Unit::Requests, Period::Minute, cap)
}

async fn a_limit_is_set_replaced_observed_and_removed(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let acme = world.tenant("acme").await;
    let bundled = async || {
        let mut limits = store.load_tenant(&acme.id).await.unwrap().unwrap().limits;
        limits.sort_by(|one, other| one.id.cmp(&other.id));
        limits
    };
    assert!(bundled().await.is_empty());
    let dollars = Limit {
        zone: Arc::from("Europe/Berlin"),
        firmness: Firmness::Soft,
        unpriced: Unpriced::Allow,
        ..limit(
            "lim-2",
            Subject::Model(Arc::from("gpt-5")),
            Unit::NanoDollars,
            Period::Month,
            7,
        )
    };
    for wanted in [requests("lim-1", 100), dollars.clone()] {
        let set = set(store, &acme.id, &wanted).await.unwrap();
        assert_eq!(
            (set.limit, set.tenant_id, set.created_at_ms),
            (wanted, acme.id.clone(), NOW_MS)
        );
    }
    assert_eq!(bundled().await, [requests("lim-1", 100), dollars.clone()]);

    // The same subject, unit and period: in its place, under its id.
    let replaced = set(store, &acme.id, &requests("lim-3", 5)).await.unwrap();
    assert_eq!(replaced.limit, requests("lim-1", 5));
    // Another period: beside it.
    let daily = Limit {
        period: Period::Day,
        ..requests("lim-4", 1000)
    };
    set(store, &acme.id, &daily).await.unwrap();
    assert_eq!(bundled().await, [requests("lim-1", 5), dollars, daily]);

    for mode in [Mode::Observe, Mode::Enforce] {
        store
            .set_limit_mode(&CHANGE, &acme.id, "lim-1", mode)
            .await
            .unwrap();
        assert_eq!(bundled().await[0].mode, mode);
    }
    for id in ["lim-1", "lim-2", "lim-4"] {
        store.remove_limit(&CHANGE, &acme.id, id).await.unwrap();
    }
    assert!(bundled().await.is_empty());
    let gone = [
        store.remove_limit(&CHANGE, &acme.id, "lim-1").await,
        store
            .set_limit_mode(&CHANGE, &acme.id, "lim-1", Mode::Observe)
            .await,
    ];
    for outcome in gone {
        assert!(matches!(outcome, Err(StoreError::NotFound { .. })));
    }

    // The same again is the same limit, whose windows are found by its id.
    let again = set(store, &acme.id, &requests("lim-5", 8)).await.unwrap();
    assert_eq!(again.limit, requests("lim-1", 8));
}

async fn no_cap_and_a_cap_of_nothing_are_two_things(database: TestDatabase) {
    let world = World::new(database).await;
    let acme = world.tenant("acme").await;
    for cap in [Cap::Units(0), Cap::Unlimited, Cap::Units(LARGEST)] {
        let wanted = Limit {
            cap,
            ..requests("lim-1", 1)
        };
        set(&world.store, &acme.id, &wanted).await.unwrap();
        let listed = world.store.list_limits(&acme.id).await.unwrap();
        assert_eq!(listed[0].limit.cap, cap);
    }
}

async fn what_cannot_be_meant_is_refused(database: TestDatabase) {
    let world = World::new(database).await;
    let acme = world.tenant("acme").await;
    let fine = || requests("lim-1", 1);
    let long: String = "m".repeat(257);
    let refused = [
        Limit {
            zone: Arc::from("Mars/Olympus"),
            ..fine()
        },
        Limit {
            zone: Arc::from(""),
            ..fine()
        },
        Limit {
            cap: Cap::Units(LARGEST + 1),
            ..fine()
        },
        Limit {
            unit: Unit::Concurrent,
            ..fine()
        },
        Limit {
            period: Period::Always,
            ..fine()
        },
        Limit {
            firmness: Firmness::Soft,
            ..fine()
        },
        Limit {
            subject: Subject::Model(Arc::from("")),
            ..fine()
        },
        Limit {
            subject: Subject::Model(Arc::from("gpt\n5")),
            ..fine()
        },
        Limit {
            subject: Subject::Model(Arc::from(long)),
            ..fine()
        },
    ];
    for wanted in refused {
        let outcome = set(&world.store, &acme.id, &wanted).await;
        assert!(
            matches!(outcome, Err(StoreError::Invalid { .. })),
            "{wanted:?}: {outcome:?}"
        );
    }
    assert!(world.store.list_limits(&acme.id).await.unwrap().is_empty());
    let nobody = set(&world.store, "ten-nobody", &fine()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
}

async fn a_limit_is_on_what_is_the_tenants_own(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let (key, credential) = (
        world.key(&acme.id, "ci").await,
        world.credential(&acme.id, "main").await,
    );
    let on = |subject| Limit {
        subject,
        ..requests("lim-1", 1)
    };
    let own = [
        Subject::Key(Arc::from(key.id.as_str())),
        Subject::Credential(Arc::from(credential.id.as_str())),
    ];
    let absent = [
        Subject::Key(Arc::from("key-none")),
        Subject::Credential(Arc::from("cred-none")),
    ];
    for subject in own.iter().chain(&absent) {
        let outcome = set(store, &other.id, &on(subject.clone())).await;
        assert!(matches!(outcome, Err(StoreError::NotFound { .. })), "{outcome:?}");
    }
    for (number, subject) in own.iter().enumerate() {
        let wanted = Limit {
            id: Arc::from(format!("lim-{number}")),
            ..on(subject.clone())
        };
        set(store, &acme.id, &wanted).await.unwrap();
    }
    // What is one tenant's is not there for another.
    for outcome in [
        store.remove_limit(&CHANGE, &other.id, "lim-1").await,
        store
            .set_limit_mode(&CHANGE, &other.id, "lim-1", Mode::Observe)
            .await,
    ] {
        assert!(matches!(outcome, Err(StoreError::NotFound { .. })));
    }
    let taken = set(store, &other.id, &requests("lim-1", 1)).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    store.revoke_key(&CHANGE, &acme.id, &key.id).await.unwrap();
    let revoked = set(store, &acme.id, &on(own[0].clone())).await;
    assert!(matches!(revoked, Err(StoreError::NotFound { .. })));
}

async fn limits_go_with_what_they_are_on(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let acme = world.tenant("acme").await;
    let credential = world.credential(&acme.id, "main").await;
    let on_credential = Limit {
        subject: Subject::Credential(Arc::from(credential.id.as_str())),
        ..requests("lim-1", 1)
    };
    for wanted in [on_credential, requests("lim-2", 1)] {
        set(store, &acme.id, &wanted).await.unwrap();
    }
    store
        .remove_credential(&CHANGE, &acme.id, &credential.id)
        .await
        .unwrap();
    let left = store.load_tenant(&acme.id).await.unwrap().unwrap().limits;
    assert_eq!(left, [requests("lim-2", 1)]);
    store.remove_tenant(&CHANGE, &acme.id).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM limits").await, 0);
}

async fn every_change_of_a_limit_is_told(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let acme = world.tenant("acme").await;
    let before = store.revision().await.unwrap();
    set(store, &acme.id, &requests("lim-1", 1)).await.unwrap();
    store
        .set_limit_mode(&CHANGE, &acme.id, "lim-1", Mode::Observe)
        .await
        .unwrap();
    store.remove_limit(&CHANGE, &acme.id, "lim-1").await.unwrap();
    let changes = store.changes_since(before).await.unwrap();
    assert_eq!(
        (changes.revision, changes.tenants),
        (before + 3, vec![acme.id.clone()])
    );
    let audit = store.list_audit(Some(&acme.id), 0, 3).await.unwrap();
    let told: Vec<(&str, &str)> = audit
        .iter()
        .map(|row| (row.action.as_str(), row.subject.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("limit.remove", "lim-1"),
            ("limit.set_mode", "lim-1"),
            ("limit.set", "lim-1")
        ]
    );
    assert!(audit[2].detail.contains("\"cap\":1"), "{}", audit[2].detail);
}

async fn a_limit_that_makes_no_sense_is_poison_for_its_tenant_only(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    for spoilt in [
        "UPDATE limits SET unit = 'martian'",
        "UPDATE limits SET period = 'always'",
        "UPDATE limits SET period = 'eon'",
        "UPDATE limits SET zone = 'Mars/Olympus'",
        "UPDATE limits SET cap = -1",
        "UPDATE limits SET mode = 'shout'",
        "UPDATE limits SET firmness = 'wobbly'",
        "UPDATE limits SET firmness = 'soft'",
        "UPDATE limits SET unpriced = 'perhaps'",
        "UPDATE limits SET subject = 'planet'",
    ] {
        set(store, &acme.id, &requests("lim-1", 1)).await.unwrap();
        assert_eq!(world.tamper(spoilt).await, 1);
        let poison = store.load_tenant(&acme.id).await.err();
        assert!(
            matches!(&poison, Some(StoreError::Poison { table: "limits", row, .. }) if row == "lim-1"),
            "{spoilt}: {poison:?}"
        );
        assert!(store.load_tenant(&other.id).await.unwrap().is_some());
        // It can be mended by the ordinary way.
        store.remove_limit(&CHANGE, &acme.id, "lim-1").await.unwrap();
        assert!(store.load_tenant(&acme.id).await.unwrap().is_some());
    }
}
