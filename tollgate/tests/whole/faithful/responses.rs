//! OpenAI's responses.

use serde_json::Value;
use store::AttemptUsage;

use super::case::{Form, count, has_text};
use super::{Manner, replay};

pub(super) struct Responses;

#[test]
fn recorded_responses_pass_as_they_are_and_are_metered() {
    replay(&Responses, 90);
}

impl Manner for Responses {
    fn folder(&self) -> &'static str {
        "openai-responses"
    }

    fn provider(&self) -> &'static str {
        "custom-responses"
    }

    fn path(&self, _model: &str, _form: Form) -> String {
        "/v1/responses".to_owned()
    }

    fn own_members(&self) -> &'static str {
        r#"{ "model":"recorded-1",  "input":"hi", "temperature":1.0e0, "x_unknown":[1,{"a":null}]"#
    }

    fn is_last(&self, data: &Value) -> bool {
        let last = [
            "response.completed",
            "response.incomplete",
            "response.failed",
            "error",
        ];
        data["type"].as_str().is_some_and(|word| last.contains(&word))
    }

    fn says(&self, data: &Value) -> bool {
        has_text(data, "/delta")
    }

    /// A stream tells the whole response once more at its end.
    fn usage(&self, data: &[Value]) -> Option<AttemptUsage> {
        data.iter().rev().find_map(|said| {
            let usage = [&said["usage"], &said["response"]["usage"]]
                .into_iter()
                .find(|usage| usage.is_object())?;
            Some(AttemptUsage {
                input_tokens: usage["input_tokens"].as_i64()?,
                cached_input_tokens: count(usage, "/input_tokens_details/cached_tokens"),
                cache_write_tokens: count(usage, "/input_tokens_details/cache_write_tokens"),
                cache_write_1h_tokens: 0,
                output_tokens: count(usage, "/output_tokens"),
                reasoning_tokens: count(usage, "/output_tokens_details/reasoning_tokens"),
                audio_input_tokens: count(usage, "/input_tokens_details/audio_tokens"),
                audio_output_tokens: count(usage, "/output_tokens_details/audio_tokens"),
                image_output_tokens: count(usage, "/output_tokens_details/image_tokens"),
            })
        })
    }
}
