//! JSON that is carried, not understood.

use serde_json::value::RawValue;

use crate::Dialect;

/// A piece of JSON as somebody wrote it, with the dialect in which it means something.
///
/// It is written back to that dialect alone, letter by letter; on the way to any other it is a
/// [`Loss`](super::Loss) or a refusal.
#[derive(Debug, Clone)]
pub struct Raw {
    pub origin: Dialect,
    /// The name of the member it stood under; empty for an element of an array.
    pub name: String,
    pub json: Box<RawValue>,
}

impl Raw {
    pub fn new(origin: Dialect, name: impl Into<String>, json: Box<RawValue>) -> Self {
        Self {
            origin,
            name: name.into(),
            json,
        }
    }
}

/// Two pieces are the same when they are spelled the same.
impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin && self.name == other.name && self.json.get() == other.json.get()
    }
}
