//! The database away, for all replicas or for one: stopped, cut off without a word, read-only, in others' way, or with its
//! answers lost.

use std::thread;
use std::time::{Duration, Instant};

use testkit::chaos::Weather;
use testkit::database::{self, TestDatabase};
use testkit::postgres::PostgresServer;

use super::crowd::Heard;
use super::fleet::{Fleet, PATIENCE, REFUSED_EVERY, REFUSED_IN_A_ROW, a_day, size, until};
use super::provider::Provider;

/// How long each outage lasts, in seconds, and how many answers each replica loses, unless the environment tells otherwise.
const LASTS: (&str, u64) = ("TOLLGATE_TEST_OUTAGE", 3);
const LOST: (&str, u64) = ("TOLLGATE_TEST_LOST", 3);
/// From the end of an outage until units are granted again, when the connections were closed, and when nobody was told.
const GRANTED: Duration = Duration::from_secs(2);
const GRANTED_AFTER_SILENCE: Duration = Duration::from_secs(5);
/// Until the ledger has what was called meanwhile.
const SHIPPED: Duration = Duration::from_secs(30);
/// No answer takes longer, whatever the database does: a caller waits a quarter of a second for units.
const ANSWERED: Duration = Duration::from_millis(1_500);
const CLIENTS: usize = 9;

/// What is left of a limit that is far away, and not used up by any of this.
const FAR: usize = 1_000_000;

fn lasts() -> Duration {
    Duration::from_secs(size(LASTS))
}

fn fleet_on(server: &PostgresServer, cap: usize) -> Fleet {
    let database = TestDatabase::elsewhere(server.url());
    let mut fleet = Fleet::new(database, Provider::start(), 3, |_, installation| {
        installation.set("TOLLGATE_LOG", "warn,sqlx=off")
    });
    fleet.limit("tenant:acme", &a_day(cap));
    fleet.limit(
        &format!("credential:{}", fleet.credential_id.clone()),
        &a_day(FAR),
    );
    fleet.start();
    for replica in 0..3 {
        until("served", || fleet.call(replica).status == 200);
    }
    fleet
}

/// Calls while something is done; then how long it takes until each of them, which have nothing left, is granted units again.
fn outage(fleet: &Fleet, begin: impl FnOnce(), end: impl FnOnce()) -> (Vec<Heard>, Duration) {
    begin();
    let crowd = fleet.crowd(CLIENTS);
    thread::sleep(lasts());
    until("nothing is left", || {
        (0..3).all(|replica| fleet.call(replica).status != 200)
    });
    end();
    let ended = Instant::now();
    for replica in 0..3 {
        until("granted", || fleet.call(replica).status == 200);
    }
    let granted = ended.elapsed();
    let heard = crowd.stop();
    assert!(
        heard.iter().all(|of_one| !of_one.refused.is_empty()),
        "nobody ran out"
    );
    for (number, of_one) in heard.iter().enumerate() {
        assert_eq!((of_one.broken, of_one.hopeless), (0, 0), "{number}: {of_one:?}");
        assert!(of_one.slowest < ANSWERED, "{number}: {:?}", of_one.slowest);
        let whys: Vec<&String> = of_one.refused.keys().collect();
        let expected = |why: &&String| ["503 limit_unavailable", "429 limit_reached"].contains(&why.as_str());
        assert!(whys.iter().all(expected), "{number}: {whys:?}");
    }
    (heard, granted)
}

fn shipped(fleet: &Fleet) -> Duration {
    until("shipped", || {
        let waiting = |replica: &super::fleet::Replica| replica.figure("tollgate_ledger_records_waiting");
        fleet.replicas.iter().all(|replica| waiting(replica) == 0)
    })
}

fn told(what: &str, heard: &[Heard], granted: Duration) {
    let served: usize = heard.iter().map(|of_one| of_one.served.len()).sum();
    let refused: usize = heard.iter().flat_map(|of_one| of_one.refused.values()).sum();
    let slowest = heard
        .iter()
        .map(|of_one| of_one.slowest)
        .max()
        .unwrap_or_default();
    println!("{what}: {served} served, {refused} refused, slowest {slowest:?}, granted after {granted:?}");
}

#[test]
fn f04_f05_f10_with_the_database_away_what_is_held_is_used_and_no_more() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let mut fleet = fleet_on(&server, 2_500);
    // Stopped: the connections are closed.
    server.stop();
    let (heard, granted) = outage(&fleet, || (), || server.go());
    assert!(granted < GRANTED, "{granted:?}");
    told("stopped", &heard, granted);
    assert!(shipped(&fleet) < SHIPPED);
    // Cut off without a word: nobody is told.
    let all = |weather| {
        for replica in &fleet.replicas {
            replica.chaos.as_ref().unwrap().set(weather);
        }
    };
    let (heard, granted) = outage(&fleet, || all(Weather::Hole), || all(Weather::Fair));
    told("cut off", &heard, granted);
    assert!(granted < GRANTED_AFTER_SILENCE, "{granted:?}");
    assert!(shipped(&fleet) < SHIPPED);
    // It takes no more, as with a full disk.
    let read_only = |is: &str| {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {is}");
        database::execute(&server.url(), &set);
        database::execute(&server.url(), "SELECT pg_reload_conf()");
    };
    let (heard, granted) = outage(&fleet, || read_only("on"), || read_only("off"));
    told("read-only", &heard, granted);
    assert!(granted < GRANTED, "{granted:?}");
    assert!(shipped(&fleet) < SHIPPED);
    fleet.use_up();
    let checked = fleet.check();
    assert_eq!(fleet.provider.count(), 2_500);
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

