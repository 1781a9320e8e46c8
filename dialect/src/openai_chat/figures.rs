//! What answers and chunks have in common where they are written: usage, citations, log-probabilities.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{ObjectWriter, write_array};
use crate::neutral::{Citation, Raw};
use crate::{Dialect, Usage};

/// Appends usage. Prompt tokens include what was read from a cache or written to one, completion tokens include thoughts.
pub(super) fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("prompt_tokens", &usage.input_tokens);
    object.member("completion_tokens", &usage.output_tokens);
    object.member(
        "total_tokens",
        &usage.input_tokens.saturating_add(usage.output_tokens),
    );
    let mut details = object.object("prompt_tokens_details");
    details.member("cached_tokens", &usage.cached_input_tokens);
    details.optional("cache_write_tokens", some(usage.cache_write_tokens));
    details.member("audio_tokens", &usage.audio_input_tokens);
    details.end();
    let mut details = object.object("completion_tokens_details");
    details.member("reasoning_tokens", &usage.reasoning_tokens);
    details.member("audio_tokens", &usage.audio_output_tokens);
    details.end();
    object.end();
}

fn some(tokens: u64) -> Option<u64> {
    (tokens > 0).then_some(tokens)
}

/// Appends an annotation, its place moved by so many letters; whether there was anything to append.
pub(super) fn write_annotation(citation: &Citation, moved: usize, out: &mut Vec<u8>) -> bool {
    match citation {
        Citation::Url {
            url,
            title,
            start,
            end,
        } => {
            let mut object = ObjectWriter::new(out);
            object.member("type", "url_citation");
            let mut inner = object.object("url_citation");
            inner.member("url", url);
            inner.member("title", title.as_deref().unwrap_or_default());
            inner.member("start_index", &start.map_or(0, |start| start + moved));
            inner.member("end_index", &end.map_or(0, |end| end + moved));
            inner.end();
            object.end();
            true
        }
        Citation::Raw(raw) if raw.origin == Dialect::OpenaiChat => {
            out.extend_from_slice(raw.json.get().as_bytes());
            true
        }
        Citation::Raw(_) => false,
    }
}

/// Appends log-probabilities, in whose dialect they may be; null for those that cannot be shown.
pub(super) fn write_logprobs(raw: &Raw, out: &mut Vec<u8>) {
    match raw.origin {
        Dialect::OpenaiChat => out.extend_from_slice(raw.json.get().as_bytes()),
        // The same entries, without the object around them.
        Dialect::OpenaiResponses => {
            let mut object = ObjectWriter::new(out);
            object.json("content", raw.json.get());
            object.json("refusal", "null");
            object.end();
        }
        Dialect::GeminiGenerate => write_gemini_logprobs(&raw.json, out),
        Dialect::AnthropicMessages => out.extend_from_slice(b"null"),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct GeminiLogprobs {
    chosen_candidates: Vec<GeminiLogprob>,
    top_candidates: Vec<GeminiTop>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GeminiTop {
    candidates: Vec<GeminiLogprob>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct GeminiLogprob {
    token: String,
    log_probability: f64,
}

fn write_gemini_logprobs(json: &RawValue, out: &mut Vec<u8>) {
    let read: GeminiLogprobs = serde_json::from_str(json.get()).unwrap_or_default();
    let mut object = ObjectWriter::new(out);
    write_array(
        read.chosen_candidates.iter().enumerate(),
        object.begin("content"),
        |(number, chosen), out| {
            let mut entry = logprob(chosen, out);
            let top = read
                .top_candidates
                .get(number)
                .map(|top| top.candidates.as_slice());
            write_array(
                top.unwrap_or_default(),
                entry.begin("top_logprobs"),
                |top, out| logprob(top, out).end(),
            );
            entry.end();
        },
    );
    object.json("refusal", "null");
    object.end();
}

/// Gemini does not tell the bytes of a token.
fn logprob<'o>(entry: &GeminiLogprob, out: &'o mut Vec<u8>) -> ObjectWriter<'o> {
    let mut object = ObjectWriter::new(out);
    object
        .member("token", &entry.token)
        .member("logprob", &entry.log_probability);
    object.json("bytes", "null");
    object
}
