//! Disks that are full, that fail, and that do not give back what was written to them, under the spool.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use testkit::client;
use testkit::database::{self, TestDatabase};
use testkit::process::Installation;

use super::crowd::Heard;
use super::fleet::{Fleet, Replica, a_day, until};
use super::provider::Provider;
use super::truth::{draw, seed};
use crate::world::PROGRAM;

const CLIENTS: usize = 9;
/// From when there is room again until calls are sent.
const ROOM_AGAIN: Duration = Duration::from_secs(2);
/// A replica is there again within this, whatever it finds.
const READY: Duration = Duration::from_secs(5);

/// Of two replicas one has its spool on a disk that fills up. It sends nothing meanwhile, says so, and goes on by itself when
/// there is room; the other one is not concerned.
#[test]
fn f11_with_a_full_disk_nothing_is_sent_and_it_goes_on_when_there_is_room() {
    const CAP: usize = 6_000;
    let Some(mut fleet) = Fleet::new_of(2, Provider::start()) else {
        return;
    };
    let folder = fleet.replicas[0].data().join("spool");
    fs::create_dir_all(&folder).unwrap();
    let Some(_small) = SmallDisk::mount(&folder) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.start();
    let crowd = fleet.crowd(2 * CLIENTS);
    until("served", || fleet.provider.count() > 50);
    let filler = folder.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 64 << 10]).is_ok() {}
    drop(file);
    // What the disk has promised is still used.
    let ready = || client::get(&fleet.replicas[0].serving().endpoint("/readyz"), "");
    until("full", || ready().status == 503);
    assert_eq!(ready().json()["status"], "ledger_unavailable");
    thread::sleep(Duration::from_millis(500));
    fs::remove_file(filler).unwrap();
    let removed = Instant::now();
    until("room again", || fleet.call(0).status == 200);
    let again = removed.elapsed();
    until("nearly used up", || fleet.provider.count() > CAP - 300);
    let heard = crowd.stop();
    assert!(again < ROOM_AGAIN, "{again:?}");
    let unbooked = |of_one: &Heard| of_one.refused.get("503 ledger_unavailable").copied();
    assert!(unbooked(&heard[0]) > Some(0), "{:?}", heard[0]);
    assert_eq!(unbooked(&heard[1]), None, "{:?}", heard[1]);
    fleet.use_up();
    let checked = fleet.check();
    checked.has_served_all(&heard);
    // One row for each that was sent, and no other: what could not be written down was not sent, and left nothing.
    assert_eq!((fleet.provider.count(), checked.rows.len()), (CAP, CAP));
    assert_eq!(
        (checked.burnt(), checked.outstanding(), checked.crashed()),
        (0, 0, 0)
    );
    println!(
        "sent again {again:?} after there was room; {:?} refused",
        unbooked(&heard[0])
    );
}

/// One whose disk does not sync now and then, one that does not even write, and one that sends nothing that is not synced.
/// What failed is written anew, to another segment, and nothing is lost or told twice.
#[test]
fn f12_a_disk_that_fails_to_write_or_to_sync_loses_nothing() {
    const CAP: usize = 900;
    const FAILS: [(&str, &str, &str); 3] = [
        ("fdatasync", "3+5", "os"),
        ("pwrite64", "40+60", "os"),
        ("fdatasync", "20+30", "strict"),
    ];
    if !can_trace() {
        return testkit::skip("nothing can be traced here");
    }
    let Some(database) = TestDatabase::each().into_iter().find(|one| !one.is_sqlite()) else {
        return;
    };
    let mut fleet = Fleet::new(database, Provider::start(), 3, |number, installation| {
        let (call, when, durability) = FAILS[number];
        traced(installation, call, when).set("TOLLGATE_LEDGER_DURABILITY", durability)
    });
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.start();
    let crowd = fleet.crowd(CLIENTS);
    let segments = |replica: &Replica| fs::read_dir(&spools(replica)[0]).unwrap().count();
    until("it fails", || {
        let synced_not = |replica: &Replica| replica.figure("tollgate_ledger_syncs_failed_total");
        synced_not(&fleet.replicas[0]) >= 3
            && segments(&fleet.replicas[1]) >= 5
            && synced_not(&fleet.replicas[2]) >= 3
    });
    until("nearly used up", || fleet.provider.count() > CAP - 50);
    let heard = crowd.stop();
    fleet.use_up();
    let checked = fleet.check();
    checked.has_served_all(&heard);
    assert_eq!((fleet.provider.count(), checked.rows.len()), (CAP, CAP));
    assert_eq!(
        (checked.burnt(), checked.outstanding(), checked.crashed()),
        (0, 0, 0)
    );
    let refused = heard
        .iter()
        .map(|of_one| of_one.refused.get("503 ledger_unavailable").copied());
    println!("refused meanwhile: {:?}", refused.collect::<Vec<_>>());
}

