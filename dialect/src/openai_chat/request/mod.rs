//! Requests, to and from the neutral middle.

mod messages;
mod read;
mod tools;
mod write;

pub(crate) use messages::call_id;
pub(super) use messages::{arguments_text, write_google};
pub use read::read_request;
pub use write::write_request;
