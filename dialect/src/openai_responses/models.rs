//! Lists of models, which both of OpenAI's dialects share.

pub use crate::openai_chat::{ModelEntry, read_model_list, write_model, write_model_list};
