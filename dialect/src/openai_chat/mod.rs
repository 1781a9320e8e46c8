//! OpenAI's Chat Completions: `POST /v1/chat/completions`.

mod event;
mod look;
mod models;
mod refusal;
mod reply;
mod splice;
mod stream;

pub use look::{Envelope, LookError, look};
pub use models::{ModelEntry, read_model_list, write_model, write_model_list};
pub use refusal::{write_refusal, write_refusal_event};
pub use reply::Reply;
pub use splice::splice;
pub use stream::{StreamEnd, StreamLimits, StreamRelay, StreamTooLarge};

#[cfg(test)]
mod tests;
