//! OpenAI's Chat Completions: `POST /v1/chat/completions`.

mod event;
mod look;
mod meter;
mod models;
mod refusal;
mod relay;

pub use crate::envelope::Envelope;
pub use crate::look::LookError;
pub use crate::relay::StreamEnd;
pub use crate::splice::splice;
pub use crate::sse::{StreamLimits, StreamTooLarge};
pub use look::look;
pub use meter::Metered;
pub use models::{ModelEntry, read_model_list, write_model, write_model_list};
pub use refusal::{write_refusal, write_refusal_event};
pub use relay::{ChunkMeter, StreamRelay};

#[cfg(test)]
mod tests;
