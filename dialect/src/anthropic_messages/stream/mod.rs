//! Streamed answers.

mod incoming;
mod read;
mod write;

pub use read::StreamReader;
pub use write::StreamWriter;
