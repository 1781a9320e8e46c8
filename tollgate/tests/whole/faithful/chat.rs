//! OpenAI's chat completions, as OpenAI and those who do as it does speak it.

use serde_json::Value;
use store::AttemptUsage;

use super::case::{Form, count, has_text};
use super::{Manner, replay};

pub(super) struct Chat;

#[test]
fn recorded_chats_pass_as_they_are_and_are_metered() {
    replay(&Chat, 100);
}

impl Manner for Chat {
    fn folder(&self) -> &'static str {
        "openai-chat"
    }

    fn provider(&self) -> &'static str {
        "custom"
    }

    fn path(&self, _model: &str, _form: Form) -> String {
        "/v1/chat/completions".to_owned()
    }

    fn own_members(&self) -> &'static str {
        r#"{ "model":"recorded-1",  "messages":[{"role":"user","content":"hi"}], "temperature":1.0e0, "x_unknown":[1,{"a":null}]"#
    }

    /// With the one named splice: streams are asked for their usage.
    fn sent(&self, request: &[u8]) -> Vec<u8> {
        let read: Value = serde_json::from_slice(request).unwrap();
        let mut sent = request.to_vec();
        if read["stream"] == true && !asks_for_usage(&read) {
            let end = sent.iter().rposition(|byte| *byte == b'}').unwrap();
            sent.splice(end..end, *br#","stream_options":{"include_usage":true}"#);
        }
        sent
    }

    /// All but the events that hold nothing but a usage that was not asked for.
    fn keeps(&self, request: &Value, data: &Value) -> bool {
        let is_usage = data["usage"].is_object() || data["x_groq"]["usage"].is_object();
        let is_alone = is_usage && data["choices"].as_array().is_none_or(Vec::is_empty);
        asks_for_usage(request) || !is_alone
    }

    fn is_last(&self, data: &Value) -> bool {
        let choices = data["choices"].as_array();
        let mut choices = choices.into_iter().flatten();
        *data == "[DONE]"
            || data.get("error").is_some()
            || choices.any(|choice| choice["finish_reason"].is_string())
    }

    fn says(&self, data: &Value) -> bool {
        const OF_DELTAS: [&str; 7] = [
            "/content",
            "/reasoning_content",
            "/reasoning",
            "/refusal",
            "/function_call/arguments",
            "/audio/transcript",
            "/audio/data",
        ];
        let deltas = data["choices"].as_array().into_iter().flatten();
        deltas.map(|choice| &choice["delta"]).any(|delta| {
            let mut calls = delta["tool_calls"].as_array().into_iter().flatten();
            let lists = ["content", "reasoning_details"].map(|name| delta[name].as_array());
            let mut parts = lists.into_iter().flatten().flatten();
            OF_DELTAS.iter().any(|path| has_text(delta, path))
                || parts.any(|part| has_text(part, "/text"))
                || calls.any(|call| has_text(call, "/function/arguments"))
        })
    }

    fn names_a_call(&self, data: &Value) -> bool {
        let choices = data["choices"].as_array().into_iter().flatten();
        let mut calls =
            choices.flat_map(|choice| choice["delta"]["tool_calls"].as_array().into_iter().flatten());
        calls.any(|call| has_text(call, "/function/name"))
    }

    /// The last word counts.
    fn usage(&self, data: &[Value]) -> Option<AttemptUsage> {
        data.iter().rev().find_map(|chunk| {
            let usage = [&chunk["usage"], &chunk["x_groq"]["usage"]]
                .into_iter()
                .find(|usage| usage.is_object())?;
            let input_tokens = usage["prompt_tokens"].as_i64()?;
            Some(AttemptUsage {
                input_tokens,
                cached_input_tokens: count(usage, "/prompt_tokens_details/cached_tokens")
                    .max(count(usage, "/prompt_cache_hit_tokens")),
                cache_write_tokens: count(usage, "/prompt_tokens_details/cache_write_tokens"),
                cache_write_1h_tokens: 0,
                // Some count reasoning beside the completion; the total has all that was written.
                output_tokens: count(usage, "/completion_tokens")
                    .max(count(usage, "/total_tokens") - input_tokens),
                reasoning_tokens: count(usage, "/completion_tokens_details/reasoning_tokens"),
                audio_input_tokens: count(usage, "/prompt_tokens_details/audio_tokens"),
                audio_output_tokens: count(usage, "/completion_tokens_details/audio_tokens"),
                image_output_tokens: count(usage, "/completion_tokens_details/image_tokens"),
            })
        })
    }
}

fn asks_for_usage(request: &Value) -> bool {
    request["stream_options"]["include_usage"] == true
}
