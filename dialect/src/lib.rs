//! Wire formats of LLM APIs, pure and sans-IO: bytes in, bytes out, no clock, no runtime.
//!
//! [`json::scan`] looks at a body once, without building a tree, so that what is forwarded can stay the very bytes
//! that were checked. [`openai_chat`] is the first dialect. [`neutral`] is what stands between two that differ.

pub mod anthropic_messages;
mod cap;
pub mod codec;
mod count;
#[cfg(test)]
mod cuts;
mod dialect;
pub mod embeddings;
mod envelope;
pub mod gemini_generate;
mod given_back;
pub mod json;
mod look;
mod needle;
pub mod neutral;
pub mod openai_chat;
pub mod openai_responses;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod pitfalls;
pub mod rates;
pub mod refusal;
mod relay;
mod said;
pub mod schema;
#[cfg(test)]
mod spec;
mod splice;
pub mod sse;
mod tier;
pub mod translate;
mod usage;
mod weight;

pub use count::Counter;
pub use dialect::Dialect;
pub use envelope::Envelope;
pub use look::LookError;
pub use relay::{StreamEnd, StreamMeter, StreamRelay};
pub use splice::{Spliced, Splicing, splice};
pub use tier::TierWord;
pub use usage::Usage;
pub use weight::{IMAGE_TOKENS, Weight, tokens_of, weigh};
