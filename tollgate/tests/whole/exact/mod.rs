//! Limits and the ledger while things fail, with the whole program: three replicas on one database, each with a way to it
//! of its own, and a provider that keeps books.
//!
//! Each test ends by holding the provider's books against the limits (C1), against the ledger (C2), and what was granted
//! against what became of it (C3); see [`checkers`]. A test's name says which of the faults it shows.

mod ahead;
mod away;
mod changed;
mod checkers;
mod clocks;
mod crowd;
mod disk;
mod embedded;
mod fallen;
mod fleet;
mod forgotten;
mod killed;
mod left;
mod nested;
mod provider;
mod truth;
mod twice;

pub(crate) use checkers::Checked;
pub(crate) use fleet::{a_day, zone_of_noon};
pub(crate) use provider::{Provider, Script, now_ms};
