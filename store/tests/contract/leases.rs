//! A window is never granted beyond its cap, whatever is said twice, late, or by somebody who should not say it.

use policy::lease::{RefillRequest, Standing};
use policy::limit::{Cap, Period, ROLLING_SLOT_MS, Window};
use testkit::database::TestDatabase;

use crate::lease_world::{Replica, assert_sound, limit, report, wish};
use crate::world::{CHANGE, World};

crate::on_both_databases!(
    a_wish_is_granted_once_and_never_beyond_the_cap,
    a_return_counts_once_however_often_it_is_told,
    what_an_earlier_run_says_changes_nothing,
    another_epoch_changes_nothing,
    a_window_that_is_over_grants_nothing,
    a_window_that_is_on_no_calendar_grants_nothing,
    a_changed_cap_reaches_open_windows_at_once,
    a_rolling_minute_is_never_exceeded,
    an_unlimited_limit_grants_and_counts,
    calls_under_way_come_back_when_their_replica_begins_again,
    a_replica_that_died_burns_and_its_journal_mends_it,
    a_clean_stop_leaves_nothing_behind,
    a_contended_window_says_so_for_a_while,
    the_database_itself_refuses_more_than_the_cap,
    a_row_that_makes_no_sense_holds_up_no_other_limit,
    what_is_long_over_is_forgotten_but_for_its_sums,
    a_replica_that_was_not_seen_for_long_has_to_begin_again,
    live_replicas_are_counted,
);

async fn acme(database: TestDatabase) -> World {
    let world = World::new(database).await;
    world.tenant("acme").await;
    world
}

async fn a_wish_is_granted_once_and_never_beyond_the_cap(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    let wishes = vec![
        wish(&limit, window, 4),
        wish(&limit, window, 0),
        wish(&limit, window, 5),
        wish(&limit, window, 5),
        wish(&limit, window, 1),
    ];
    let request = RefillRequest {
        wishes,
        ..replica.question()
    };
    let first = replica.ask(&request).await;
    let granted: Vec<u64> = first.grants.iter().map(|grant| grant.units).collect();
    assert_eq!(granted, [4, 5, 1, 0], "in part where not all of it is left");
    let again = replica.ask(&request).await;
    assert_eq!(again.grants, first.grants, "the same wish has the same answer");
    assert_eq!(first.counters.len(), 1);
    assert_eq!(first.counters[0].granted, 10);
    assert_eq!(first.counters[0].cap, Cap::Units(10));
    // The last had nothing; asked again when something came back, it has the same answer still.
    replica.give_back(request.wishes[0].lease, 2, false).await;
    assert_eq!(replica.ask(&request).await.grants, first.grants);
    assert_eq!(replica.take(&limit, window, 9).await.1, 2);
    assert_eq!(report(&world, &limit).await.granted, 10);
    assert_sound(&world.store).await;
}

async fn a_return_counts_once_however_often_it_is_told(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let (one, other) = (
        Replica::begin(&world.store, "r1").await,
        Replica::begin(&world.store, "r2").await,
    );
    let window = one.window(&limit).await;
    let (lease, units) = one.take(&limit, window, 10).await;
    assert_eq!(units, 10);
    let told = one.give_back(lease, 4, false).await;
    assert_eq!(told.returns, [lease]);
    assert_eq!(told.counters[0].granted, 6);
    for (returned_in_all, granted) in [(4, 6), (1, 6), (7, 3), (4, 3), (1_000, 0), (u64::MAX, 0)] {
        one.give_back(lease, returned_in_all, false).await;
        assert_eq!(report(&world, &limit).await.granted, granted);
    }
    // Another's lease is not theirs to return, and one that never was does not come to be.
    let (lease, _) = one.take(&limit, window, 8).await;
    assert_eq!(other.give_back(lease, 8, true).await.returns, [lease]);
    one.give_back(crate::lease_world::new_lease(), 5, true).await;
    assert_eq!(report(&world, &limit).await.granted, 8);
    // What one gives back, the same message may ask for.
    let request = RefillRequest {
        wishes: vec![wish(&limit, window, 10)],
        returns: vec![policy::lease::Return {
            lease,
            returned_in_all: 8,
            closed: true,
        }],
        ..one.question()
    };
    assert_eq!(one.ask(&request).await.grants[0].units, 10);
    assert_sound(&world.store).await;
}

