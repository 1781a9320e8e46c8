//! A streamed answer, as neutral events.
//!
//! A reader yields, in this order: [`Event::Start`] once; blocks, each opened, filled and closed, which may interleave
//! (Chat Completions mixes the arguments of several calls); [`Event::Usage`] whenever the provider tells it, each time
//! replacing what was told before; [`Event::Finish`] once; [`Event::End`] once, when the provider's own sign of the end
//! was seen. A [`Event::Fault`] ends the stream in their place. A stream that stops without [`Event::End`] was cut.
//!
//! Where a client asked for several answers, those beside the first come as [`Event::Other`], mixed with its events, each
//! with blocks and a [`Event::Finish`] of its own.

use super::request::ServiceTier;
use super::{Citation, Fault, Finish, Raw, Seal};
use crate::Usage;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Start(Start),
    /// A block begins. Numbers count from 0 in the order of opening and are used once.
    Open {
        block: u32,
        kind: Block,
    },
    Delta {
        block: u32,
        delta: Delta,
    },
    Close {
        block: u32,
    },
    Usage(Usage),
    Finish(Finish),
    Fault(Fault),
    /// The provider lives, but has nothing to say yet (`ping`, a comment).
    KeepAlive,
    /// Something that only its own dialect understands.
    Raw(Raw),
    /// What another answer than the first holds: blocks, which are numbered within it, its finish, or raw members.
    Other {
        /// From 1, as its provider numbers it.
        choice: u32,
        event: Box<Event>,
    },
    End,
}

impl Event {
    /// Whether the model says something by it: a token at least.
    pub fn says(&self) -> bool {
        self.said_bytes() > 0
    }

    /// As an event of this answer, of which the first is 0.
    pub(crate) fn of(self, choice: u32) -> Self {
        match choice {
            0 => self,
            _ => Self::Other {
                choice,
                event: Box::new(self),
            },
        }
    }

    /// How much the model says in it, in bytes of text.
    pub(crate) fn said_bytes(&self) -> u64 {
        match self {
            Self::Delta {
                delta: Delta::Text(text) | Delta::Arguments(text),
                ..
            } => text.len() as u64,
            Self::Other { event, .. } => event.said_bytes(),
            _ => 0,
        }
    }
}

/// What is known before the first word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Start {
    /// The provider's own id; empty where it gave none.
    pub id: String,
    pub model: String,
    /// Unix seconds, where the provider tells.
    pub created_s: Option<u64>,
    /// Usage of the input, where it is told this early.
    pub usage: Option<Usage>,
    pub service_tier: Option<ServiceTier>,
}

/// What a block is.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    Text,
    Refusal,
    Reasoning {
        is_summary: bool,
        /// The item's id, where the vendor gives one.
        id: Option<String>,
    },
    ToolCall {
        /// Never empty.
        id: String,
        id_is_ours: bool,
        name: String,
        /// Whether it is fed free text, not JSON.
        is_free_text: bool,
    },
    /// A block that only its own dialect understands: all of it, once it is complete. It has no deltas.
    Raw(Raw),
}

/// What is added to a block.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// To text, to a refusal, or to the current piece of reasoning.
    Text(String),
    /// A further piece of reasoning begins (the Responses API's next summary part).
    NextPiece,
    /// To the arguments of a call: a fragment of JSON, or of free text.
    Arguments(String),
    /// The seal of the block, whole. For reasoning that is redacted there is nothing else.
    Seal {
        seal: Seal,
        redacted: bool,
    },
    Citation(Citation),
    /// Log-probabilities of the text just told.
    Logprobs(Raw),
}
