//! The members of an object with their values unread, for what is carried and not understood: a codec takes the members
//! that it knows by name, and what is left goes on as it was written, in its order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object, in the order in which it is written.
#[derive(Debug, Clone, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A value that is not of the type that it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the member `{0}` has a wrong type or value")]
pub struct WrongType(pub &'static str);

impl<'a> Members<'a> {
    /// The members of an object; `None` when it is not one.
    pub fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Takes a member out. Of two with one name the last counts; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.iter().rposition(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(at);
        if self.0.iter().take(at).any(|(known, _)| known == name) {
            self.0.retain(|(known, _)| known != name);
        }
        (value.get() != "null").then_some(value)
    }

    /// Takes a member out and reads it.
    ///
    /// # Errors
    /// When it is there, but of another type.
    pub fn read_member<T: Deserialize<'a>>(&mut self, name: &'static str) -> Result<Option<T>, WrongType> {
        let read = |value: &'a RawValue| serde_json::from_str(value.get()).map_err(|_| WrongType(name));
        self.take(name).map(read).transpose()
    }

    /// Takes a text out.
    ///
    /// # Errors
    /// When it is there, but no text.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, WrongType> {
        self.read_member(name)
    }

    /// What has not been taken.
    pub fn rest(self) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        self.0.into_iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(USUAL_MEMBERS);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Members for which there is room before anything has to grow.
const USUAL_MEMBERS: usize = 6;

/// A name, borrowed where it is written without escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
