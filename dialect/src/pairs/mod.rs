//! All twelve crossings between two dialects: what a client of one means arrives at a provider of the other, and comes
//! back, but for what is told as lost. Each codec has tests of its own; these hold them against one another.

mod again;
mod cases;
mod every;
mod face;
mod gist;
mod golden;
mod identity;
mod page;
mod recorded;
mod seals;
mod sent;
mod table;

pub(crate) use face::{replies_of_others, requests_of_others, streams_of_others};
