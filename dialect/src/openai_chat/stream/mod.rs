//! Streamed answers, to and from neutral events.

mod choice;
mod chunk;
mod read;
mod write;

pub use read::StreamReader;
pub use write::StreamWriter;
