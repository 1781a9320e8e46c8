//! Tools that a search of the client's own has found.
//!
//! Anthropic's clients may hold tools back (`defer_loading`), let the model search among them, and answer it by references
//! (`tool_reference`), which its vendor puts definitions in the place of. Others know no such thing: they are told of all
//! tools at once, so that all a reference has to say is a name.

use serde::Deserialize;

use crate::Dialect;
use crate::neutral::{Part, Raw, Request};

#[derive(Deserialize)]
struct Reference {
    r#type: String,
    tool_name: String,
}

/// Puts words in the place of references.
pub(super) fn name_found_tools(request: &mut Request) {
    let parts = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
    for part in parts {
        if let Part::ToolResult(result) = part {
            result.parts.iter_mut().for_each(name_found_tool);
        }
    }
}

fn name_found_tool(part: &mut Part) {
    if let Part::Raw(raw) = part
        && let Some(name) = referred_to(raw)
    {
        *part = Part::text(format!("The tool {name} can be called now."));
    }
}

fn referred_to(raw: &Raw) -> Option<String> {
    if raw.origin != Dialect::AnthropicMessages || !raw.name.is_empty() {
        return None;
    }
    let reference: Reference = serde_json::from_str(raw.json.get()).ok()?;
    (reference.r#type == "tool_reference").then_some(reference.tool_name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::InPath;

    #[test]
    fn a_reference_to_a_tool_becomes_its_name() {
        let search = json!({"type": "tool_use", "id": "call_1", "name": "search", "input": {}});
        let found = json!([{"type": "tool_reference", "tool_name": "edit"}, {"type": "unheard_of"}]);
        let body = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "Find it."},
            {"role": "assistant", "content": [search]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": found}]},
        ]});
        let body = body.to_string();
        let mut request = Dialect::AnthropicMessages
            .read_request(body.as_bytes(), InPath::default())
            .unwrap();
        name_found_tools(&mut request);
        let Some(Part::ToolResult(result)) = request.turns.last().unwrap().parts.first() else {
            panic!("{request:?}");
        };
        assert_eq!(result.parts[0], Part::text("The tool edit can be called now."));
        assert!(matches!(result.parts[1], Part::Raw(_)), "{result:?}");
    }
}
