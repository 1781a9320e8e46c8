//! Prices of the operator's own.

use policy::price::{Layer, PriceBook, Tier};
use store::{NewPrice, StoreError};
use testkit::database::TestDatabase;

use crate::world::{CHANGE, NOW_MS, World};

crate::on_both_databases!(
    a_price_is_set_replaced_and_removed,
    what_makes_no_sense_is_not_set_and_nothing_else_with_it,
    a_price_that_cannot_be_read_is_poison_for_its_tenant_only,
    a_price_for_all_that_cannot_be_read_is_no_price,
);

fn price(id: &str, model: &str, from_ms: i64, price: &str) -> NewPrice {
    NewPrice {
        id: id.to_owned(),
        provider: "openai".to_owned(),
        model: model.to_owned(),
        from_ms,
        price: price.parse().unwrap(),
        context: Some(1_000),
        max_output: None,
        source: "by hand".to_owned(),
    }
}

async fn a_price_is_set_replaced_and_removed(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let tenant = world.tenant("acme").await;
    let own = Some(tenant.id.as_str());
    let before = store.revision().await.unwrap();
    let first = [
        price("pr-1", "m", 5, "input 1, output 2"),
        price("pr-2", "n", 5, "input 3"),
    ];
    let rows = store.set_prices(&CHANGE, own, &first).await.unwrap();
    assert_eq!(
        (rows[0].id.as_str(), rows[0].context, rows[0].max_output),
        ("pr-1", Some(1_000), None)
    );
    assert_eq!(
        store.changes_since(before).await.unwrap().tenants,
        std::slice::from_ref(&tenant.id)
    );

    let again = price("pr-3", "m", 5, "output 4, input 2");
    let later = price("pr-4", "m", 9, "input 7, output 7");
    store.set_prices(&CHANGE, own, &[again, later]).await.unwrap();
    store
        .set_prices(&CHANGE, None, &[price("pr-5", "m", 0, "input 9, output 9")])
        .await
        .unwrap();
    let kept = store.list_prices(own).await.unwrap();
    let shown: Vec<_> = kept
        .iter()
        .map(|row| (row.id.as_str(), row.from_ms, row.price.as_str()))
        .collect();
    let expected = [
        ("pr-4", 9, "input 7, output 7"),
        ("pr-1", 5, "input 2, output 4"),
        ("pr-2", 5, "input 3"),
    ];
    assert_eq!(shown, expected);
    assert!(kept.iter().all(|row| row.tenant_id.as_deref() == own));

    let bundle = store.load_tenant(&tenant.id).await.unwrap().unwrap();
    let global = store.load_global().await.unwrap();
    let book = PriceBook::new(Some(bundle.prices), Some(global.prices));
    let found = |at_ms| {
        let found = book.find("openai", "m", at_ms).unwrap();
        (
            found.layer,
            found.price.price.rates(Tier::Standard, 1).unwrap().to_string(),
        )
    };
    assert_eq!(found(4), (Layer::Global, "input 9, output 9".to_owned()));
    assert_eq!(found(5), (Layer::Tenant, "input 2, output 4".to_owned()));
    assert_eq!(found(9), (Layer::Tenant, "input 7, output 7".to_owned()));

    for (scope, id) in [(own, "pr-5"), (None, "pr-1")] {
        let foreign = store.remove_price(&CHANGE, scope, id).await;
        assert!(matches!(foreign, Err(StoreError::NotFound { .. })));
    }
    store.remove_price(&CHANGE, None, "pr-5").await.unwrap();
    assert!(store.load_global().await.unwrap().prices.is_empty());
    let actions: Vec<String> = store
        .list_audit(None, 0, 3)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.action)
        .collect();
    assert_eq!(actions, ["price.remove", "price.set", "price.set"]);

    store.remove_tenant(&CHANGE, &tenant.id).await.unwrap();
    assert_eq!(world.count("SELECT COUNT(*) FROM prices").await, 0);
}

async fn what_makes_no_sense_is_not_set_and_nothing_else_with_it(database: TestDatabase) {
    let world = World::new(database).await;
    let good = || price("pr-1", "m", NOW_MS, "input 1");
    let bad = [
        NewPrice {
            provider: "a b".to_owned(),
            ..good()
        },
        NewPrice {
            model: String::new(),
            ..good()
        },
        NewPrice {
            model: "a b".to_owned(),
            ..good()
        },
        NewPrice {
            model: "a\0".to_owned(),
            ..good()
        },
        NewPrice {
            model: "x".repeat(257),
            ..good()
        },
        NewPrice {
            source: "a\nb".to_owned(),
            ..good()
        },
    ];
    for bad in bad {
        let refused = world.store.set_prices(&CHANGE, None, &[good(), bad]).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    }
    let nobody = world
        .store
        .set_prices(&CHANGE, Some("ten-nobody"), &[good()])
        .await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
    assert!(world.store.list_prices(None).await.unwrap().is_empty());
}

async fn a_price_that_cannot_be_read_is_poison_for_its_tenant_only(database: TestDatabase) {
    let world = World::new(database).await;
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let new = [price("pr-1", "m", 5, "input 1")];
    world
        .store
        .set_prices(&CHANGE, Some(&acme.id), &new)
        .await
        .unwrap();
    for bad in [
        "UPDATE prices SET price = 'gold'",
        "UPDATE prices SET price = 'input 1', context = -1",
    ] {
        world.tamper(bad).await;
        let outcome = world.store.load_tenant(&acme.id).await.err();
        assert!(
            matches!(outcome, Some(StoreError::Poison { table: "prices", .. })),
            "{outcome:?}"
        );
        assert!(world.store.load_tenant(&other.id).await.unwrap().is_some());
    }
    world
        .store
        .remove_price(&CHANGE, Some(&acme.id), "pr-1")
        .await
        .unwrap();
    assert!(world.store.load_tenant(&acme.id).await.unwrap().is_some());
}

async fn a_price_for_all_that_cannot_be_read_is_no_price(database: TestDatabase) {
    let world = World::new(database).await;
    let new = [
        price("pr-1", "gpt-4o", 5, "input 1"),
        price("pr-2", "m", 5, "input 1"),
    ];
    world.store.set_prices(&CHANGE, None, &new).await.unwrap();
    world
        .tamper("UPDATE prices SET price = 'gold' WHERE id = 'pr-1'")
        .await;
    let global = world.store.load_global().await.unwrap();
    assert!(
        matches!(&global.broken[..], [StoreError::Poison { row, .. }] if row == "pr-1"),
        "{:?}",
        global.broken
    );
    let book = PriceBook::new(None, Some(global.prices));
    let rates = |model| {
        let found = book.find("openai", model, 9).unwrap();
        found
            .price
            .price
            .rates(Tier::Standard, 1)
            .map(ToString::to_string)
    };
    // Not the price that comes with the program, which is not what was meant.
    assert_eq!(rates("gpt-4o"), None);
    assert_eq!(rates("m").as_deref(), Some("input 1"));
}
