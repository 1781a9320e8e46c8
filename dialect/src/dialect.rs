//! The wire formats themselves, by name.

use serde::{Deserialize, Serialize};

/// A wire format that clients or providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI's Chat Completions, which most vendors speak too.
    OpenaiChat,
    OpenaiResponses,
    AnthropicMessages,
    GeminiGenerate,
}

impl Dialect {
    /// Its name in the catalogue, the ledger and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::GeminiGenerate => "gemini_generate",
        }
    }
}
