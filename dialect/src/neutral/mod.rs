//! What the dialects have in common: a conversation, the answer to it, and the stream of that answer, in words of none
//! of them.
//!
//! Only calls that cross from one dialect to another come through here; between equals the bytes pass as they came.
//! The middle is a superset: parts keep their order, and whatever has no slot travels on as [`Raw`] under the dialect
//! that it came from, to be put back if it ever reaches that dialect again. Every word that vendors may add to (roles,
//! reasons, tiers, kinds of part) has a place for the unknown. What cannot cross is told as a [`Loss`], or refused; it
//! never just goes missing.
//!
//! Two codecs belong to each dialect, in its own folder: one reads into these types, one writes from them.

pub mod carry;
pub mod check;
pub mod collect;
mod conversation;
pub mod data_url;
mod discreet;
mod event;
mod fault;
mod foreign;
mod loss;
pub mod names;
mod raw;
mod reply;
mod request;
mod target;
mod texts;
mod tool;
pub mod undo;
mod written;

pub use conversation::{Citation, Media, MediaKind, MediaSource, Part, Reasoning, Role, Seal, Text, Turn};
pub use discreet::discreet;
pub use event::{Block, Delta, Event, Start};
pub use fault::{Fault, FaultKind};
#[cfg(test)]
pub(crate) use foreign::{Fate, table as foreign_members};
pub use foreign::{foreign, is_openais};
pub use loss::{Loss, Losses};
pub use names::Names;
pub use raw::Raw;
pub(crate) use reply::ChoiceRef;
pub use reply::{Choice, Finish, Reply};
pub use request::{
    CacheMark, Effort, OutputFormat, Request, Sampling, ServiceTier, Thinking, ThinkingAmount,
};
pub use target::{
    CacheMarks, CallIds, Efforts, MaxTokensName, Profile, ReasoningField, Target, ThinkingStyle,
};
pub use texts::Texts;
pub use tool::{Arguments, Tool, ToolCall, ToolChoice, ToolKind, ToolResult};
pub use undo::Undo;
pub use written::{BadAnswer, Heading, OwnedHeading, Written};
