//! Requests: `generateContent`, `streamGenerateContent`, and what `countTokens` wraps around one.

mod config;
mod contents;
mod read;
mod tools;
mod write;

pub use read::read_request;
pub(crate) use write::is_third;
pub use write::write_request;