async fn what_an_earlier_run_says_changes_nothing(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let before = Replica::begin(&world.store, "r1").await;
    let window = before.window(&limit).await;
    let (lease, _) = before.take(&limit, window, 6).await;
    let after = Replica::begin(&world.store, "r1").await;
    assert_eq!(after.from.number, before.from.number + 1);
    let request = RefillRequest {
        wishes: vec![wish(&limit, window, 1)],
        ..before.question()
    };
    let answer = before.ask(&request).await;
    assert_eq!(answer.standing, Standing::Superseded);
    assert!(answer.grants.is_empty() && answer.returns.is_empty());
    before.give_back(lease, 6, false).await;
    assert_eq!(report(&world, &limit).await.granted, 6);
    // The wish of an earlier run gives a later one nothing, under the same name.
    let mut same = wish(&limit, window, 6);
    same.lease = lease;
    let request = RefillRequest {
        wishes: vec![same],
        ..after.question()
    };
    assert_eq!(after.ask(&request).await.grants[0].units, 0);
    assert_eq!(report(&world, &limit).await.granted, 6);
    // Nobody ever began under this name, as far as is known: whoever bears it knows more than the database does.
    let mut stranger = after.clone();
    stranger.from.replica = "nobody".into();
    assert_eq!(
        stranger.ask(&stranger.question()).await.standing,
        Standing::OtherStore
    );
    assert_sound(&world.store).await;
}

async fn another_epoch_changes_nothing(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let mut replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    let (lease, _) = replica.take(&limit, window, 6).await;
    let epoch = world.store.renew_store_epoch(&CHANGE).await.unwrap();
    assert_ne!(epoch, replica.epoch);
    let request = RefillRequest {
        wishes: vec![wish(&limit, window, 1)],
        ..replica.question()
    };
    let answer = replica.ask(&request).await;
    assert_eq!(
        (answer.standing, answer.store_epoch),
        (Standing::OtherStore, epoch)
    );
    assert!(answer.grants.is_empty());
    replica.epoch = epoch;
    replica.give_back(lease, 6, true).await;
    assert_eq!(
        report(&world, &limit).await.granted,
        6,
        "its lease was of another epoch"
    );
    let other = Replica::begin(&world.store, "r2").await;
    assert_eq!(other.epoch, epoch);
    let request = RefillRequest {
        wishes: vec![wish(&limit, window, 9)],
        ..other.question()
    };
    let answer = other.ask(&request).await;
    assert_eq!((answer.standing, answer.grants[0].units), (Standing::Learning, 0));
    assert_sound(&world.store).await;
}

async fn a_window_that_is_over_grants_nothing(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-minute", Period::Minute, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    let shifted = |minutes: i64| Window {
        start_ms: window.start_ms + minutes * 60_000,
        end_ms: window.end_ms + minutes * 60_000,
    };
    assert_eq!(replica.take(&limit, shifted(-1), 5).await.1, 0);
    assert_eq!(
        replica.take(&limit, shifted(2), 5).await.1,
        5,
        "one that has not begun grants ahead"
    );
    assert_sound(&world.store).await;
}

async fn a_window_that_is_on_no_calendar_grants_nothing(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    let odd = [(1, 0), (0, 1), (0, -1), (-3_600_000, -3_600_000)];
    for (start_ms, end_ms) in odd {
        let shifted = Window {
            start_ms: window.start_ms + start_ms,
            end_ms: window.end_ms + end_ms,
        };
        assert_eq!(replica.take(&limit, shifted, 5).await.1, 0, "{start_ms} {end_ms}");
    }
    world
        .store
        .remove_limit(&CHANGE, "ten-acme", &limit.id)
        .await
        .unwrap();
    assert_eq!(
        replica.take(&limit, window, 5).await.1,
        0,
        "there is no such limit"
    );
    assert_sound(&world.store).await;
}

