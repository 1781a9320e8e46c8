//! Gemini's `generateContent`: `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`, on Google's
//! two services, the Gemini API and Vertex AI.

mod answer;
mod calls;
mod citations;
mod count;
mod fault;
mod logprobs;
mod look;
mod meter;
mod models;
mod named;
mod read_part;
mod refusal;
mod reply;
mod request;
mod schema;
mod stream;
mod wire;
mod words;
mod write_part;

pub use count::{read_count, read_count_request, write_count, write_count_request};
pub use fault::{read_fault, write_fault, write_fault_event};
pub use logprobs::openai_logprobs;
pub use look::{Method, bare_model, look, look_count, split_path};
pub use meter::{ChunkMeter, Metered};
pub use models::{ModelEntry, ModelPage, read_model_list, write_model, write_model_list};
pub use named::rename;
pub(crate) use read_part::NO_SEAL;
pub use refusal::{write_refusal, write_refusal_event};
pub use reply::{read_reply, write_reply};
pub(crate) use request::is_third;
pub use request::{read_request, write_request};
pub use stream::{ArrayItems, ArrayRelay, Framing, StreamReader, StreamWriter};

#[cfg(test)]
pub(crate) mod tests;
