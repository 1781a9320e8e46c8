//! Calls that broke off: they used at least what was heard of them.

use super::*;
use crate::limit::Firmness;

#[test]
fn a_call_that_broke_off_keeps_what_it_may_have_used_of_hard_limits_alone() {
    for firmness in [Firmness::Hard, Firmness::Soft] {
        let mut tokens = limit("tokens", Unit::Tokens, Period::Month, Cap::Units(1_000_000));
        tokens.firmness = firmness;
        let mut world = World::new(vec![tokens]);
        assert!(world.reserve(0, 900).is_err());
        world.tick();
        let reservation = world.reserve(0, 900).unwrap();
        let heard = Used {
            input_tokens: Some(20),
            output_tokens: Some(30),
            nano_dollars: None,
        };
        world.holders[0].settle_at_least(reservation, &heard, world.now);
        let kept = if firmness == Firmness::Hard { 900 } else { 50 };
        assert_eq!(world.stopped(), (kept, kept), "{firmness:?}");
    }
}
