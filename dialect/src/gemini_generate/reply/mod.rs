//! Answers: `GenerateContentResponse`, whole.

mod read;
mod write;

pub use read::read_reply;
pub use write::write_reply;
pub(super) use write::{Ending, Thoughts, carried, write_answer_members};
