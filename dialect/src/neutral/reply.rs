//! What a model answers.

use super::request::ServiceTier;
use super::{Fault, FaultKind, Part, Raw};
use crate::Usage;

/// One whole answer, whatever dialect it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The provider's own id; empty where it gave none.
    pub id: String,
    /// The model as the provider reports it; empty where it does not.
    pub model: String,
    /// Unix seconds, where the provider tells.
    pub created_s: Option<u64>,
    pub parts: Vec<Part>,
    pub finish: Finish,
    /// `None` where the provider reports none: unknown, which is not zero.
    pub usage: Option<Usage>,
    pub service_tier: Option<ServiceTier>,
    /// Log-probabilities, as their dialect writes them.
    pub logprobs: Option<Raw>,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

/// Why the answer ends where it does.
///
/// A call of a tool is found by what the answer holds, not by the vendor's word: readers use
/// [`Finish::by_content`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The model had no more to say.
    End,
    /// One of the stop sequences was met, and which, where the vendor tells.
    StopSequence(Option<String>),
    /// `max_tokens` was reached.
    MaxTokens,
    /// The model's context is full.
    ContextFull,
    /// The client is to run a tool.
    ToolCall,
    /// A filter of the vendor held the answer back; the vendor's word for it (`SAFETY`, `RECITATION`).
    Blocked(Option<String>),
    /// The model itself refused; its explanation, where there is one.
    Refused(Option<String>),
    /// A long turn was paused and wants to be continued (Anthropic's `pause_turn`).
    Paused,
    /// The model wrote a call of a tool that makes no sense (`MALFORMED_FUNCTION_CALL`).
    BadToolCall(String),
    /// A word that no document names; as it was spelled.
    Other(String),
}

impl Finish {
    /// The reason by what the answer holds: with a call for the client in it, an answer that was not cut or held back
    /// ends for that call, whatever word its vendor has for it.
    #[must_use]
    pub fn by_content(self, has_tool_call: bool) -> Self {
        match self {
            Self::End | Self::Other(_) | Self::StopSequence(None) if has_tool_call => Self::ToolCall,
            Self::ToolCall if !has_tool_call => Self::End,
            other => other,
        }
    }

    /// What went wrong, where the answer ends in a way that is none: a call that makes no sense is nothing that a client
    /// could run, and another try may well go better.
    pub fn fault(&self) -> Option<Fault> {
        let Self::BadToolCall(word) = self else {
            return None;
        };
        Some(Fault {
            kind: FaultKind::Internal,
            message: format!("the model called a tool in a way that makes no sense ({word})"),
            param: None,
            code: None,
            retry_after_ms: None,
        })
    }
}
