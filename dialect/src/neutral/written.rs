//! What codecs hand over beside the conversation itself.

use super::{Fault, Undo};
use crate::json::WrongType;

/// A request as a provider gets it, and what has to be turned back in its answer.
#[derive(Debug, Clone, Default)]
pub struct Written {
    pub body: Vec<u8>,
    pub undo: Undo,
}

/// What an answer says of itself beside what the provider told. Nothing here has a clock or chance, so it comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading<'a> {
    /// An id of ours, with the prefix of the client's dialect.
    pub id: &'a str,
    /// Unix seconds.
    pub created_s: u64,
    /// The model name that the client asked for, which stands in for a provider's that is not told.
    pub model: &'a str,
}

/// A heading that lasts as long as a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedHeading {
    pub id: String,
    pub created_s: u64,
    pub model: String,
}

/// Why a provider's answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is not what its dialect says an answer is. Where, and never with words of the answer itself.
    #[error("the answer is not what its dialect says: {0}")]
    Malformed(String),
    /// It is an error, though its status says that all is well.
    #[error("the answer tells of an error: {}", .0.message)]
    Fault(Fault),
    /// It is a stream, and broke off.
    #[error("the answer broke off")]
    Cut,
}

impl Heading<'_> {
    pub fn to_owned(&self) -> OwnedHeading {
        OwnedHeading {
            id: self.id.to_owned(),
            created_s: self.created_s,
            model: self.model.to_owned(),
        }
    }
}

impl OwnedHeading {
    pub fn as_heading(&self) -> Heading<'_> {
        Heading {
            id: &self.id,
            created_s: self.created_s,
            model: &self.model,
        }
    }
}

/// A message of serde quotes values of the answer, so only its kind and place are kept.
impl From<serde_json::Error> for BadAnswer {
    fn from(error: serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "a member is missing or has a wrong type",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is no JSON",
        };
        let (line, column) = (error.line(), error.column());
        Self::Malformed(format!("{kind}, at line {line} column {column}"))
    }
}

impl From<WrongType> for BadAnswer {
    fn from(error: WrongType) -> Self {
        Self::Malformed(error.to_string())
    }
}