/// A replica is killed, and of what it had not shipped some bytes are flipped and the end is missing. The next one starts as
/// ever, books what can be read, puts the rest aside and says so; and what its predecessor held of limits it does not give
/// back, since what cannot be read may have called it used.
#[test]
fn f13_a_damaged_spool_costs_what_is_damaged_and_no_more() {
    const CAP: usize = 1_000;
    const CALLS: usize = 60;
    const FLIPS: u64 = 4;
    const ROUNDS: u64 = 2;
    let seed = seed();
    println!("seed {seed}");
    for database in TestDatabase::each() {
        let url = database.url().to_owned();
        let mut fleet = Fleet::new(database, Provider::start(), 1, |_, installation| installation);
        fleet.limit("tenant:acme", &a_day(CAP));
        fleet.start();
        let mut slowest = Duration::ZERO;
        for round in 0..ROUNDS {
            until("served", || fleet.call(0).status == 200);
            database::execute(&url, "ALTER TABLE attempts RENAME TO attempts_away");
            for _ in 0..CALLS {
                until("served", || fleet.call(0).status == 200);
            }
            fleet.replicas[0].kill();
            let spool = latest(&spools(&fleet.replicas[0]));
            let segment = spool.join("0000000001.segment");
            let mut bytes = fs::read(&segment).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            for flip in 0..FLIPS {
                // Far from each other: an attempt has two records.
                let chance = draw(seed, round * FLIPS + flip);
                let part = end as u64 / (FLIPS + 1);
                let at = usize::try_from((flip + 1) * part - chance % (part / 2)).unwrap();
                bytes[at] ^= (chance >> 40) as u8 | 1;
            }
            // In the midst of the last record.
            bytes.truncate(end - 1 - usize::try_from(draw(seed, 100 + round) % 16).unwrap());
            fs::write(&segment, bytes).unwrap();
            database::execute(&url, "ALTER TABLE attempts_away RENAME TO attempts");
            let begun = Instant::now();
            fleet.replicas[0].start();
            slowest = slowest.max(begun.elapsed());
            until("put aside", || {
                let names = fs::read_dir(&spool)
                    .unwrap()
                    .flatten()
                    .map(|entry| entry.file_name());
                names
                    .filter(|name| name.to_string_lossy().starts_with("unreadable-"))
                    .count()
                    >= FLIPS as usize
            });
        }
        assert!(slowest < READY, "{slowest:?}");
        fleet.use_up();
        let log = fleet.replicas[0].serving().log();
        assert!(log.contains("makes no sense and is put aside"), "{log}");
        let checked = fleet.check();
        let (seen, lost) = (fleet.provider.count(), checked.burnt() + checked.outstanding());
        assert!(seen <= CAP, "{seen}");
        // Of a few attempts the end is not known any more; there are no others.
        assert_eq!(checked.rows.len(), seen);
        assert!(
            checked.crashed() as u64 <= ROUNDS * (FLIPS + 1),
            "{}",
            checked.crashed()
        );
        println!(
            "there again after {slowest:?}; {seen} of {CAP} seen, {lost} not given back, {} ends lost",
            checked.crashed()
        );
    }
}

fn spools(replica: &Replica) -> Vec<PathBuf> {
    let root = replica.data().join("spool");
    fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// The one that was written last.
fn latest(spools: &[PathBuf]) -> PathBuf {
    let written = |spool: &&PathBuf| {
        let segment = fs::metadata(spool.join("0000000001.segment"));
        segment.and_then(|segment| segment.modified()).ok()
    };
    spools.iter().max_by_key(written).unwrap().clone()
}

/// The same, with some of its calls of the system failing.
fn traced(installation: Installation, call: &str, when: &str) -> Installation {
    let traced = installation.folder().join("traced");
    let script = format!(
        "#!/bin/sh\nexec strace -D -f -qq -o /dev/null -e trace={call} -e inject={call}:error=EIO:when={when} {PROGRAM} \"$@\"\n"
    );
    fs::write(&traced, script).unwrap();
    fs::set_permissions(&traced, fs::Permissions::from_mode(0o700)).unwrap();
    installation.program(&traced)
}

fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    traced.is_ok_and(|status| status.success())
}

/// Eight MiB of memory as a disk; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a printed line, where that is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        let arguments = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(at.to_owned()));
        }
        testkit::skip("nothing can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
