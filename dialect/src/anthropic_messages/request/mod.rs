//! Requests.

mod messages;
mod output;
mod part;
mod read;
mod sampling;
mod thinking;
mod tools;
mod write;

pub(crate) use part::CALL_ID;
pub use read::read_request;
pub use write::write_request;