async fn a_changed_cap_reaches_open_windows_at_once(database: TestDatabase) {
    let world = acme(database).await;
    let day = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&day).await;
    let (lease, _) = replica.take(&day, window, 8).await;
    let set = async |cap| limit(&world, "lim-day", Period::Day, cap).await;
    let lower = set(Cap::Units(5)).await;
    assert_eq!((lower.id.clone(), lower.cap), (day.id.clone(), Cap::Units(5)));
    let kept = report(&world, &day).await;
    assert_eq!((kept.cap, kept.granted), (Some(5), 8));
    assert_eq!(replica.take(&day, window, 1).await.1, 0);
    // It comes down with what is returned, and does not go up again.
    replica.give_back(lease, 2, false).await;
    let over = world.tamper_result("UPDATE counters SET granted = 7").await;
    assert!(over.is_err(), "nothing lifts it any more");
    assert_eq!(replica.take(&day, window, 1).await.1, 0);
    replica.give_back(lease, 5, false).await;
    assert_eq!(replica.take(&day, window, 9).await.1, 2);
    set(Cap::Units(0)).await;
    assert_eq!(replica.take(&day, window, 1).await.1, 0);
    set(Cap::Units(20)).await;
    assert_eq!(replica.take(&day, window, 100).await.1, 15);
    set(Cap::Unlimited).await;
    assert_eq!(replica.take(&day, window, 100).await.1, 100);
    set(Cap::Units(50)).await;
    assert_eq!(replica.take(&day, window, 1).await.1, 0);
    assert_eq!(report(&world, &day).await.granted, 120);
    assert_sound(&world.store).await;
}

async fn a_rolling_minute_is_never_exceeded(database: TestDatabase) {
    let world = acme(database).await;
    let cap = 13;
    let limit = limit(&world, "lim-rolling", Period::RollingMinute, Cap::Units(cap)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let first = replica.window(&limit).await;
    let slot = |number: i64| Window {
        start_ms: first.start_ms + number * ROLLING_SLOT_MS,
        end_ms: first.end_ms + number * ROLLING_SLOT_MS,
    };
    let last = 60;
    let mut granted = vec![0_u64; 61];
    let mut state = 7_u64;
    for _ in 0..250 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Out of order, so that some lie between others; the first may end while this runs.
        let number = 2 + (state >> 33) % (last - 2);
        let (_, units) = replica
            .take(&limit, slot(number.cast_signed()), 1 + (state >> 20) % 4)
            .await;
        granted[usize::try_from(number).unwrap()] += units;
        let worst = granted.windows(13).map(|slots| slots.iter().sum::<u64>()).max();
        assert!(worst <= Some(cap), "{granted:?}");
    }
    let worst = granted.windows(13).map(|slots| slots.iter().sum::<u64>()).max();
    assert_eq!(worst, Some(cap), "and it is used: {granted:?}");
    // What comes back from one slot can be had in another.
    let far = slot(200);
    let (lease, units) = replica.take(&limit, far, 100).await;
    assert_eq!(units, cap);
    assert_eq!(replica.take(&limit, slot(188), 1).await.1, 0);
    assert_eq!(replica.take(&limit, slot(212), 1).await.1, 0);
    assert_eq!(replica.take(&limit, slot(213), 1).await.1, 1);
    replica.give_back(lease, 3, false).await;
    assert_eq!(replica.take(&limit, slot(188), 9).await.1, 3);
    assert_sound(&world.store).await;
}

async fn an_unlimited_limit_grants_and_counts(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Unlimited).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    assert_eq!(replica.take(&limit, window, 1_000_000).await.1, 1_000_000);
    let huge = replica.take(&limit, window, u64::MAX).await.1;
    assert_eq!(huge, i64::MAX.cast_unsigned() - 1_000_000);
    assert_eq!(replica.take(&limit, window, 1).await.1, 0, "numbers end there");
    assert_sound(&world.store).await;
}

