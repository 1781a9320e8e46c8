//! Streams: `streamGenerateContent`, as server-sent events or as one JSON array.

mod array;
mod candidate;
mod partial;
mod read;
mod write;

pub use array::{ArrayItems, ArrayRelay};
pub use read::StreamReader;
pub use write::{Framing, StreamWriter};
