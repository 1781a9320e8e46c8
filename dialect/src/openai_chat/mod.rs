//! OpenAI's Chat Completions: `POST /v1/chat/completions`.

mod event;
mod fault;
mod figures;
pub(crate) mod functions;
mod look;
mod meter;
mod models;
mod parts;
mod refusal;
mod relay;
mod reply;
mod request;
mod stream;
mod thoughts;
mod words;

pub use crate::envelope::Envelope;
pub use crate::look::LookError;
pub use crate::relay::StreamEnd;
pub use crate::splice::splice;
pub use crate::sse::{StreamLimits, StreamTooLarge};
pub use fault::{read_fault, write_fault, write_fault_event};
pub use look::look;
pub use meter::Metered;
pub use models::{ModelEntry, read_model_list, write_model, write_model_list};
pub use refusal::{write_refusal, write_refusal_event};
pub use relay::{ChunkMeter, StreamRelay};
pub use reply::{read_reply, write_reply};
pub(crate) use request::call_id;
pub use request::{read_request, write_request};
pub use stream::{StreamReader, StreamWriter};

#[cfg(test)]
pub(crate) mod tests;
