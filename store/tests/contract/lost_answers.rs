//! A commit whose answer is lost, and a database that is not the one that it was.

use std::time::Duration;

use policy::lease::{LeaseId, RefillAnswer, RefillRequest, Return, Settled, Standing};
use policy::limit::{Cap, Limit, Period, Window};
use sqlx::Connection as _;
use store::{Store, StoreOptions};
use testkit::chaos::{Chaos, Weather};
use testkit::database::TestDatabase;
use vault::Vault;

use crate::lease_world::{Replica, assert_sound, limit, report, wish};
use crate::world::World;

struct Weathered {
    world: World,
    chaos: Chaos,
    limit: Limit,
    /// Reaches the database by way of the proxy.
    replica: Replica,
    window: Window,
}

async fn weathered(cap: u64) -> Option<Weathered> {
    let world = World::new(TestDatabase::postgres().await?).await;
    world.tenant("acme").await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(cap)).await;
    let chaos = Chaos::start(world.database.url());
    let options = StoreOptions {
        connections_max: 1,
        ..StoreOptions::default()
    };
    let store = Store::open(chaos.url(), Vault::new(world.ring.clone()), options)
        .await
        .unwrap();
    let replica = Replica::begin(&store, "r1").await;
    let window = replica.window(&limit).await;
    Some(Weathered {
        world,
        chaos,
        limit,
        replica,
        window,
    })
}

