//! OpenAI's Chat Completions: `POST /v1/chat/completions`.

mod look;
mod splice;

pub use look::{Envelope, LookError, look};
pub use splice::splice;

#[cfg(test)]
mod tests;
