//! Reading usage from an answer, whole or one chunk of a stream.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::usage::Usage;

#[derive(Deserialize)]
struct Reply {
    usage: Option<Counts>,
    /// Groq puts the usage of a stream here.
    x_groq: Option<XGroq>,
}

#[derive(Deserialize)]
struct XGroq {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for what came from its cache.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    audio_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
}

/// Whether an answer is a JSON object from its beginning to its end.
pub fn is_reply(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The usage that an answer, or a chunk of one, reports; `None` when it reports none.
pub fn reply_usage(body: &[u8]) -> Option<Usage> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    let counts = reply.usage.or_else(|| reply.x_groq?.usage)?;
    let prompt = counts.prompt_tokens_details.unwrap_or_default();
    let completion = counts.completion_tokens_details.unwrap_or_default();
    Some(Usage {
        input_tokens: counts.prompt_tokens?,
        cached_input_tokens: prompt
            .cached_tokens
            .or(counts.prompt_cache_hit_tokens)
            .unwrap_or(0),
        cache_write_tokens: prompt.cache_write_tokens.unwrap_or(0),
        output_tokens: counts.completion_tokens.unwrap_or(0),
        reasoning_tokens: completion.reasoning_tokens.unwrap_or(0),
        audio_input_tokens: prompt.audio_tokens.unwrap_or(0),
        audio_output_tokens: completion.audio_tokens.unwrap_or(0),
    })
}
