//! The response object, with every member that clients expect to find: some reject one in which a default is left out
//! (pitfall P65).

use super::words::{FAILED, IN_PROGRESS, Status};
use crate::json::ObjectWriter;
use crate::neutral::{Heading, ServiceTier};
use crate::openai_responses::words;
use crate::usage::Usage;

/// What is told of an answer, at its beginning or at its end.
pub(super) struct Response<'a> {
    pub heading: Heading<'a>,
    pub status: Status,
    /// Code and message of what went wrong.
    pub error: Option<(&'a str, &'a str)>,
    /// The vendor's own word for an ending that has no equal here.
    pub native: Option<&'a str>,
    /// The items, written and parted by commas.
    pub output: &'a [u8],
    pub usage: Option<Usage>,
    pub service_tier: Option<&'a ServiceTier>,
}

impl Response<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::new(out);
        object
            .member("id", self.heading.id)
            .member("object", "response")
            .member("created_at", &self.heading.created_s)
            .member("status", self.status.word)
            .member("background", &false);
        self.write_ending(&mut object);
        object
            .json("instructions", "null")
            .json("max_output_tokens", "null")
            .json("max_tool_calls", "null")
            .member("model", self.heading.model);
        let output = object.begin("output");
        output.push(b'[');
        output.extend_from_slice(self.output);
        output.push(b']');
        object
            .member("parallel_tool_calls", &true)
            .json("previous_response_id", "null")
            .json("prompt_cache_key", "null")
            .json("reasoning", r#"{"effort":null,"summary":null}"#)
            .json("safety_identifier", "null")
            .member(
                "service_tier",
                &self.service_tier.map_or(Some("default"), words::tier),
            )
            .member("store", &false)
            .json("temperature", "null")
            .json("text", r#"{"format":{"type":"text"}}"#)
            .member("tool_choice", "auto")
            .json("tools", "[]")
            .member("top_logprobs", &0)
            .json("top_p", "null")
            .member("truncation", "disabled");
        // Clients fail on an answer without usage, so one whose provider told none tells of nothing used. A beginning
        // and a failure go without.
        let is_answer = self.status.word != IN_PROGRESS.word && self.status.word != FAILED.word;
        if let Some(usage) = self.usage.or(is_answer.then(Usage::default)) {
            write_usage(usage, object.object("usage"));
        }
        object.json("metadata", "{}");
        object.optional("native_finish_reason", self.native);
        object.end();
    }

    fn write_ending(&self, object: &mut ObjectWriter<'_>) {
        object.json("completed_at", "null");
        match self.error {
            Some((code, message)) => {
                let mut error = object.object("error");
                error.member("code", code).member("message", message);
                error.end();
            }
            None => {
                object.json("error", "null");
            }
        }
        match self.status.reason {
            Some(reason) => {
                let mut details = object.object("incomplete_details");
                details.member("reason", reason);
                details.end();
            }
            None => {
                object.json("incomplete_details", "null");
            }
        }
    }
}

fn write_usage(usage: Usage, mut object: ObjectWriter<'_>) {
    object.member("input_tokens", &usage.input_tokens);
    let mut input = object.object("input_tokens_details");
    input
        .member("cached_tokens", &usage.cached_input_tokens)
        .member("cache_write_tokens", &usage.cache_write_tokens);
    input.end();
    object.member("output_tokens", &usage.output_tokens);
    let mut output = object.object("output_tokens_details");
    output.member("reasoning_tokens", &usage.reasoning_tokens);
    output.end();
    object.member(
        "total_tokens",
        &usage.input_tokens.saturating_add(usage.output_tokens),
    );
    object.end();
}
