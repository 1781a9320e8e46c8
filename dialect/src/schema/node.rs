//! A schema as a tree that keeps the order of its members.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Object(Members),
    Array(Vec<Node>),
    /// A text, a number, true, false or null.
    Leaf(Value),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Members(Vec<(String, Node)>);

impl Node {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Leaf(Value::String(text.into()))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Leaf(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_members(&self) -> Option<&Members> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn as_items(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        *self == Self::Leaf(Value::Bool(true))
    }

    pub(super) fn is_false(&self) -> bool {
        *self == Self::Leaf(Value::Bool(false))
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Leaf(Value::Null)
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Object(members) => members.0.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Leaf(_) => false,
        }
    }

    /// How many nodes it is made of.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Object(members) => members.count(),
            Self::Array(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Self::Leaf(_) => 1,
        }
    }

    /// What a JSON pointer (RFC 6901) leads to.
    pub(super) fn pointed(&self, pointer: &str) -> Option<&Self> {
        let mut steps = pointer.split('/');
        if steps.next() != Some("") {
            return None;
        }
        steps.try_fold(self, |node, step| match node {
            Self::Object(members) => members.get(&step.replace("~1", "/").replace("~0", "~")),
            Self::Array(items) => items.get(step.parse::<usize>().ok()?),
            Self::Leaf(_) => None,
        })
    }
}

impl Members {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many nodes an object of these members is made of.
    pub(super) fn count(&self) -> usize {
        1 + self.iter().map(|(_, node)| node.count()).sum::<usize>()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let (_, node) = self.0.iter().find(|(known, _)| known == name)?;
        Some(node)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(name, node)| (name.as_str(), node))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.0.iter_mut().map(|(name, node)| (name.as_str(), node))
    }

    /// Puts a member in the place of one of the same name, or at the end.
    pub(super) fn set(&mut self, name: &str, node: Node) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = node,
            None => self.0.push((name.to_owned(), node)),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn without(&self, names: &[&str]) -> Self {
        let kept = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Self(kept.cloned().collect())
    }
}

impl FromIterator<(String, Node)> for Members {
    fn from_iter<I: IntoIterator<Item = (String, Node)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => serializer.collect_map(members.iter()),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Leaf(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::text(value))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(Members(members)))
    }
}
