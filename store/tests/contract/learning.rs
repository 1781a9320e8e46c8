//! A database that may have forgotten what it granted last grants nothing before it has been told.

use std::sync::Arc;

use policy::lease::{LeaseId, RefillRequest, Report, Standing};
use policy::limit::{Cap, Limit, Period, Window};
use testkit::database::TestDatabase;

use crate::lease_world::{Replica, assert_sound, limit, new_lease, report, wish};
use crate::world::{CHANGE, World};

crate::on_both_databases!(
    an_older_copy_is_noticed_and_told_what_it_lacks,
    what_is_told_counts_once_and_even_beyond_the_cap,
    those_who_do_not_come_are_waited_for_a_while_only,
    an_earlier_run_has_nothing_to_tell,
);

/// Two replicas that hold six and three of ten, by a database that then knows nothing of that.
struct Forgotten {
    world: World,
    limit: Limit,
    window: Window,
    one: Replica,
    other: Replica,
    held: [LeaseId; 2],
}

async fn forgotten(database: TestDatabase) -> Forgotten {
    let world = World::new(database).await;
    world.tenant("acme").await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let one = Replica::begin(&world.store, "r1").await;
    let other = Replica::begin(&world.store, "r2").await;
    let window = one.window(&limit).await;
    let (first, six) = one.take(&limit, window, 6).await;
    let (second, three) = other.take(&limit, window, 3).await;
    assert_eq!((six, three), (6, 3));
    for statement in [
        "DELETE FROM leases",
        "UPDATE counters SET granted = 0",
        "UPDATE replicas SET turn = 0",
    ] {
        world.tamper(statement).await;
    }
    Forgotten {
        world,
        limit,
        window,
        one,
        other,
        held: [first, second],
    }
}

impl Forgotten {
    /// Asks as somebody does who knows of an answer; what he hears is that it is another database.
    async fn find_out(&mut self, who: usize) {
        let replica = if who == 0 { &mut self.one } else { &mut self.other };
        let request = RefillRequest {
            turn: 1,
            wishes: vec![wish(&self.limit, self.window, 1)],
            ..replica.question()
        };
        let answer = replica.ask(&request).await;
        assert_eq!((answer.standing, answer.turn), (Standing::OtherStore, 0));
        assert!(answer.grants.is_empty());
        assert_ne!(answer.store_epoch, replica.epoch);
        replica.epoch = answer.store_epoch;
    }

    fn told(&self, lease: LeaseId, amount: u64, returned_in_all: u64, closed: bool) -> Report {
        Report {
            lease,
            tenant_id: Arc::from("ten-acme"),
            limit_id: self.limit.id.clone(),
            window: self.window,
            amount,
            returned_in_all,
            settled_in_all: if closed { amount - returned_in_all } else { 0 },
            overdraft_in_all: 0,
            closed,
        }
    }

    async fn tell(&self, replica: &Replica, reports: Vec<Report>) -> Standing {
        let request = RefillRequest {
            turn: 1,
            reports: Some(reports),
            ..replica.question()
        };
        replica.ask(&request).await.standing
    }

    /// What is granted of a wish, and how the one who wishes stands.
    async fn wished(&self, replica: &Replica, units: u64) -> (Standing, u64) {
        let request = RefillRequest {
            turn: 1,
            wishes: vec![wish(&self.limit, self.window, units)],
            ..replica.question()
        };
        let answer = replica.ask(&request).await;
        (answer.standing, answer.grants[0].units)
    }

    async fn granted(&self) -> i64 {
        report(&self.world, &self.limit).await.granted
    }

    /// So many milliseconds pass.
    async fn pass(&self, statement: &'static str) {
        assert_eq!(self.world.tamper(statement).await, 1);
    }
}

const FIVE_SECONDS: &str = "UPDATE store_epoch SET changed_at_ms = changed_at_ms - 5000";
const A_MINUTE: &str = "UPDATE store_epoch SET changed_at_ms = changed_at_ms - 60000";

