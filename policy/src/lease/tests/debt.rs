//! What calls use beyond what was granted is owed to their window, and nobody else is granted it, whatever becomes of the
//! replica.

use super::*;

const USED: u64 = 50_000;

fn soft(cap: u64) -> Vec<Limit> {
    let mut tokens = limit("tokens", Unit::Tokens, Period::Month, Cap::Units(cap));
    tokens.firmness = crate::limit::Firmness::Soft;
    vec![tokens]
}

/// A call that takes much more than was thought.
fn overdraw(world: &mut World) {
    assert!(world.reserve(0, 100).is_err());
    world.tick();
    let reservation = world.reserve(0, 100).unwrap();
    let used = Used {
        input_tokens: Some(USED),
        output_tokens: Some(0),
        nano_dollars: None,
    };
    world.holders[0].settle(reservation, &used, world.now);
}

fn granted_and_kept(world: &World) -> u64 {
    let (granted, returned, _) = world.bank.books();
    granted - returned
}

fn pass(world: &mut World, us: u64) {
    let until = world.now + us;
    while world.now < until {
        world.step();
    }
}

#[test]
fn what_was_used_beyond_what_was_granted_is_in_the_books_at_once_and_for_good() {
    let mut world = World::new(soft(1_000_000));
    overdraw(&mut world);
    // Whoever is killed now has told it.
    pass(&mut world, 3 * TICK_US);
    assert!(granted_and_kept(&world) >= USED);
    pass(&mut world, 400_000_000);
    assert!(world.holders[0].pools.is_empty());
    assert_eq!(granted_and_kept(&world), USED);
    assert_eq!(world.bank.books().2, USED, "and is told as used");
}

#[test]
fn what_is_owed_beyond_a_cap_is_remembered_and_not_asked_for_again_and_again() {
    let mut world = World::new(soft(1_000));
    overdraw(&mut world);
    pass(&mut world, 400_000_000);
    assert!(!world.holders[0].pools.is_empty());
    assert_eq!(granted_and_kept(&world), 1_000);
    world.now += 10 * TICK_US;
    let asked = world.holders[0].due(world.now);
    assert!(asked.is_none_or(|asked| asked.wishes.is_empty()));
}

#[test]
fn what_is_owed_when_a_replica_stops_is_told_by_its_last_words() {
    let mut world = World::new(soft(1_000_000));
    overdraw(&mut world);
    assert_eq!(world.stopped(), (USED, USED));
}
