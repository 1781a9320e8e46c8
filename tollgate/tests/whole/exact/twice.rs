//! Two processes that believe to be the same replica.

use std::fs;

use super::fleet::{Fleet, a_day, copy, until};
use super::provider::Provider;

const CAP: usize = 400;

/// Two processes on one folder are two replicas. One on a copy of the folder of another that goes on is a third: it neither
/// takes that one's name, nor gives back what that one holds.
#[test]
fn f17_a_copied_folder_is_another_replica_and_gives_nothing_back() {
    let Some(mut fleet) = Fleet::new_of(2, Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.replicas[0].start();
    for _ in 0..60 {
        until("served", || fleet.call(0).status == 200);
    }
    let (from, to) = (fleet.replicas[0].data(), fleet.replicas[1].data());
    copy(&from, &to);
    let name = |folder: &std::path::Path| fs::read_to_string(folder.join("replicas/0")).unwrap();
    assert_eq!(name(&from), name(&to));
    fleet.replicas[1].start();
    assert_ne!(name(&from), name(&to), "the copy has taken a name of its own");
    let same_folder = fleet.replicas[0].installation.serve();
    assert!(
        from.join("replicas/1").exists(),
        "the second on one folder has a name of its own"
    );
    for replica in 0..2 {
        until("served", || fleet.call(replica).status == 200);
    }
    fleet.use_up();
    assert!(same_folder.stop().success());
    let checked = fleet.check();
    let (seen, burnt) = (fleet.provider.count(), checked.burnt());
    assert_eq!((seen, burnt, checked.outstanding()), (CAP, 0, 0));
}