/// Says it, is cut off after the commit, says it again until there is an answer.
async fn insist(weathered: &Weathered, request: &RefillRequest) -> RefillAnswer {
    weathered.chaos.set(Weather::Forgetful(1));
    let before = weathered.chaos.swallowed();
    while weathered.chaos.swallowed() == before {
        assert!(weathered.replica.store.refill(request).await.is_err());
    }
    weathered.chaos.set(Weather::Fair);
    weathered.replica.ask(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whose_answer_was_lost_is_asked_again_and_counts_once() {
    let Some(weathered) = weathered(1_000).await else {
        return;
    };
    let (replica, limit, window) = (&weathered.replica, &weathered.limit, weathered.window);
    let mut held: Vec<(LeaseId, u64)> = Vec::new();
    let mut granted = 0;
    for round in 0..12_u64 {
        let mut request = RefillRequest {
            wishes: (0..3)
                .map(|more| wish(limit, window, 10 * round + more))
                .collect(),
            ..replica.question()
        };
        if let Some((lease, units)) = held.pop() {
            let spent = units / 3;
            request.returns.push(Return {
                lease,
                returned_in_all: units - spent,
                closed: true,
            });
            request.settled.push(Settled {
                lease,
                settled_in_all: spent,
                overdraft_in_all: 0,
            });
            granted -= units - spent;
        }
        let answer = insist(&weathered, &request).await;
        assert_eq!(answer.returns.len(), request.returns.len());
        for (grant, wish) in answer
            .grants
            .iter()
            .zip(request.wishes.iter().filter(|wish| wish.units > 0))
        {
            assert_eq!(grant.lease, wish.lease);
            assert_eq!(grant.units, wish.units.min(1_000 - granted));
            granted += grant.units;
            held.push((grant.lease, grant.units));
        }
        let counted = report(&weathered.world, limit).await.granted;
        assert_eq!(counted, i64::try_from(granted).unwrap(), "round {round}");
    }
    assert_eq!(granted, 1_000, "it was asked for more than there is");
    assert_sound(&weathered.world.store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_beginning_was_lost_begins_again() {
    let Some(weathered) = weathered(10).await else {
        return;
    };
    let store = &weathered.replica.store;
    weathered.chaos.set(Weather::Forgetful(1));
    let before = weathered.chaos.swallowed();
    while weathered.chaos.swallowed() == before {
        assert!(store.begin_incarnation("r1").await.is_err());
    }
    weathered.chaos.set(Weather::Fair);
    let again = Replica::begin(store, "r1").await;
    assert!(again.from.number > weathered.replica.from.number + 1);
    assert_eq!(again.take(&weathered.limit, weathered.window, 4).await.1, 4);
    assert_sound(&weathered.world.store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_database_is_gone_no_more_often_for_many_wishes_than_for_one() {
    let Some(weathered) = weathered(1_000_000).await else {
        return;
    };
    let replica = &weathered.replica;
    let mut took = Vec::new();
    let mut returns: Vec<Return> = Vec::new();
    for count in [1, 1, 1, 300] {
        let request = RefillRequest {
            wishes: (0..count)
                .map(|_| wish(&weathered.limit, weathered.window, 2))
                .collect(),
            returns: std::mem::take(&mut returns),
            ..replica.question()
        };
        let before = weathered.chaos.round_trips();
        let answer = replica.ask(&request).await;
        took.push(weathered.chaos.round_trips() - before);
        let all_back = |grant: &policy::lease::Grant| Return {
            lease: grant.lease,
            returned_in_all: grant.units,
            closed: true,
        };
        returns = answer.grants.iter().map(all_back).collect();
    }
    // Ten are its own; the pool tests the connection, and the first time the statements are made known.
    assert!(took.iter().all(|trips| (10..25).contains(trips)), "{took:?}");
    assert_sound(&weathered.world.store).await;
}

/// Each fail-over begins a new timeline of the same server, and a copy of it has another name.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_noticed_by_what_it_tells_of_itself() {
    let Some(weathered) = weathered(10).await else {
        return;
    };
    let (replica, world) = (&weathered.replica, &weathered.world);
    let (lease, _) = replica.take(&weathered.limit, weathered.window, 4).await;
    let moved = world
        .tamper("UPDATE store_epoch SET origin = origin || '1' WHERE origin IS NOT NULL")
        .await;
    assert_eq!(moved, 1, "Postgres tells what it is");
    let answer = replica.give_back(lease, 4, true).await;
    assert_eq!(answer.standing, Standing::OtherStore);
    assert_ne!(answer.store_epoch, replica.epoch);
    assert_eq!(report(world, &weathered.limit).await.granted, 4);
    // It is noticed once: another who begins now finds the same epoch, and it stays.
    let other = Replica::begin(&world.store, "r2").await;
    assert_eq!(other.epoch, answer.store_epoch);
    let learning = other.ask(&other.question()).await;
    assert_eq!(learning.standing, Standing::Learning);
    let again = replica.ask(&replica.question()).await;
    assert_eq!(
        (again.standing, again.store_epoch),
        (Standing::OtherStore, other.epoch)
    );
    assert_sound(&world.store).await;
}

/// That a question takes long, since others hold what it needs, says nothing against connections on which the database answers:
/// what others do on them goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_takes_long_gives_no_connection_up() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let world = World::new(database).await;
    world.tenant("acme").await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let options = StoreOptions {
        answer_timeout: Duration::from_millis(300),
        ..StoreOptions::default()
    };
    let store = Store::open(world.database.url(), Vault::new(world.ring.clone()), options)
        .await
        .unwrap();
    let replica = Replica::begin(&store, "r1").await;
    let window = replica.window(&limit).await;
    let request = RefillRequest {
        wishes: vec![wish(&limit, window, 5)],
        ..replica.question()
    };
    let mut other = sqlx::AnyConnection::connect(world.database.url()).await.unwrap();
    let mut holding = other.begin().await.unwrap();
    sqlx::query("SELECT id FROM limits FOR UPDATE")
        .fetch_all(&mut *holding)
        .await
        .unwrap();
    let meanwhile = store.while_there(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    let (asked, meanwhile) = tokio::join!(store.refill(&request), meanwhile);
    assert!(asked.is_err());
    assert!(meanwhile.is_ok(), "{meanwhile:?}");
    holding.rollback().await.unwrap();
    assert_eq!(replica.ask(&request).await.grants[0].units, 5);
}
