//! Replicas that are killed in the middle of whatever they do.

use std::thread;
use std::time::{Duration, Instant};

use testkit::chaos::Weather;
use testkit::database;

use super::fleet::{Fleet, a_day, size, until};
use super::provider::Provider;

const CAP_FOR_EACH_KILL: usize = 250;
const KILLS: (&str, u64) = ("TOLLGATE_TEST_KILLS", 6);
const CLIENTS: usize = 18;
/// A replica is there again within this.
const READY: Duration = Duration::from_secs(5);

/// Half of the calls are streams. Only what a killed replica had under way is lost to its clients; everything is booked; and
/// what it held of its limits comes back with it, so that the whole cap is used in the end.
#[test]
fn f01_f02_killing_replicas_under_load_loses_and_exceeds_nothing() {
    let kills = usize::try_from(size(KILLS)).unwrap();
    let cap = kills * CAP_FOR_EACH_KILL;
    let Some(mut fleet) = Fleet::of_three(Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(cap));
    let key = format!("key:{}", fleet.key_id);
    fleet.limit(&key, &format!("{} --tokens unlimited", a_day(cap * 2)));
    fleet.start();
    let crowd = fleet.crowd(CLIENTS);
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(150 + 70 * (kill % 6) as u64));
        // One is never killed: all of its calls are answered.
        let victim = &mut fleet.replicas[1 + kill % 2];
        victim.kill();
        let begun = Instant::now();
        victim.start();
        slowest = slowest.max(begun.elapsed());
    }
    let heard = crowd.stop();
    let crashed_at_most = kills * CLIENTS / 3;
    let used_up = fleet.use_up();
    let checked = fleet.check();
    assert!(slowest < READY, "there again after {slowest:?}");
    assert_eq!(heard[0].broken, 0, "a replica that was not killed breaks nothing");
    for of_one in &heard {
        checked.has_served(&of_one.served);
        assert_eq!(of_one.hopeless, 0, "{of_one:?}");
    }
    let crashed = checked.crashed();
    assert!(crashed > 0 && crashed <= crashed_at_most, "{crashed} crashed");
    // What was taken and never sent, because the replica died in between, is used up all the same.
    let seen = fleet.provider.count();
    assert!(
        seen <= cap && seen + crashed >= cap,
        "{seen} seen, {crashed} crashed"
    );
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
    println!(
        "{kills} kills, there again after {slowest:?} at most; of {cap} the provider saw {seen}, {crashed} were under way, \
         {used_up} were left to use up; {} rows",
        checked.rows.len()
    );
}

/// What the database has granted and the replica never heard of goes back, by the name under which it was asked for.
#[test]
fn f01_what_is_granted_at_the_very_moment_of_a_kill_is_not_lost() {
    let kills = usize::try_from(size(KILLS)).unwrap();
    let cap = kills * CAP_FOR_EACH_KILL;
    let Some(mut fleet) = Fleet::new_of(2, Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(cap));
    fleet.start();
    for replica in 0..2 {
        until("served", || fleet.call(replica).status == 200);
    }
    let granted = "SELECT CAST(COALESCE(SUM(amount - returned), 0) AS TEXT) FROM leases";
    let mut of_nobody = 0;
    for kill in 0..kills {
        let victim = kill % 2;
        let granted = || -> i64 { database::ask(fleet.url(), granted).parse().unwrap() };
        // It has to ask, its wish is granted, and it does not hear of that.
        let chaos = fleet.replicas[victim].chaos.as_ref().unwrap();
        chaos.set(Weather::Forgetful(1));
        let before = granted();
        until("granted without an answer", || {
            fleet.call(victim);
            granted() > before
        });
        of_nobody += granted() - before;
        fleet.replicas[victim].kill();
        let chaos = fleet.replicas[victim].chaos.as_ref().unwrap();
        chaos.set(Weather::Fair);
        fleet.replicas[victim].start();
        until("served again", || fleet.call(victim).status == 200);
    }
    fleet.use_up();
    let checked = fleet.check();
    let (seen, crashed) = (fleet.provider.count(), checked.crashed());
    assert!(
        seen <= cap && seen + crashed >= cap,
        "{seen} seen, {crashed} crashed"
    );
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
    assert!(of_nobody >= i64::try_from(kills).unwrap(), "{of_nobody}");
    println!(
        "{kills} kills with {of_nobody} units that were granted to nobody who heard of it: none is lost"
    );
}