#[test]
fn f06_f09_answers_that_are_lost_and_transactions_in_each_others_way_count_once() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let lost = usize::try_from(size(LOST)).unwrap();
    let cap = 500 * lost;
    let mut fleet = fleet_on(&server, cap);
    // Of the statements that ask for leases or book attempts, some fail as if they had met another replica's: a sequence
    // goes on counting whatever becomes of the transaction.
    for statement in [
        "CREATE SEQUENCE met",
        "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n BIGINT := nextval('met'); BEGIN \
         IF n % 8 = 1 THEN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END IF; \
         IF n % 8 = 5 THEN RAISE EXCEPTION 'met' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$",
        "CREATE TRIGGER meeting BEFORE INSERT ON leases FOR EACH STATEMENT EXECUTE FUNCTION meet()",
        "CREATE TRIGGER meeting BEFORE INSERT ON attempts FOR EACH STATEMENT EXECUTE FUNCTION meet()",
    ] {
        database::execute(&server.url(), statement);
    }
    for replica in &fleet.replicas {
        replica.chaos.as_ref().unwrap().set(Weather::Forgetful(5));
    }
    let crowd = fleet.crowd(CLIENTS);
    until("answers are lost", || {
        let of_one = |replica: &super::fleet::Replica| replica.chaos.as_ref().unwrap().swallowed();
        fleet.replicas.iter().map(of_one).min() >= Some(lost)
    });
    for replica in &fleet.replicas {
        replica.chaos.as_ref().unwrap().set(Weather::Fair);
    }
    let heard = crowd.stop();
    for table in ["leases", "attempts"] {
        database::execute(&server.url(), &format!("DROP TRIGGER meeting ON {table}"));
    }
    fleet.use_up();
    let checked = fleet.check();
    checked.has_served_all(&heard);
    assert_eq!(fleet.provider.count(), cap);
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
    assert_eq!(checked.rows.len(), cap);
    let count = |what: &str| -> u64 {
        let counted = database::ask(&server.url(), &format!("SELECT CAST({what} AS TEXT)"));
        counted.parse().unwrap()
    };
    let met = count("(SELECT last_value FROM met)");
    let deadlocks = count("(SELECT SUM(deadlocks) FROM pg_stat_database)");
    println!("{met} statements of which every fourth met another; {deadlocks} deadlocks of our own");
    assert!(met > 8 && deadlocks == 0, "{met}, {deadlocks}");
}

#[test]
fn f16_a_replica_that_is_cut_off_uses_what_it_holds_and_the_others_have_the_rest() {
    const CAP: usize = 600;
    let Some(mut fleet) = Fleet::of_three(Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.start();
    for replica in 0..3 {
        until("served", || fleet.call(replica).status == 200);
    }
    let way = |fleet: &Fleet, weather| fleet.replicas[0].chaos.as_ref().unwrap().set(weather);
    way(&fleet, Weather::Hole);
    // It has something, of which nobody else knows how much is left.
    let mut alone = 0;
    let told = loop {
        let answer = fleet.call(0);
        match answer.status {
            200 => alone += 1,
            // It has asked, and does not know yet that nobody hears.
            429 => {}
            _ => break answer,
        }
        assert!(alone < CAP, "it never runs out");
    };
    assert_eq!(
        (told.status, told.json()["error"]["code"].clone()),
        (503, "limit_unavailable".into())
    );
    assert!(!told.header("retry-after").is_empty());
    let deadline = Instant::now() + PATIENCE;
    let (mut others, mut refused) = (0, 0);
    for replica in [1, 2].into_iter().cycle() {
        assert!(Instant::now() < deadline);
        if fleet.call(replica).status == 200 {
            (others, refused) = (others + 1, 0);
        } else {
            refused += 1;
            thread::sleep(REFUSED_EVERY);
        }
        if refused == REFUSED_IN_A_ROW {
            break;
        }
    }
    way(&fleet, Weather::Fair);
    // What it had asked for when the way was cut may have been granted without its knowing; now it learns of that.
    let late = fleet.use_up();
    assert_eq!(
        3 + alone + others + late,
        CAP,
        "{alone} by the one, {others} by the others, {late} when all was well again"
    );
    assert!(others > CAP / 2, "{others} by the others");
    let checked = fleet.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
    println!("{alone} by the one that was cut off, {others} by the others");
}