async fn calls_under_way_come_back_when_their_replica_begins_again(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-calls", Period::Always, Cap::Units(5)).await;
    let (one, other) = (
        Replica::begin(&world.store, "r1").await,
        Replica::begin(&world.store, "r2").await,
    );
    let window = one.window(&limit).await;
    assert_eq!(window.end_ms, i64::MAX);
    assert_eq!(one.take(&limit, window, 3).await.1, 3);
    assert_eq!(other.take(&limit, window, 9).await.1, 2);
    let again = Replica::begin(&world.store, "r1").await;
    assert_eq!(report(&world, &limit).await.granted, 2);
    assert_eq!(again.take(&limit, window, 9).await.1, 3);
    again.store.end_incarnation(&again.from).await.unwrap();
    assert_eq!(report(&world, &limit).await.granted, 2);
    assert_eq!(again.ask(&again.question()).await.standing, Standing::Superseded);
    assert_sound(&world.store).await;
}

async fn a_replica_that_died_burns_and_its_journal_mends_it(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let before = Replica::begin(&world.store, "r1").await;
    let window = before.window(&limit).await;
    let (lease, _) = before.take(&limit, window, 8).await;
    before.settle(lease, 3).await;
    before.settle(lease, 2).await;
    let after = Replica::begin(&world.store, "r1").await;
    let burnt = report(&world, &limit).await;
    assert_eq!((burnt.granted, burnt.burnt, burnt.sums.settled), (8, 5, 3));
    assert_eq!(
        after.take(&limit, window, 9).await.1,
        2,
        "nothing came back by itself"
    );
    // The journal says that four of them were never spent, and then that one more was.
    after.give_back(lease, 4, false).await;
    after.settle(lease, 4).await;
    let mended = report(&world, &limit).await;
    assert_eq!((mended.granted, mended.burnt, mended.sums.settled), (6, 0, 4));
    assert_sound(&world.store).await;
}

async fn a_clean_stop_leaves_nothing_behind(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    let (lease, _) = replica.take(&limit, window, 8).await;
    replica.settle(lease, 5).await;
    replica.give_back(lease, 3, true).await;
    replica.store.end_incarnation(&replica.from).await.unwrap();
    let left = report(&world, &limit).await;
    assert_eq!((left.granted, left.burnt, left.sums.outstanding), (5, 0, 0));
    assert_sound(&world.store).await;
}

async fn a_contended_window_says_so_for_a_while(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let (one, other) = (
        Replica::begin(&world.store, "r1").await,
        Replica::begin(&world.store, "r2").await,
    );
    let window = one.window(&limit).await;
    one.take(&limit, window, 10).await;
    let mut wanted = wish(&limit, window, 1);
    wanted.contended = true;
    let request = RefillRequest {
        wishes: vec![wanted],
        ..other.question()
    };
    let asks = RefillRequest {
        wishes: vec![wish(&limit, window, 0)],
        ..one.question()
    };
    assert!(!one.ask(&asks).await.counters[0].contended);
    assert_eq!(other.ask(&request).await.grants[0].units, 0);
    assert!(one.ask(&asks).await.counters[0].contended);
    let since = std::time::Instant::now();
    while one.ask(&asks).await.counters[0].contended {
        assert!(since.elapsed().as_secs() < 10);
    }
    assert_sound(&world.store).await;
}

async fn the_database_itself_refuses_more_than_the_cap(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    replica.take(&limit, window, 4).await;
    for statement in [
        "UPDATE counters SET granted = 11",
        "UPDATE counters SET granted = -1",
        "UPDATE leases SET returned = amount + 1",
        "UPDATE leases SET returned = -1",
        "UPDATE leases SET amount = -1",
    ] {
        assert!(world.tamper_result(statement).await.is_err(), "{statement}");
    }
    world.tamper("UPDATE counters SET granted = 10").await;
    assert_eq!(replica.take(&limit, window, 1).await.1, 0);
}

