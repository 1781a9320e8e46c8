//! Streamed answers: from this dialect into neutral events, and back out of them.

mod item;
mod pen;
mod read;
mod seen;
mod wire;
mod write;

pub use read::StreamReader;
pub use write::StreamWriter;
