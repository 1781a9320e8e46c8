//! OpenAI's Chat Completions: `POST /v1/chat/completions`.

mod look;
mod reply;
mod splice;

pub use look::{Envelope, LookError, look};
pub use reply::reply_usage;
pub use splice::splice;

#[cfg(test)]
mod tests;
