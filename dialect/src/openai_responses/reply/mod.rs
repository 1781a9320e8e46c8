//! Whole answers: from this dialect into the neutral middle, and back out of it.

mod read;
mod write;

pub use read::read_reply;
pub(super) use read::{is_empty, seconds};
pub use write::write_reply;
