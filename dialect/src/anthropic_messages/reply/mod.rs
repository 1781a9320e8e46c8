//! Whole answers.

mod read;
mod write;

pub(super) use read::explanation;
pub use read::read_reply;
pub use write::write_reply;
pub(super) use write::write_stop;
