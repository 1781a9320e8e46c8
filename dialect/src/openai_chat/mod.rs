//! OpenAI's Chat Completions: `POST /v1/chat/completions`.

mod look;
mod reply;
mod splice;
mod stream;

pub use look::{Envelope, LookError, look};
pub use reply::reply_usage;
pub use splice::splice;
pub use stream::{EventTooLarge, StreamEnd, StreamRelay};

#[cfg(test)]
mod tests;
