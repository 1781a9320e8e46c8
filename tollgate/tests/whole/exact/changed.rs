//! What an operator changes while replicas hold units of it.

use testkit::chaos::Weather;

use super::fleet::{Fleet, a_day, until};
use super::provider::Provider;

/// What replicas hold and do not use goes back, and nothing is granted until it fits. The same where announcements do not
/// arrive.
#[test]
fn f20_a_cap_that_is_lowered_holds_for_the_window_under_way() {
    let Some(mut fleet) = Fleet::of_three(Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(1_000));
    fleet.replicas[2].chaos.as_ref().unwrap().set(Weather::Deaf);
    fleet.start();
    for _ in 0..20 {
        for replica in 0..3 {
            until("served", || fleet.call(replica).status == 200);
        }
    }
    fleet.limit("tenant:acme", &a_day(100));
    Fleet::wait_until_noticed();
    fleet.use_up();
    assert_eq!(fleet.provider.count(), 100);
    let checked = fleet.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

/// A limit that is removed and set again within its window is the limit that it was.
#[test]
fn f20_a_limit_that_is_removed_and_set_again_does_not_begin_anew() {
    let Some(mut fleet) = Fleet::of_three(Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(100));
    fleet.start();
    fleet.use_up();
    assert_eq!(fleet.provider.count(), 100);
    let listed = fleet.desk.ask(&["limit", "list", "--tenant", "acme"]);
    fleet
        .desk
        .ask(&["limit", "remove", listed[0]["id"].as_str().unwrap()]);
    fleet.limit("tenant:acme", &a_day(120));
    Fleet::wait_until_noticed();
    assert_eq!(fleet.use_up(), 20, "what was used before is used");
    let checked = fleet.check();
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}
