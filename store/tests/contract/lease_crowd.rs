//! Many replicas at once, on the same limits: what is granted is exact, whoever comes first and whatever is told twice.
//!
//! The windows are those that come next: they cannot end while a test runs. Chance is seeded, and the seed is printed.

use std::collections::HashMap;
use std::sync::Arc;

use policy::lease::{LeaseId, RefillAnswer, RefillRequest, Return, Standing};
use policy::limit::{Calendar, Cap, Limit, Period, ROLLING_SLOT_MS, ROLLING_SLOTS, Window};
use store::{Store, StoreError};
use testkit::database::TestDatabase;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::lease_world::{Replica, assert_sound, limit, report, wish};
use crate::world::{World, open};

crate::on_both_databases!(
    a_crowd_is_granted_exactly_the_cap,
    what_is_told_again_later_changes_nothing,
    caps_may_change_under_a_crowd,
    a_crowd_never_exceeds_a_rolling_minute,
    opposite_orders_do_not_lock_each_other_out,
);

const STORES: usize = 3;

/// A replica that remembers what it was granted, and all that it said.
struct Holder {
    replica: Replica,
    chance: Chance,
    /// What it holds, by lease: granted, and returned.
    leases: HashMap<LeaseId, (u64, u64)>,
    said: Vec<RefillRequest>,
}

impl Holder {
    async fn begin(store: &Store, part: u64) -> Self {
        Self {
            replica: Replica::begin(store, &format!("replica-{part}")).await,
            chance: Chance::new(part),
            leases: HashMap::new(),
            said: Vec::new(),
        }
    }

    /// A few wishes, and some returns of what it holds.
    async fn step(&mut self, places: &[(Limit, Window)], units_max: u64) {
        let mut request = self.replica.question();
        for (limit, window) in places {
            if self.chance.below(2) == 0 {
                let units = 1 + self.chance.below(units_max);
                request.wishes.push(wish(limit, *window, units));
            }
        }
        for (lease, (granted, returned)) in &mut self.leases {
            if granted > returned && self.chance.below(3) == 0 {
                *returned += 1 + self.chance.below(*granted - *returned);
                request.returns.push(Return {
                    lease: *lease,
                    returned_in_all: *returned,
                    closed: self.chance.below(4) == 0,
                });
            }
        }
        let answer = self.say(request).await;
        for grant in &answer.grants {
            self.leases.insert(grant.lease, (grant.units, 0));
        }
    }

    /// Says it until it is answered; now and then once more, as if the first answer had been lost.
    async fn say(&mut self, request: RefillRequest) -> RefillAnswer {
        let answer = until_answered(&self.replica, &request).await;
        assert_eq!(answer.standing, Standing::Current);
        if self.chance.below(4) == 0 {
            let again = until_answered(&self.replica, &request).await;
            assert_eq!(again.grants, answer.grants);
        }
        self.said.push(request);
        answer
    }

    fn held(&self) -> u64 {
        self.leases
            .values()
            .map(|(granted, returned)| granted - returned)
            .sum()
    }
}

