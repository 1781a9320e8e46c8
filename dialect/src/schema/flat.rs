//! Writing out what a schema refers to, and joining what has to hold together (`$ref`, `allOf`).

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::node::{Members, Node};
use crate::refusal::{Code, Refusal};

/// A schema may grow to so many nodes: references to references double with every step.
const NODES_MAX: usize = 10_000;
/// And so many of them may stand inside one another.
pub(super) const DEPTH_MAX: usize = 64;

/// Writes out the references of one document.
pub(super) struct Flattener<'a> {
    root: &'a Node,
    /// The references inside of which we are.
    open: Vec<String>,
    nodes: usize,
}

/// One schema without `$ref` and `allOf`.
pub(super) struct Flat<'n> {
    pub members: Cow<'n, Members>,
    /// Schemas of an `allOf` that contradict the rest.
    pub clashes: Vec<Node>,
    /// Whether a reference leads back to where it stands, and was left out.
    pub recursive: bool,
}

impl<'a> Flattener<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        Self {
            root,
            open: Vec::new(),
            nodes: 0,
        }
    }

    /// How many references are open, for [`Self::close`].
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// What was opened since then counts as inside no longer.
    pub(super) fn close(&mut self, open: usize) {
        self.open.truncate(open);
    }

    /// Counts what is about to be copied or written.
    ///
    /// # Errors
    /// When it is too much.
    pub(super) fn charge(&mut self, nodes: usize) -> Result<(), Refusal> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            Err(too_large())
        } else {
            Ok(())
        }
    }

    /// The schema with its references in their places. They stay open, so that what leads back to them is noticed, until
    /// the caller has been through what is in it.
    pub(super) fn flat<'n>(&mut self, schema: &'n Members) -> Result<Flat<'n>, Refusal> {
        let mut flat = Flat {
            members: Cow::Borrowed(schema),
            clashes: Vec::new(),
            recursive: false,
        };
        loop {
            if flat.members.has("$ref") {
                self.charge(flat.members.count())?;
                let reference = flat
                    .members
                    .to_mut()
                    .take("$ref")
                    .as_ref()
                    .and_then(Node::as_text)
                    .map(str::to_owned);
                match self.referred(&reference.unwrap_or_default())? {
                    // Siblings of a reference say more than it does.
                    Some(target) => join(&mut flat, target),
                    None => flat.recursive = true,
                }
            } else if flat.members.has("allOf") {
                self.charge(flat.members.count())?;
                let parts = flat.members.to_mut().take("allOf");
                for part in parts.as_ref().and_then(Node::as_items).unwrap_or_default() {
                    if let Node::Object(part) = part {
                        let part = self.flat(part)?;
                        flat.recursive |= part.recursive;
                        flat.clashes.extend(part.clashes);
                        join(&mut flat, &part.members);
                    }
                }
            } else {
                return Ok(flat);
            }
        }
    }

    fn referred(&mut self, reference: &str) -> Result<Option<&'a Members>, Refusal> {
        if self.open.iter().any(|open| open == reference) {
            return Ok(None);
        }
        let root = self.root;
        let pointed = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointed(pointer));
        let Some(target) = pointed else {
            let message = format!("a JSON schema refers to `{reference}`, which is not in it");
            return Err(Refusal::new(Code::InvalidValue, message));
        };
        if self.open.len() >= DEPTH_MAX {
            return Err(too_large());
        }
        self.charge(target.count())?;
        self.open.push(reference.to_owned());
        Ok(Some(target.as_members().unwrap_or(&NOTHING)))
    }
}

/// What `true` says.
static NOTHING: Members = Members::new();

pub(super) fn too_large() -> Refusal {
    let message = "a JSON schema is too large or too deep once its references are written out";
    Refusal::new(Code::InvalidValue, message)
}

/// Joins two schemas that both have to hold; what cannot hold together is left to the clashes.
fn join(flat: &mut Flat<'_>, other: &Members) {
    match joined(&flat.members, other) {
        Some(joined) => flat.members = Cow::Owned(joined),
        None => flat.clashes.push(Node::Object(other.clone())),
    }
}

/// Joins `schema` with what another says, where they do not contradict each other.
pub(super) fn joined(schema: &Members, other: &Members) -> Option<Members> {
    let mut joined = schema.clone();
    let fine = other
        .iter()
        .all(|(name, node)| join_member(&mut joined, name, node));
    fine.then_some(joined)
}

/// Whether a member could be joined.
fn join_member(members: &mut Members, name: &str, node: &Node) -> bool {
    let Some(own) = members.get(name) else {
        members.set(name, node.clone());
        return true;
    };
    if own == node {
        return true;
    }
    let joined = match (name, own, node) {
        ("properties", Node::Object(own), Node::Object(other)) => Some(join_properties(own, other)),
        ("required", Node::Array(own), Node::Array(other)) => {
            let known: HashSet<_> = own.iter().filter_map(Node::as_text).collect();
            let new = other
                .iter()
                .filter(|name| name.as_text().is_some_and(|name| !known.contains(name)));
            Some(Node::Array(own.iter().chain(new).cloned().collect()))
        }
        ("type" | "enum", own, other) => common(own, other),
        ("minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties", own, other) => {
            stricter(own, other, true)
        }
        ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties", own, other) => {
            stricter(own, other, false)
        }
        // What says nothing about what is valid: the first word counts, the outermost.
        ("title" | "description" | "default" | "examples" | "example" | "nullable", own, _) => {
            Some(own.clone())
        }
        (name, own, _) if name.starts_with('$') || name == "definitions" => Some(own.clone()),
        ("additionalProperties", own, other) => Some(if other.is_true() {
            own.clone()
        } else {
            other.clone()
        }),
        _ => None,
    };
    match joined {
        Some(node) => {
            members.set(name, node);
            true
        }
        None => false,
    }
}

fn join_properties(own: &Members, other: &Members) -> Node {
    let mut joined = own.clone();
    for (name, node) in other.iter() {
        let both = match own.get(name) {
            Some(own) if own != node => {
                let parts = Node::Array(vec![own.clone(), node.clone()]);
                Node::Object(Members::from_iter([("allOf".to_owned(), parts)]))
            }
            _ => node.clone(),
        };
        joined.set(name, both);
    }
    Node::Object(joined)
}

/// What two lists, or single values, have in common; `None` for nothing.
fn common(own: &Node, other: &Node) -> Option<Node> {
    let list = |node: &Node| match node {
        Node::Array(items) => items.clone(),
        single => vec![single.clone()],
    };
    let (own, other) = (list(own), list(other));
    let is = |node: &Node, text: &str| node.as_text() == Some(text);
    let mut common: Vec<_> = own.iter().filter(|item| other.contains(item)).cloned().collect();
    let integer = |one: &[Node], two: &[Node]| {
        one.iter().any(|node| is(node, "integer")) && two.iter().any(|node| is(node, "number"))
    };
    if integer(&own, &other) || integer(&other, &own) {
        common.push(Node::text("integer"));
    }
    match common.len() {
        0 => None,
        1 => common.pop(),
        _ => Some(Node::Array(common)),
    }
}

fn stricter(own: &Node, other: &Node, larger: bool) -> Option<Node> {
    let number = |node: &Node| match node {
        Node::Leaf(Value::Number(number)) => number.as_f64(),
        _ => None,
    };
    let is_own = (number(own)? > number(other)?) == larger;
    Some(if is_own { own.clone() } else { other.clone() })
}
