//! OpenAI's Responses: `POST /v1/responses`.

mod content;
mod fault;
mod item;
mod logprobs;
mod look;
mod meter;
mod models;
mod namespace;
mod output;
mod refusal;
mod relay;
mod reply;
mod request;
mod response;
mod stream;
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
pub use relay::{EventMeter, StreamRelay};
pub use reply::{read_reply, write_reply};
pub use request::{read_request, write_request};
pub use stream::{StreamReader, StreamWriter};

#[cfg(test)]
pub(crate) mod tests;
