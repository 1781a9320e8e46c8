//! JSON schemas, cut to what a target takes.
//!
//! A schema is the one thing in a request that every vendor takes in a subset of its own. What a target does not know is
//! said in the description, where the model at least reads it: [`Cut::lost`] tells that it is no longer enforced.
//! Members keep their order, since a model answers in the order in which it was asked (and a prompt cache knows no other).

mod anthropic;
mod flat;
mod gemini;
mod node;
mod strict;

#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

use self::node::Node;
use crate::refusal::{Code, Refusal};

/// A schema as it is sent.
#[derive(Debug, Clone)]
pub struct Cut {
    pub schema: Box<RawValue>,
    /// Whether it says less than the client's: a rule stands in a description now, or a recursion ends.
    pub lost: bool,
}

/// Gemini's `parameters` and `responseSchema`: no references, and of JSON Schema only what OpenAPI 3.0 has.
///
/// # Errors
/// When it is no schema, refers to what is not in it, or gets too large once its references are written out.
pub fn for_gemini(schema: &str) -> Result<Cut, Refusal> {
    gemini::cut(&read(schema)?)
}

/// Anthropic's `strict` tools and `output_config.format`; `None` when what it allows cannot be said there.
///
/// # Errors
/// When it is no schema, or refers to what is not in it.
pub fn for_anthropic(schema: &str) -> Result<Option<Cut>, Refusal> {
    anthropic::cut(read(schema)?)
}

/// Whether OpenAI takes a schema as `strict` as it stands. Turning that on for another changes what the model may answer.
pub fn is_openai_strict(schema: &str) -> bool {
    read(schema).is_ok_and(|schema| strict::is_strict(&schema))
}

/// Whether a schema is of an object that has no members: the parameters of a tool without any.
pub fn is_without_members(schema: &str) -> bool {
    let Ok(Node::Object(members)) = read(schema) else {
        return false;
    };
    let are_known = |name: &str| {
        matches!(name, "type" | "properties" | "required" | "$schema" | "title")
            || name == "additionalProperties"
    };
    members.iter().all(|(name, _)| are_known(name))
        && members.get("properties").is_none_or(Node::is_empty)
        && !matches!(members.get("additionalProperties"), Some(Node::Object(_)))
}

fn read(schema: &str) -> Result<Node, Refusal> {
    match serde_json::from_str(schema) {
        Ok(node @ Node::Object(_)) => Ok(node),
        Ok(_) | Err(_) => Err(Refusal::new(
            Code::InvalidValue,
            "a JSON schema has to be an object",
        )),
    }
}

/// What is written to a buffer in memory has no way of not being written.
fn write(node: &Node, lost: bool) -> Cut {
    let schema = serde_json::value::to_raw_value(node).unwrap_or_else(|_| RawValue::NULL.to_owned());
    Cut { schema, lost }
}
