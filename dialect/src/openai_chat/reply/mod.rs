//! Whole answers, to and from the neutral middle.

mod read;
mod write;

pub use read::read_reply;
pub(super) use read::{mark, read_pages, seconds, tells_logprobs};
pub use write::write_reply;
