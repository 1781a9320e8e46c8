//! Leases: the database's side of limits that many replicas share.
//!
//! What is granted of a window is counted in one row, under a lock, and that row never exceeds its cap. A lease is written
//! before it is counted, under an id that its replica made, so a question whose answer was lost may be asked again. Whatever
//! is locked is locked in this order, by everybody: the replica, leases by id, limits by id, counters by limit and window.

mod agree;
mod begin;
mod books;
mod grant;
mod origin;
mod refill;
mod report;
mod text;
mod tidy;

pub use agree::Disagreement;
pub use begin::Begun;
pub(crate) use origin::Origin;
pub use report::{LeaseSums, WindowReport};
pub use tidy::Tidied;

/// The ceiling of a counter that has none.
pub(crate) const CEILING_MAX: i64 = i64::MAX;
