//! What is answered, whichever the dialect.

use serde_json::{Value, json};

use super::heard::Heard;

pub(super) struct Said {
    pub(super) model: String,
    /// Whether a thought comes first, and whether it is shown.
    pub(super) thinks: bool,
    pub(super) shows_thoughts: bool,
    /// Empty where a tool is called.
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    /// Whether the usage of a stream was asked for.
    pub(super) usage: bool,
}

pub(super) struct Call {
    pub(super) id: &'static str,
    pub(super) name: String,
    pub(super) arguments: Value,
}

pub(super) const THOUGHT: &str = "I think about größe.";
/// What a stream says before it hangs or is cut.
pub(super) const FIRST: &str = "first";

/// What every answer uses: of the input, `CACHED` was read from the cache; of the output, `reasoning` was thought.
pub(super) const INPUT: u64 = 50;
pub(super) const CACHED: u64 = 20;
pub(super) const OUTPUT: u64 = 30;

impl Said {
    pub(super) fn to(heard: &Heard) -> Self {
        let calls = match heard.tools.first() {
            Some(name) if heard.results.is_empty() => calls(name, heard.prompt.contains("both")),
            _ => Vec::new(),
        };
        let text = match &heard.schema {
            _ if !calls.is_empty() => String::new(),
            _ if ["hangs", "cut"].contains(&heard.model.as_str()) => format!("{FIRST} and more"),
            _ if !heard.results.is_empty() => heard.results.join("; "),
            Some(schema) => instance(schema, schema).to_string(),
            None => heard.lines.join("\n"),
        };
        Self {
            model: heard.model.clone(),
            thinks: heard.thinks,
            shows_thoughts: heard.shows_thoughts,
            text,
            calls,
            usage: heard.usage,
        }
    }

    pub(super) fn reasoning(&self) -> u64 {
        if self.thinks { 10 } else { 0 }
    }
}

fn calls(name: &str, both: bool) -> Vec<Call> {
    let call = |id, city: &str, days: u64| Call {
        id,
        name: name.to_owned(),
        arguments: json!({"city": city, "days": days}),
    };
    let mut calls = vec![call("call_1", "Paris", 2), call("call_2", "Zürich", 3)];
    calls.truncate(if both { 2 } else { 1 });
    calls
}

/// Some value that a schema wants.
fn instance(schema: &Value, root: &Value) -> Value {
    if let Some(pointer) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        return root
            .pointer(pointer)
            .map_or(Value::Null, |schema| instance(schema, root));
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    if let Some(schema) = schema["anyOf"].get(0) {
        return instance(schema, root);
    }
    match schema["type"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase()
        .as_str()
    {
        "object" => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties
                .map(|(name, schema)| (name.clone(), instance(schema, root)))
                .collect()
        }
        "array" => json!([instance(&schema["items"], root)]),
        "string" => json!("Ada"),
        "integer" => json!(36),
        "number" => json!(1.5),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

/// A text in pieces of a few letters.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(5).map(|piece| piece.iter().collect()).collect()
}
