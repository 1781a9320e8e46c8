//! What OpenAI asks of a schema that is to be held to strictly: every object is closed, and all its members are required.

use super::node::{Members, Node};

/// Rules that are not taken.
const UNKNOWN: [&str; 14] = [
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "contains",
    "prefixItems",
    "uniqueItems",
];

pub(super) fn is_strict(schema: &Node) -> bool {
    let is_object = |root: &Members| root.text("type") == Some("object") && !root.has("anyOf");
    schema.as_members().is_some_and(is_object) && holds(schema)
}

fn holds(schema: &Node) -> bool {
    let Node::Object(members) = schema else {
        return false;
    };
    if UNKNOWN.iter().any(|name| members.has(name)) {
        return false;
    }
    let says_something = ["type", "$ref", "anyOf", "enum", "const"];
    says_something.iter().any(|name| members.has(name))
        && (!is_object(members) || is_closed(members))
        && members.iter().all(|(name, node)| match name {
            "properties" | "$defs" | "definitions" => all(node),
            "anyOf" => node.as_items().is_some_and(|variants| variants.iter().all(holds)),
            "items" => holds(node),
            _ => true,
        })
}

fn all(schemas: &Node) -> bool {
    let schemas = schemas.as_members();
    schemas.is_some_and(|schemas| schemas.iter().all(|(_, schema)| holds(schema)))
}

fn is_object(members: &Members) -> bool {
    let names = members.get("type");
    let is_object = |node: &Node| node.as_text() == Some("object");
    members.has("properties")
        || names.is_some_and(is_object)
        || names
            .and_then(Node::as_items)
            .unwrap_or_default()
            .iter()
            .any(is_object)
}

fn is_closed(members: &Members) -> bool {
    let required = members
        .get("required")
        .and_then(Node::as_items)
        .unwrap_or_default();
    let is_required = |name: &str| required.iter().any(|required| required.as_text() == Some(name));
    members.get("additionalProperties").is_some_and(Node::is_false)
        && members
            .get("properties")
            .and_then(Node::as_members)
            .is_none_or(|properties| properties.iter().all(|(name, _)| is_required(name)))
}