async fn a_row_that_makes_no_sense_holds_up_no_other_limit(database: TestDatabase) {
    let world = acme(database).await;
    let good = limit(&world, "lim-good", Period::Day, Cap::Units(10)).await;
    let bad = limit(&world, "lim-bad", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&good).await;
    let (lease, _) = replica.take(&bad, window, 4).await;
    let told = |units| RefillRequest {
        wishes: vec![wish(&bad, window, units), wish(&good, window, 1)],
        returns: vec![policy::lease::Return {
            lease,
            returned_in_all: 0,
            closed: false,
        }],
        ..replica.question()
    };
    for poison in [
        "UPDATE limits SET zone = 'Nowhere/Land' WHERE id = 'lim-bad'",
        "UPDATE limits SET period = 'fortnight', zone = 'UTC' WHERE id = 'lim-bad'",
        "UPDATE limits SET period = 'day', cap = -5 WHERE id = 'lim-bad'",
        "UPDATE counters SET ceiling = 4 WHERE limit_id = 'lim-bad'",
    ] {
        world.tamper(poison).await;
        let answer = replica.ask(&told(100)).await;
        let granted: Vec<u64> = answer.grants.iter().map(|grant| grant.units).collect();
        assert_eq!(granted, [0, 1], "{poison}");
    }
    world.tamper("UPDATE limits SET cap = 10").await;
    world.tamper("UPDATE counters SET ceiling = 10").await;
    if world.database.is_sqlite() {
        // Postgres keeps what is no number out of such a column.
        world
            .tamper("UPDATE counters SET burnt = 'many' WHERE limit_id = 'lim-bad'")
            .await;
        let mut request = told(100);
        request.returns[0].returned_in_all = 1;
        request.wishes[0].contended = true;
        let answer = replica.ask(&request).await;
        assert_eq!((answer.grants[0].units, answer.grants[1].units), (0, 1));
        world.tamper("UPDATE counters SET burnt = 0").await;
    }
    let mended = replica.ask(&told(100)).await;
    assert_eq!(
        (mended.grants[0].units, mended.grants[1].units),
        (6, 1),
        "what was granted is not forgotten"
    );
}

async fn what_is_long_over_is_forgotten_but_for_its_sums(database: TestDatabase) {
    let world = acme(database).await;
    let limit = limit(&world, "lim-day", Period::Day, Cap::Units(10)).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let window = replica.window(&limit).await;
    let (done, _) = replica.take(&limit, window, 5).await;
    let (idle, _) = replica.take(&limit, window, 2).await;
    let (open, _) = replica.take(&limit, window, 3).await;
    let (nothing, units) = replica.take(&limit, window, 3).await;
    assert_eq!(units, 0);
    replica.settle(done, 3).await;
    replica.give_back(done, 1, true).await;
    replica.give_back(idle, 2, false).await;
    let before = report(&world, &limit).await;
    let tidied = world.store.tidy_leases().await.unwrap();
    assert_eq!(tidied, store::Tidied::default(), "nothing of it is old");
    world.tamper("UPDATE leases SET asked_at_ms = 0").await;
    let tidied = world.store.tidy_leases().await.unwrap();
    assert_eq!((tidied.buried, tidied.forgotten, tidied.windows), (0, 3, 0));
    let mut after = report(&world, &limit).await;
    assert_eq!(world.count("SELECT COUNT(*) FROM leases").await, 1);
    after.sums = store::LeaseSums { ..after.sums };
    assert_eq!(after, before);
    // What is told of them later changes nothing, and need not be told again.
    for lease in [done, idle, nothing] {
        assert_eq!(replica.give_back(lease, 5, true).await.returns, [lease]);
    }
    assert_eq!(report(&world, &limit).await.granted, 7);
    replica.give_back(open, 0, true).await;
    assert_sound(&world.store).await;
    // And of a window that nobody asks for any more, nothing is left.
    world.tamper("UPDATE leases SET asked_at_ms = 0").await;
    world.tamper("UPDATE counters SET kept_until_ms = 0").await;
    let tidied = world.store.tidy_leases().await.unwrap();
    assert_eq!((tidied.forgotten, tidied.windows), (1, 1));
    assert!(world.store.lease_report(None, 0, 10).await.unwrap().is_empty());
}

