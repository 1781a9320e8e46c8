//! Many replicas over one database, with everything that can go wrong between them, in made-up time.
//!
//! The replicas' side is the real [`Holder`]; the database is a model of the transaction ([`bank`]). Each run is told by its
//! seed alone. What the provider sees is counted by the database's clock: no window may see more than its cap (C1), what is
//! granted is what leases hold after every commit (I1), and what a replica holds adds up at every step (I2). Where all keep
//! journals and the database forgets nothing, no unit is lost (C3), whoever is killed and whenever.

pub(super) mod bank;
mod plan;
mod random;
mod run;
mod wrong;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use plan::limit;
pub use plan::{Outcome, Plan};
pub use run::run;

/// Protocols that look right and are not: each must be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A lease of which nothing is heard gives its units back after a while.
    ExpiryReturns,
    /// No answer counts as a grant.
    NoAnswerGrants,
    /// Units are told to be returned first, and leave the hand when that is confirmed.
    ReturnBeforeRemoved,
    /// Units of a late answer are added to whatever window is under way.
    LateAnswerUnlabelled,
    /// The replica goes by its own clock.
    OwnClock,
    /// Each replica counts for itself.
    LocalCounters,
    /// A database that may have forgotten what it granted grants at once what it believes to be left.
    NothingLearned,
}
