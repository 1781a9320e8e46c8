//! Leases: the parts of a window's budget that replicas hold.
//!
//! A [`Holder`] is one replica's side: calls take from it without asking anybody, and once a tick it asks the database for
//! more, and gives back what it does not need ([`RefillRequest`], [`RefillAnswer`]). It is pure: moments and answers come in
//! as arguments, so the same code runs in a simulation of many replicas.

mod ahead;
mod clock;
mod demand;
mod exchange;
mod held;
mod holder;
mod journal;
mod past;
mod pool;
mod refill;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
mod sound;

pub use clock::{DatabaseClock, Interval, Moment};
pub use exchange::{
    Grant, GrantWish, Incarnation, LeaseId, LeaseStanding, RefillAnswer, RefillRequest, Report, Return,
    Settled, Standing,
};
pub use holder::{Denied, DeniedWhy, Holder, HolderSettings, Remaining, Reservation, Used, Want};
pub use journal::{JournalError, Replay, split as split_journal};
pub use sound::{Broken, Flow};

#[cfg(test)]
mod tests;
