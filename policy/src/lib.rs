//! Decisions, pure: no I/O, no clock, no chance. What a decision needs comes in as an argument.
//!
//! [`plan`] turns the model name that a client asked for into the targets to try; [`explain`] tells how, by the same
//! code. [`ModelAllow`] says which model names a gateway key may use at all, [`price`] what a call costs, and [`bound`]
//! what it can cost at most; [`expect`] what it will likely use. [`limit`] has the words of limits, [`lease`] how their
//! windows are shared among replicas.

mod allow;
pub mod bound;
pub mod expect;
pub mod lease;
pub mod limit;
mod pattern;
mod plan;
pub mod price;
mod route;

pub use allow::ModelAllow;
pub use pattern::{Pattern, PatternError};
pub use plan::{Considered, Explanation, Plan, Rule, Rules, Verdict, explain, plan};
pub use route::{Route, RouteTarget, RouteTargetError, Scope, Target};
