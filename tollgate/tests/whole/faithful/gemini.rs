//! Google's dialect, in which the path tells the model and the form of the answer.

use serde_json::Value;
use store::AttemptUsage;

use super::case::{Form, count, has_text};
use super::{Manner, replay};

pub(super) struct Gemini;

#[test]
fn recorded_generations_pass_as_they_are_and_are_metered() {
    replay(&Gemini, 80);
}

impl Manner for Gemini {
    fn folder(&self) -> &'static str {
        "gemini"
    }

    fn provider(&self) -> &'static str {
        "gemini"
    }

    fn root(&self) -> &'static str {
        "/v1beta"
    }

    fn path(&self, model: &str, form: Form) -> String {
        let operation = match form {
            Form::Whole => "generateContent",
            Form::Events => "streamGenerateContent?alt=sse",
            Form::Array => "streamGenerateContent",
        };
        format!("/v1beta/models/{model}:{operation}")
    }

    fn own_members(&self) -> &'static str {
        r#"{ "contents":[{"role":"user","parts":[{"text":"hi"}]}],  "generationConfig":{"temperature":1.0e0}, "x_unknown":[1,{"a":null}]"#
    }

    fn own_request(&self, _form: Form) -> Vec<u8> {
        format!("{}}}", self.own_members()).into_bytes()
    }

    fn asks_for(&self, _request: &Value, _form: Form) -> bool {
        true
    }

    fn is_last(&self, data: &Value) -> bool {
        let candidates = data["candidates"].as_array();
        let mut candidates = candidates.into_iter().flatten();
        data.get("error").is_some()
            || !data["promptFeedback"]["blockReason"].is_null()
            || candidates.any(|candidate| !candidate["finishReason"].is_null())
    }

    /// A wrong key is answered with 400.
    fn is_refusal(&self, status: u16, answer: &Value) -> bool {
        let details = answer["error"]["details"].as_array();
        let mut details = details.into_iter().flatten();
        matches!(status, 401 | 403) || details.any(|detail| detail["reason"] == "API_KEY_INVALID")
    }

    fn says(&self, data: &Value) -> bool {
        let candidates = data["candidates"].as_array().into_iter().flatten();
        let mut parts =
            candidates.flat_map(|candidate| candidate["content"]["parts"].as_array().into_iter().flatten());
        parts.any(|part| {
            let members = part.as_object().unwrap();
            has_text(part, "/text")
                || members
                    .keys()
                    .any(|name| !matches!(name.as_str(), "text" | "thought" | "thoughtSignature"))
        })
    }

    /// Each chunk tells the usage so far: the last word counts. What Google's own tools have read stands beside the
    /// prompt, and the thoughts beside what was said.
    fn usage(&self, data: &[Value]) -> Option<AttemptUsage> {
        data.iter().rev().find_map(|chunk| {
            let usage = &chunk["usageMetadata"];
            let reasoning_tokens = count(usage, "/thoughtsTokenCount");
            Some(AttemptUsage {
                input_tokens: usage["promptTokenCount"].as_i64()? + count(usage, "/toolUsePromptTokenCount"),
                cached_input_tokens: count(usage, "/cachedContentTokenCount"),
                cache_write_tokens: 0,
                cache_write_1h_tokens: 0,
                output_tokens: count(usage, "/candidatesTokenCount") + reasoning_tokens,
                reasoning_tokens,
                audio_input_tokens: of("AUDIO", 4, &usage["promptTokensDetails"]),
                audio_output_tokens: of("AUDIO", 4, &usage["candidatesTokensDetails"]),
                image_output_tokens: of("IMAGE", 2, &usage["candidatesTokensDetails"]),
            })
        })
    }
}

/// The tokens of one modality, told by its name or by its number in the enumeration.
fn of(name: &str, number: i64, details: &Value) -> i64 {
    let details = details.as_array().into_iter().flatten();
    let of_it = details.filter(|detail| detail["modality"] == name || detail["modality"] == number);
    of_it.map(|detail| count(detail, "/tokenCount")).sum()
}
