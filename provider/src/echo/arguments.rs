//! Arguments for a tool call, made from the tool's JSON schema.

use serde_json::{Map, Value, json};

/// Nested schemas below this depth become null: a schema may be as deep as it likes.
const DEPTH_MAX: usize = 16;

/// A value that has the schema's types: each object with its properties, each choice with its first.
pub(super) fn for_schema(schema: Option<&Value>) -> Value {
    schema.map_or_else(|| json!({}), |schema| value(schema, DEPTH_MAX))
}

fn value(schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    let kind = schema
        .get("type")
        .and_then(|kind| kind.get(0).unwrap_or(kind).as_str());
    match kind {
        Some("string") => json!("echo"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => {
            let items = schema.get("items").map(|items| value(items, depth - 1));
            Value::Array(items.into_iter().collect())
        }
        Some("null") => Value::Null,
        _ => object(schema, depth),
    }
}

fn object(schema: &Value, depth: usize) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let members = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), value(schema, depth - 1)));
    Value::Object(members.collect::<Map<String, Value>>())
}
