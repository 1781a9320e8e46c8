//! One scan over a JSON body: is it well-formed, is it within bounds, and where are its top-level members.
//!
//! No tree is built and nothing is decoded but the names of the top-level members, so a body of many megabytes costs
//! one pass and a few spans, and the bytes can go on as they came. The scan does not call itself: nesting is counted,
//! so no input can exhaust the stack. What clients send is judged strictly ([`scan`]); what a provider has answered is
//! passed on as it is, so there only its form matters ([`scan_answer`]).

mod checked;
mod members;
mod object;
mod scanner;
mod text;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use checked::{checked_items, checked_members};
pub use members::{Members, WrongType};
pub use object::{ObjectWriter, write, write_array};
pub use scanner::{scan, scan_answer};

/// How large a body's structure may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Arrays and objects inside one another.
    pub depth_max: usize,
    /// Values altogether, member names not counted.
    pub nodes_max: usize,
    /// Members of the top-level object, each of which is kept.
    pub members_max: usize,
}

impl Default for Limits {
    /// Depth 127, as serde_json's own; nodes enough for embeddings, which send arrays of tokens.
    fn default() -> Self {
        Self {
            depth_max: 127,
            nodes_max: 4_194_304,
            members_max: 1_024,
        }
    }
}

/// A top-level object whose bytes have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<'a> {
    /// In the order in which they stand.
    pub members: Vec<Member<'a>>,
}

/// One member of the top-level object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name, decoded: `"mod\u0065l"` is `model`. UTF-8, as the body is.
    pub name: Cow<'a, [u8]>,
    /// Where the value stands in the body, without the white space around it.
    pub value: Range<usize>,
    /// How many values it holds directly, when it is an array.
    pub items: usize,
}

/// Why a body was refused, and the byte at which it was noticed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the body is not well-formed JSON at byte {at}")]
    Malformed { at: usize },
    #[error("the body is not UTF-8 at byte {at}")]
    NotUtf8 { at: usize },
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body is nested too deeply at byte {at}")]
    TooDeep { at: usize },
    #[error("the body holds too many values at byte {at}")]
    TooManyNodes { at: usize },
    #[error("the member `{name}` is there twice")]
    Duplicate { name: String },
}

impl<'a> Object<'a> {
    /// Where the value of this member stands.
    pub fn get(&self, name: &str) -> Option<Range<usize>> {
        self.member(name).map(|member| member.value.clone())
    }

    pub fn member(&self, name: &str) -> Option<&Member<'a>> {
        self.members
            .iter()
            .find(|member| *member.name == *name.as_bytes())
    }
}

#[cfg(test)]
mod tests;
