//! Requests: from this dialect into the neutral middle, and back out of it.

mod items;
mod read;
mod read_tools;
mod write;
mod write_tools;

pub use read::read_request;
pub use write::write_request;