async fn a_replica_that_was_not_seen_for_long_has_to_begin_again(database: TestDatabase) {
    let world = acme(database).await;
    let calls = limit(&world, "lim-calls", Period::Always, Cap::Units(5)).await;
    let day = limit(&world, "lim-day", Period::Day, Cap::Units(5)).await;
    let (gone, here) = (
        Replica::begin(&world.store, "gone").await,
        Replica::begin(&world.store, "here").await,
    );
    let (always, today) = (gone.window(&calls).await, gone.window(&day).await);
    gone.take(&calls, always, 5).await;
    gone.take(&day, today, 5).await;
    world
        .tamper("UPDATE replicas SET seen_at_ms = seen_at_ms - 4100000 WHERE id = 'gone'")
        .await;
    assert_eq!(
        world.store.tidy_leases().await.unwrap().buried,
        0,
        "its calls may last that long"
    );
    world
        .tamper("UPDATE replicas SET seen_at_ms = seen_at_ms - 200000 WHERE id = 'gone'")
        .await;
    assert_eq!(world.store.tidy_leases().await.unwrap().buried, 2);
    assert_eq!(here.take(&calls, always, 9).await.1, 5);
    assert_eq!(here.take(&day, today, 9).await.1, 0);
    assert_eq!(report(&world, &day).await.burnt, 5);
    assert_eq!(gone.ask(&gone.question()).await.standing, Standing::Superseded);
    assert_sound(&world.store).await;
}

async fn live_replicas_are_counted(database: TestDatabase) {
    let world = acme(database).await;
    let one = Replica::begin(&world.store, "r1").await;
    assert_eq!(one.ask(&one.question()).await.replicas, 1);
    let two = Replica::begin(&world.store, "r2").await;
    let _three = Replica::begin(&world.store, "r3").await;
    assert_eq!(one.ask(&one.question()).await.replicas, 3);
    two.store.end_incarnation(&two.from).await.unwrap();
    assert_eq!(one.ask(&one.question()).await.replicas, 2);
    world
        .tamper("UPDATE replicas SET seen_at_ms = 0 WHERE id = 'r3'")
        .await;
    assert_eq!(one.ask(&one.question()).await.replicas, 1);
}

/// However many windows and leases are kept, a question looks at its own: it is asked ten times a second.
#[tokio::test(flavor = "multi_thread")]
async fn no_question_reads_whole_tables() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let world = acme(database).await;
    let day = limit(&world, "lim-day", Period::Day, Cap::Units(1_000)).await;
    let rolling = limit(&world, "lim-rolling", Period::RollingMinute, Cap::Units(1_000)).await;
    for statement in [
        "INSERT INTO counters SELECT 'ten-acme', 'lim-day', n * 60000::BIGINT, n * 60000::BIGINT + 60000, 100, 100, 50, 0, 0, \
             0, 0, 0, 0, 9000000000000 FROM generate_series(1, 100000) AS n",
        "INSERT INTO leases SELECT 'x' || n, 'ten-acme', 'lim-day', n * 60000::BIGINT, n * 60000::BIGINT + 60000, 'old', 1, \
             1, 1, 50, 0, 50, 0, 0, 1 FROM generate_series(1, 100000) AS n",
        "ANALYZE",
    ] {
        world.tamper(statement).await;
    }
    let read = async |how: &'static str| {
        world.tamper("SELECT pg_stat_clear_snapshot()").await;
        world.count(how).await
    };
    let read_whole = "SELECT CAST(SUM(seq_tup_read) AS BIGINT) FROM pg_stat_user_tables WHERE relname IN ('counters', 'leases')";
    let by_key = "SELECT CAST(SUM(idx_scan) AS BIGINT) FROM pg_stat_user_tables WHERE relname IN ('counters', 'leases')";
    let by_key_before = read(by_key).await;
    let replica = Replica::begin(&world.store, "r1").await;
    let (today, slot) = (replica.window(&day).await, replica.window(&rolling).await);
    for _ in 0..20 {
        let (lease, units) = replica.take(&day, today, 3).await;
        replica.give_back(lease, units, false).await;
        replica.take(&rolling, slot, 1).await;
    }
    // A connection tells what it did when it ends, at the latest.
    world.store.close().await;
    let since = std::time::Instant::now();
    while read(by_key).await < by_key_before + 60 {
        assert!(since.elapsed().as_secs() < 20);
    }
    assert_eq!(read(read_whole).await, 0);
}