async fn an_older_copy_is_noticed_and_told_what_it_lacks(database: TestDatabase) {
    let mut all = forgotten(database).await;
    all.find_out(0).await;
    all.find_out(1).await;
    assert_eq!(all.one.epoch, all.other.epoch, "it is noticed once");
    let told = vec![all.told(all.held[0], 6, 0, false)];
    assert_eq!(all.tell(&all.one, told).await, Standing::Learning);
    assert_eq!(all.granted().await, 6);
    assert_eq!(all.wished(&all.one, 1).await, (Standing::Learning, 0));
    all.pass(FIVE_SECONDS).await;
    assert_eq!(
        all.wished(&all.one, 1).await,
        (Standing::Learning, 0),
        "the other one has not told yet"
    );
    let told = vec![all.told(all.held[1], 3, 1, true)];
    assert_eq!(all.tell(&all.other, told).await, Standing::Current);
    assert_eq!(all.granted().await, 8);
    assert_eq!(all.wished(&all.one, 9).await, (Standing::Current, 2));
    // What was told is theirs to give back.
    all.one.give_back(all.held[0], 4, false).await;
    assert_eq!(all.granted().await, 6);
    assert_sound(&all.world.store).await;
}

async fn what_is_told_counts_once_and_even_beyond_the_cap(database: TestDatabase) {
    let mut all = forgotten(database).await;
    all.find_out(0).await;
    let more = new_lease();
    for _ in 0..2 {
        let told = vec![all.told(all.held[0], 6, 0, false), all.told(more, 7, 0, false)];
        all.tell(&all.one, told).await;
        assert_eq!(all.granted().await, 13, "it was so");
    }
    all.pass(A_MINUTE).await;
    assert_eq!(all.wished(&all.one, 1).await, (Standing::Current, 0));
    all.one.give_back(more, 7, true).await;
    assert_eq!(all.granted().await, 6);
    assert_eq!(all.wished(&all.one, 9).await, (Standing::Current, 4));
    let too_many = all.world.tamper_result("UPDATE counters SET granted = 11").await;
    assert!(too_many.is_err(), "the ceiling is the cap again");
    // A limit that is gone, or whose windows are others now, is nobody's business.
    let mut told = all.told(new_lease(), 5, 0, false);
    told.limit_id = Arc::from("gone");
    all.tell(&all.one, vec![told]).await;
    assert_sound(&all.world.store).await;
}

async fn those_who_do_not_come_are_waited_for_a_while_only(database: TestDatabase) {
    let all = forgotten(database).await;
    let mut one = all.one.clone();
    one.epoch = all.world.store.renew_store_epoch(&CHANGE).await.unwrap();
    assert_eq!(all.tell(&one, Vec::new()).await, Standing::Learning);
    // Who begins now has nothing to tell, and gets nothing either.
    let new = Replica::begin(&all.world.store, "r3").await;
    assert_eq!(new.epoch, one.epoch);
    new.ask(&new.question()).await;
    assert_eq!(all.wished(&new, 1).await, (Standing::Learning, 0));
    all.pass(FIVE_SECONDS).await;
    assert_eq!(all.wished(&new, 1).await, (Standing::Learning, 0));
    all.pass(A_MINUTE).await;
    assert_eq!(all.wished(&new, 1).await, (Standing::Current, 1));
    assert_sound(&all.world.store).await;
}

async fn an_earlier_run_has_nothing_to_tell(database: TestDatabase) {
    let mut all = forgotten(database).await;
    all.find_out(0).await;
    let later = Replica::begin(&all.world.store, "r1").await;
    let told = vec![all.told(all.held[0], 6, 0, false)];
    assert_eq!(all.tell(&all.one, told).await, Standing::Superseded);
    assert_eq!(all.granted().await, 0);
    assert_eq!(all.tell(&later, Vec::new()).await, Standing::Learning);
    assert_sound(&all.world.store).await;
}
