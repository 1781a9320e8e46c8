//! What a model answers.

use super::request::ServiceTier;
use super::{Arguments, Fault, FaultKind, Part, Raw, ToolCall};
use crate::Usage;
use crate::json::Members;

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
    /// Further answers to the same request, where the client asked for several. The first one's is above and below.
    pub others: Vec<Choice>,
    /// `None` where the provider reports none: unknown, which is not zero.
    pub usage: Option<Usage>,
    pub service_tier: Option<ServiceTier>,
    /// Log-probabilities, as their dialect writes them.
    pub logprobs: Option<Raw>,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

/// One of several answers to the same request: what they do not share.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub parts: Vec<Part>,
    pub finish: Finish,
    pub logprobs: Option<Raw>,
    /// Members of the answer's own that have no slot here.
    pub raw: Vec<Raw>,
}

/// The first answer or another, for those who write them alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChoiceRef<'a> {
    pub(crate) parts: &'a [Part],
    pub(crate) finish: &'a Finish,
    pub(crate) logprobs: Option<&'a Raw>,
    pub(crate) raw: &'a [Raw],
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

impl Reply {
    /// All answers, the first one first.
    pub(crate) fn choices(&self) -> impl Iterator<Item = ChoiceRef<'_>> {
        let first = ChoiceRef {
            parts: &self.parts,
            finish: &self.finish,
            logprobs: self.logprobs.as_ref(),
            raw: &self.raw,
        };
        let others = self.others.iter().map(|choice| ChoiceRef {
            parts: &choice.parts,
            finish: &choice.finish,
            logprobs: choice.logprobs.as_ref(),
            raw: &choice.raw,
        });
        std::iter::once(first).chain(others)
    }

    /// Does the same to each answer, as if it were the only one.
    pub(crate) fn each_choice(&mut self, mut change: impl FnMut(&mut Self)) {
        change(self);
        for mut other in std::mem::take(&mut self.others) {
            self.swap(&mut other);
            change(self);
            self.swap(&mut other);
            self.others.push(other);
        }
    }

    fn swap(&mut self, other: &mut Choice) {
        std::mem::swap(&mut self.parts, &mut other.parts);
        std::mem::swap(&mut self.finish, &mut other.finish);
        std::mem::swap(&mut self.logprobs, &mut other.logprobs);
        std::mem::swap(&mut self.raw, &mut other.raw);
    }
}

impl Finish {
    /// Whether the answer ends where there was no more room, or where a filter stopped it: what is not whole then never will be.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Self::MaxTokens | Self::ContextFull | Self::Blocked(_))
    }

    /// Whether a call may be handed out as one: clients run what they are given, whatever the reason for the end. Of an answer
    /// that was cut, none whose arguments broke off.
    pub(crate) fn hands_out(&self, call: &ToolCall) -> bool {
        match &call.arguments {
            Arguments::Json(json) => !self.is_cut() || Members::read(json).is_some(),
            Arguments::Text(_) => true,
        }
    }

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
