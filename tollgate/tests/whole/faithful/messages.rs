//! Anthropic's messages.

use serde_json::{Map, Value};
use store::AttemptUsage;

use super::case::{Form, count, has_text};
use super::{Manner, replay};

pub(super) struct Messages;

#[test]
fn recorded_messages_pass_as_they_are_and_are_metered() {
    replay(&Messages, 100);
}

impl Manner for Messages {
    fn folder(&self) -> &'static str {
        "anthropic"
    }

    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn path(&self, _model: &str, _form: Form) -> String {
        "/v1/messages".to_owned()
    }

    fn own_members(&self) -> &'static str {
        r#"{ "model":"recorded-1",  "max_tokens":100, "messages":[{"role":"user","content":"hi"}], "temperature":1.0e0, "x_unknown":[1,{"a":null}]"#
    }

    fn is_last(&self, data: &Value) -> bool {
        data["type"] == "message_stop" || data["type"] == "error"
    }

    fn says(&self, data: &Value) -> bool {
        let said = ["/delta/text", "/delta/thinking", "/delta/partial_json"];
        data["type"] == "content_block_delta" && said.iter().any(|path| has_text(data, path))
    }

    /// In a stream each count replaces the one told before. What was read from a cache or written to one stands beside
    /// the input, not in it.
    fn usage(&self, data: &[Value]) -> Option<AttemptUsage> {
        let told = data.iter().filter_map(|said| match said["type"].as_str()? {
            "message" | "message_delta" => said["usage"].as_object(),
            "message_start" => said["message"]["usage"].as_object(),
            _ => None,
        });
        let counts = told.flatten().filter(|(_, count)| !count.is_null());
        let counts: Map<String, Value> = counts
            .map(|(name, count)| (name.clone(), count.clone()))
            .collect();
        if !counts.contains_key("input_tokens") && !counts.contains_key("output_tokens") {
            return None;
        }
        let usage = Value::Object(counts);
        let cached_input_tokens = count(&usage, "/cache_read_input_tokens");
        let cache_write_tokens = count(&usage, "/cache_creation_input_tokens");
        Some(AttemptUsage {
            input_tokens: count(&usage, "/input_tokens") + cached_input_tokens + cache_write_tokens,
            cached_input_tokens,
            cache_write_tokens,
            cache_write_1h_tokens: count(&usage, "/cache_creation/ephemeral_1h_input_tokens"),
            output_tokens: count(&usage, "/output_tokens"),
            reasoning_tokens: count(&usage, "/output_tokens_details/thinking_tokens"),
            audio_input_tokens: 0,
            audio_output_tokens: 0,
            image_output_tokens: 0,
        })
    }
}
