//! The protocols that only look right, each made of the right one by what it would do differently.

use super::random::Random;
use super::run::Replica;
use crate::lease::clock::{DatabaseClock, Moment};
use crate::lease::exchange::{Grant, GrantWish, RefillAnswer, RefillRequest};
use crate::lease::holder::Holder;

/// A clock that is believed to show exactly the database's time.
pub(super) fn own_clock(replica: &mut Replica, database_ms: i64, local: Moment) {
    let mut clock = DatabaseClock::default();
    clock.learn(local, local, shown_ms(replica, database_ms));
    replica.holder.clock = clock;
}

/// What the replica's own clock shows.
pub(super) fn shown_ms(replica: &Replica, database_ms: i64) -> i64 {
    database_ms + replica.wall_off_us / 1_000
}

/// What was wished for counts as granted, although nobody said so.
pub(super) fn believe(holder: &mut Holder, request: &RefillRequest, now: Moment) {
    for wish in &request.wishes {
        let grant = Grant {
            lease: wish.lease,
            window: wish.window,
            units: wish.units,
        };
        holder.grant(wish, &grant, false, now);
    }
}

/// Makes the units of an answer belong to whatever window is under way.
pub(super) fn unlabel(
    holder: &mut Holder,
    request: &mut RefillRequest,
    answer: &mut RefillAnswer,
    now: Moment,
) {
    let Some(time) = holder.clock.at(now) else { return };
    for wish in &mut request.wishes {
        let Some(pool) = holder.pools.get_mut(&wish.limit_id) else {
            continue;
        };
        let Some(current) = pool.current(time) else {
            continue;
        };
        let asked: Option<GrantWish> = pool.held(wish.window).wish.take();
        pool.held(current).wish = asked.or(pool.held(current).wish.take());
        wish.window = current;
        for grant in answer.grants.iter_mut().filter(|grant| grant.lease == wish.lease) {
            grant.window = current;
        }
    }
}

/// Units that are told to be returned, and go on being spent until the answer is there.
pub(super) fn tell_early(replica: &mut Replica, random: &mut Random) {
    for pool in replica.holder.pools.values_mut() {
        let limit_id = pool.limit.id.clone();
        for held in pool.all() {
            if held.free > 0 && random.once_in(50) {
                replica
                    .told_early
                    .push((limit_id.clone(), held.window, held.free));
            }
        }
    }
}

pub(super) fn add_told_early(replica: &Replica, request: &mut RefillRequest) {
    for (limit_id, window, units) in &replica.told_early {
        let Some(pool) = replica.holder.pools.get(limit_id) else {
            continue;
        };
        if let Some(held) = pool.iter().find(|held| held.window == *window) {
            let mut copy = held.clone();
            copy.let_go(*units);
            copy.tell(&mut request.returns, &mut request.settled);
        }
    }
}

pub(super) fn forget_told_early(replica: &mut Replica) {
    for (limit_id, window, units) in std::mem::take(&mut replica.told_early) {
        if let Some(pool) = replica.holder.pools.get_mut(&limit_id) {
            pool.held(window).let_go(units);
        }
    }
}
