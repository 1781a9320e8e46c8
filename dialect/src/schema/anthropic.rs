//! Anthropic's subset for `strict` tools and `output_config.format`: closed objects, no recursion, hardly any limits.

use serde_json::Value;

use super::flat::{Flat, Flattener};
use super::node::{Members, Node};
use super::{Cut, write};
use crate::refusal::Refusal;

/// Formats of texts that are held to; the others are described.
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// The schema with what is not taken moved into descriptions; `None` where that would let through, or forbid, what the
/// client did not mean: maps, tuples, values of any form, recursion.
pub(super) fn cut(schema: Node) -> Result<Option<Cut>, Refusal> {
    let root = schema.clone();
    let mut cutter = Cutter {
        flattener: Flattener::new(&root),
        lost: false,
    };
    if is_recursive(&root, &root, &mut Vec::new(), &mut 0) {
        return Ok(None);
    }
    let mut schema = schema;
    let fits = cutter.schema(&mut schema)?;
    Ok(fits.then(|| write(&schema, cutter.lost)))
}

struct Cutter<'a> {
    flattener: Flattener<'a>,
    lost: bool,
}

impl Cutter<'_> {
    /// Cuts a schema down in its place; false where it cannot be said.
    fn schema(&mut self, schema: &mut Node) -> Result<bool, Refusal> {
        let Node::Object(members) = schema else {
            return Ok(false);
        };
        if members.has("allOf") && !self.join(members)? {
            return Ok(false);
        }
        if let Some(variants) = members.take("oneOf") {
            if members.has("anyOf") {
                return Ok(false);
            }
            members.set("anyOf", variants);
        }
        let says_something = ["type", "$ref", "anyOf", "enum", "const"];
        if !says_something.iter().any(|name| members.has(name)) || !close(members) {
            return Ok(false);
        }
        self.describe(members);
        for (name, node) in members.iter_mut() {
            let fits = match (name, node) {
                ("properties" | "$defs" | "definitions", Node::Object(schemas)) => {
                    let mut fits = true;
                    for (_, schema) in schemas.iter_mut() {
                        fits &= self.schema(schema)?;
                    }
                    fits
                }
                ("anyOf", Node::Array(variants)) => {
                    let mut fits = true;
                    for variant in variants {
                        fits &= self.schema(variant)?;
                    }
                    fits
                }
                ("items", node) => self.schema(node)?,
                _ => true,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Each part of an `allOf` would have to be closed, and then none could add a member to another: they become one.
    fn join(&mut self, members: &mut Members) -> Result<bool, Refusal> {
        let open = self.flattener.open();
        let Flat {
            members: joined,
            clashes,
            recursive,
        } = self.flattener.flat(members)?;
        let fits = clashes.is_empty() && !recursive;
        let joined = joined.into_owned();
        self.flattener.close(open);
        *members = joined;
        Ok(fits)
    }

    /// Moves rules that are not taken into the description.
    fn describe(&mut self, members: &mut Members) {
        let unknown: Vec<String> = members
            .iter()
            .filter(|(name, node)| !is_taken(name, node))
            .map(|(name, _)| name.to_owned())
            .collect();
        let mut notes = Vec::new();
        for name in unknown {
            let rule = members.take(&name).unwrap_or(Node::Leaf(Value::Null));
            self.lost = true;
            notes.push(format!(
                "{name}: {}",
                serde_json::to_string(&rule).unwrap_or_default()
            ));
        }
        if !notes.is_empty() {
            let notes = notes.join("; ");
            let description = match members.text("description") {
                Some(description) => format!("{description} ({notes})"),
                None => notes,
            };
            members.set("description", Node::text(description));
        }
    }
}

fn is_taken(name: &str, node: &Node) -> bool {
    let is_one_of = |numbers: [u64; 2]| match node {
        Node::Leaf(Value::Number(number)) => number.as_u64().is_some_and(|number| numbers.contains(&number)),
        _ => false,
    };
    match name {
        "minItems" => is_one_of([0, 1]),
        "format" => node.as_text().is_some_and(|format| FORMATS.contains(&format)),
        // Looking around and back is not taken.
        "pattern" => node
            .as_text()
            .is_some_and(|pattern| !pattern.contains("(?") && !pattern.contains('\\')),
        "enum" => node
            .as_items()
            .is_some_and(|items| items.iter().all(|item| matches!(item, Node::Leaf(_)))),
        "const" => matches!(node, Node::Leaf(_)),
        "type"
        | "title"
        | "description"
        | "default"
        | "properties"
        | "required"
        | "items"
        | "anyOf"
        | "$ref"
        | "$defs"
        | "definitions"
        | "additionalProperties" => true,
        "$schema" | "$id" | "$comment" => true,
        _ => false,
    }
}

/// Closes an object; false for one whose members have no names of their own.
fn close(members: &mut Members) -> bool {
    let is_object = |node: &Node| node.as_text() == Some("object");
    let types = members.get("type");
    let is_object = members.has("properties")
        || types.is_some_and(is_object)
        || types
            .and_then(Node::as_items)
            .unwrap_or_default()
            .iter()
            .any(is_object);
    if !is_object {
        return true;
    }
    let is_closed = members.get("additionalProperties").is_some_and(Node::is_false);
    let is_open = members.get("properties").is_none_or(Node::is_empty) && !is_closed;
    let has_rule = matches!(members.get("additionalProperties"), Some(Node::Object(_)));
    if is_open || has_rule || members.has("patternProperties") || members.has("prefixItems") {
        return false;
    }
    members.set("additionalProperties", Node::Leaf(false.into()));
    true
}

/// How many steps are looked for a recursion; what needs more is taken for one.
const STEPS_MAX: usize = 20_000;

/// Whether a reference leads back to a schema in which it stands.
fn is_recursive<'a>(root: &'a Node, node: &'a Node, open: &mut Vec<&'a str>, steps: &mut usize) -> bool {
    *steps += 1;
    if *steps > STEPS_MAX {
        return true;
    }
    match node {
        Node::Leaf(_) => false,
        Node::Array(items) => items.iter().any(|item| is_recursive(root, item, open, steps)),
        Node::Object(members) => members.iter().any(|(name, node)| {
            // Definitions are followed from where they are used.
            if matches!(
                name,
                "$defs" | "definitions" | "default" | "examples" | "enum" | "const"
            ) {
                return false;
            }
            let Some(reference) = node.as_text().filter(|_| name == "$ref") else {
                return is_recursive(root, node, open, steps);
            };
            if open.contains(&reference) || reference == "#" {
                return true;
            }
            let target = reference
                .strip_prefix('#')
                .and_then(|pointer| root.pointed(pointer));
            let Some(target) = target else {
                return true;
            };
            open.push(reference);
            let found = is_recursive(root, target, open, steps);
            open.pop();
            found
        }),
    }
}