/// The same question, until there is an answer. A lock that locks both out is not waited for.
async fn until_answered(replica: &Replica, request: &RefillRequest) -> RefillAnswer {
    loop {
        match replica.store.refill(request).await {
            Ok(answer) => return answer,
            Err(StoreError::Unavailable(why)) if !why.contains("deadlock") => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn next_window(store: &Store, limit: &Limit) -> Window {
    let asking = Replica::begin(store, "looks-at-the-clock").await;
    let calendar = Calendar::of(&limit.zone).unwrap();
    let now_ms = asking.ask(&asking.question()).await.database_ms;
    calendar.next(limit.period, calendar.window(limit.period, now_ms))
}

async fn stores(world: &World) -> Vec<Store> {
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(open(&world.database, &world.ring).await);
    }
    stores
}

/// Lets so many replicas take so many steps, all at once.
async fn crowd(
    world: &World,
    places: &[(Limit, Window)],
    replicas: u64,
    steps: u64,
    units_max: u64,
) -> Vec<Holder> {
    let stores = stores(world).await;
    let mut stepping = JoinSet::new();
    for part in 0..replicas {
        let store = stores[usize::try_from(part).unwrap() % STORES].clone();
        let places = places.to_vec();
        stepping.spawn(async move {
            let mut holder = Holder::begin(&store, part).await;
            for _ in 0..steps {
                holder.step(&places, units_max).await;
            }
            holder
        });
    }
    stepping.join_all().await
}

async fn places(world: &World, caps: &[u64]) -> Vec<(Limit, Window)> {
    let mut places = Vec::new();
    for (number, cap) in caps.iter().enumerate() {
        let limit = limit(world, &format!("lim-{number:03}"), Period::Day, Cap::Units(*cap)).await;
        let window = next_window(&world.store, &limit).await;
        places.push((limit, window));
    }
    places
}

async fn a_crowd_is_granted_exactly_the_cap(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let caps = [0, 1, 7, 100, 1000];
    let places = places(&world, &caps).await;
    let mut holders = crowd(&world, &places, 9, 12, 40).await;
    assert_sound(&world.store).await;
    let mut granted = 0;
    for ((limit, _), cap) in places.iter().zip(caps) {
        let counted = u64::try_from(report(&world, limit).await.granted).unwrap();
        assert!(counted <= cap, "{counted} of {cap}");
        granted += counted;
    }
    let held: u64 = holders.iter().map(Holder::held).sum();
    assert_eq!(held, granted, "what the replicas hold is what was counted");

    // What is left can be had to the last unit, and not one more.
    for ((limit, window), cap) in places.iter().zip(caps) {
        for holder in &mut holders {
            let mut request = holder.replica.question();
            request.wishes.push(wish(limit, *window, cap.max(1)));
            holder.say(request).await;
        }
        assert_eq!(report(&world, limit).await.granted, i64::try_from(cap).unwrap());
    }
    assert_sound(&world.store).await;
}

async fn what_is_told_again_later_changes_nothing(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let places = places(&world, &[50, 500]).await;
    let holders = crowd(&world, &places, 3, 15, 30).await;
    let before = world.store.lease_report(None, 0, 100).await.unwrap();
    assert!(before.iter().any(|window| window.sums.returned > 0));
    let mut repeating = JoinSet::new();
    for holder in holders {
        repeating.spawn(async move {
            for request in holder.said.iter().rev() {
                let answer = until_answered(&holder.replica, request).await;
                for grant in answer.grants {
                    assert_eq!(grant.units, holder.leases[&grant.lease].0);
                }
            }
        });
    }
    repeating.join_all().await;
    assert_eq!(world.store.lease_report(None, 0, 100).await.unwrap(), before);
}

async fn caps_may_change_under_a_crowd(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let places = places(&world, &[100]).await;
    let change_caps = async {
        for cap in [10, 200, 0, 50, 1000, 30, 120, 60] {
            limit(&world, "lim-000", Period::Day, Cap::Units(cap)).await;
            let counted = world.store.lease_report(None, 0, 10).await.unwrap();
            assert!(counted.iter().all(|window| window.cap == Some(cap.cast_signed())));
            tokio::task::yield_now().await;
        }
    };
    let (holders, ()) = tokio::join!(crowd(&world, &places, 6, 25, 20), change_caps);
    assert_sound(&world.store).await;
    let held: u64 = holders.iter().map(Holder::held).sum();
    let counted = report(&world, &places[0].0).await;
    assert_eq!(counted.cap, Some(60));
    assert_eq!(counted.granted, i64::try_from(held).unwrap());
    // Whatever is above the cap comes down to it by returns, and nothing is granted meanwhile.
    for mut holder in holders {
        let mut request = holder.replica.question();
        request.returns = holder
            .leases
            .iter()
            .map(|(lease, (granted, _))| Return {
                lease: *lease,
                returned_in_all: *granted,
                closed: true,
            })
            .collect();
        holder.say(request).await;
    }
    assert_eq!(report(&world, &places[0].0).await.granted, 0);
    let asking = Replica::begin(&world.store, "last").await;
    assert_eq!(asking.take(&places[0].0, places[0].1, 1000).await.1, 60);
}

async fn a_crowd_never_exceeds_a_rolling_minute(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let rolling = limit(&world, "lim-rolling", Period::RollingMinute, Cap::Units(100)).await;
    let first = next_window(&world.store, &rolling).await;
    let slots: Vec<(Limit, Window)> = (20..60)
        .map(|slot| Window {
            start_ms: first.start_ms + slot * ROLLING_SLOT_MS,
            end_ms: first.end_ms + slot * ROLLING_SLOT_MS,
        })
        .map(|window| (rolling.clone(), window))
        .collect();
    crowd(&world, &slots, 6, 6, 15).await;
    assert_sound(&world.store).await;
    let counted = world.store.lease_report(None, 0, 1000).await.unwrap();
    let mut fullest = 0;
    for (_, slot) in &slots {
        let minute = slot.start_ms..slot.start_ms + ROLLING_SLOTS * ROLLING_SLOT_MS;
        let of_this = counted
            .iter()
            .filter(|other| minute.contains(&other.window.start_ms));
        let sum: i64 = of_this.map(|other| other.granted).sum();
        assert!(sum <= 100, "{sum} in the minute from {}", slot.start_ms);
        fullest = fullest.max(sum);
    }
    assert!(fullest > 80, "there was demand for more: {fullest}");
}

async fn opposite_orders_do_not_lock_each_other_out(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let places = Arc::new(places(&world, &[1000; 100]).await);
    let stores = stores(&world).await;
    let mut writing = JoinSet::new();
    for writer in 0..6_u64 {
        let (store, places) = (
            stores[usize::try_from(writer).unwrap() % STORES].clone(),
            Arc::clone(&places),
        );
        writing.spawn(async move {
            let replica = Replica::begin(&store, &format!("writer-{writer}")).await;
            let mut chance = Chance::new(writer);
            for _ in 0..4 {
                let mut request = replica.question();
                let mut order: Vec<_> = places.iter().collect();
                for from in (1..order.len()).rev() {
                    let to = chance.below(from as u64 + 1);
                    order.swap(from, usize::try_from(to).unwrap());
                }
                request.wishes = order
                    .into_iter()
                    .map(|(limit, window)| wish(limit, *window, 3))
                    .collect();
                let answer = until_answered(&replica, &request).await;
                assert!(answer.grants.iter().all(|grant| grant.units == 3));
                request.returns = answer
                    .grants
                    .iter()
                    .map(|grant| Return {
                        lease: grant.lease,
                        returned_in_all: 1,
                        closed: false,
                    })
                    .collect();
                request.wishes.reverse();
                until_answered(&replica, &request).await;
            }
        });
    }
    writing.join_all().await;
    assert_sound(&world.store).await;
    for window in world.store.lease_report(None, 0, 1000).await.unwrap() {
        assert_eq!(window.granted, 6 * 4 * 2, "{window:?}");
    }
}
