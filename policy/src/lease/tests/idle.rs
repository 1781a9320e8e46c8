//! Limits that nobody uses for a while: nothing is asked for them, and nothing of them is kept.

use super::*;

impl World {
    /// What the first one asks in so many microseconds: wishes and returns, and questions about nothing but the time.
    fn asked_in(&mut self, us: u64) -> (usize, usize) {
        let (until, mut spoken, mut quiet) = (self.now + us, 0, 0);
        while self.now < until {
            self.now += STEP_US;
            let (asked, arrives) = (self.now, self.now + ROUND_TRIP_US / 2);
            if let Some(request) = self.holders[0].due(asked) {
                let said = request.wishes.len() + request.returns.len();
                spoken += said;
                quiet += usize::from(said == 0);
                let database_ms = self.epoch_ms + i64::try_from(arrives / 1_000).unwrap();
                let answer = self.bank.refill(&request, database_ms);
                self.holders[0].answered(&request, &answer, asked, asked + ROUND_TRIP_US);
            }
        }
        (spoken, quiet)
    }
}

#[test]
fn a_limit_that_nobody_uses_is_given_back_once_and_forgotten() {
    let mut world = World::new(vec![
        limit("day", Unit::Requests, Period::Day, Cap::Units(1_000)),
        limit("month", Unit::Tokens, Period::Month, Cap::Units(1_000_000)),
        limit("calls", Unit::Concurrent, Period::Always, Cap::Units(10)),
    ]);
    world.served(0, 1);
    world.asked_in(35_000_000);
    assert!(
        !world.holders[0].pools.is_empty(),
        "it may be used again any moment"
    );
    let (granted, returned, settled) = world.bank.books();
    assert_eq!(granted, returned + settled, "all of it is back or used");
    let (spoken, _) = world.asked_in(60_000_000);
    assert_eq!(spoken, 0, "nothing is asked for nobody");
    world.asked_in(300_000_000);
    assert!(world.holders[0].pools.is_empty());
    let (spoken, quiet) = world.asked_in(60_000_000);
    assert_eq!(spoken, 0);
    assert!(quiet <= 12, "{quiet} questions about nothing but the time");
    // It is as good as new.
    assert!(world.served(0, 1) <= 2 * (TICK_US + ROUND_TRIP_US));
}
