//! Counting tokens without an answer. Two of the dialects have an endpoint for it; the others' providers cannot be asked.

use crate::codec::InPath;
use crate::json::Limits;
use crate::neutral::{BadAnswer, Losses, Request, Target, Written};
use crate::refusal::Refusal;
use crate::{Dialect, Envelope, LookError, anthropic_messages, gemini_generate};

/// A dialect in which tokens can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// `POST /v1/messages/count_tokens`
    AnthropicMessages,
    /// `:countTokens`
    GeminiGenerate,
}

impl Counter {
    /// How providers of this dialect count, if they do.
    pub fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::AnthropicMessages => Some(Self::AnthropicMessages),
            Dialect::GeminiGenerate => Some(Self::GeminiGenerate),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => None,
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::AnthropicMessages => Dialect::AnthropicMessages,
            Self::GeminiGenerate => Dialect::GeminiGenerate,
        }
    }

    /// Looks at a request to count.
    ///
    /// # Errors
    /// When it is no JSON object within the limits, or cannot be such a request.
    pub fn look(self, body: &[u8], in_path: InPath<'_>, limits: &Limits) -> Result<Envelope, LookError> {
        match self {
            Self::AnthropicMessages => anthropic_messages::look_count(body, limits),
            Self::GeminiGenerate => gemini_generate::look_count(body, in_path.model, limits),
        }
    }

    /// Reads what is to be counted.
    ///
    /// # Errors
    /// When it is not what the dialect says a request is.
    pub fn read_request(self, body: &[u8], in_path: InPath<'_>) -> Result<Request, Refusal> {
        match self {
            Self::AnthropicMessages => anthropic_messages::read_request(body),
            Self::GeminiGenerate => gemini_generate::read_count_request(body, in_path.model),
        }
    }

    /// Writes a request to count for a provider.
    ///
    /// # Errors
    /// When something cannot be said in the dialect that cannot be left out either.
    pub fn write_request(
        self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Written, Refusal> {
        match self {
            Self::AnthropicMessages => anthropic_messages::write_count_request(request, target, losses),
            Self::GeminiGenerate => gemini_generate::write_count_request(request, target, losses),
        }
    }

    /// The tokens that a provider counted.
    ///
    /// # Errors
    /// When the answer is no count.
    pub fn read(self, body: &[u8]) -> Result<u64, BadAnswer> {
        match self {
            Self::AnthropicMessages => anthropic_messages::read_count(body),
            Self::GeminiGenerate => gemini_generate::read_count(body),
        }
    }

    /// Writes a count for a client.
    pub fn write(self, tokens: u64) -> Vec<u8> {
        match self {
            Self::AnthropicMessages => anthropic_messages::write_count(tokens),
            Self::GeminiGenerate => gemini_generate::write_count(tokens),
        }
    }
}
