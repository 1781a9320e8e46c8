//! Reading usage from an answer, whole or one chunk of a stream.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::json::{Object, scan_answer};
use crate::usage::Usage;

/// An answer, or a chunk of one, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// `None` when it reports none.
    pub usage: Option<Usage>,
}

/// Groq puts the usage of a stream into `x_groq`.
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

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let object = scan_answer(body).ok()?;
        let counts = last::<Counts>(body, &object, "usage").or_else(|| {
            let groq: XGroq = last(body, &object, "x_groq")?;
            groq.usage
        });
        Some(Self {
            usage: counts.and_then(Counts::usage),
        })
    }
}

/// The value of the last member of this name, by which readers of JSON go; `None` for null, and for one that cannot be
/// read.
fn last<T: DeserializeOwned>(body: &[u8], object: &Object<'_>, name: &str) -> Option<T> {
    let member = object.members.iter().rev().find(|member| member.name == name)?;
    serde_json::from_slice::<Option<T>>(body.get(member.value.clone())?).ok()?
}

impl Counts {
    fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let completion = self.completion_tokens_details.unwrap_or_default();
        Some(Usage {
            input_tokens: self.prompt_tokens?,
            cached_input_tokens: prompt.cached_tokens.or(self.prompt_cache_hit_tokens).unwrap_or(0),
            cache_write_tokens: prompt.cache_write_tokens.unwrap_or(0),
            cache_write_1h_tokens: 0,
            output_tokens: self.completion_tokens.unwrap_or(0),
            reasoning_tokens: completion.reasoning_tokens.unwrap_or(0),
            audio_input_tokens: prompt.audio_tokens.unwrap_or(0),
            audio_output_tokens: completion.audio_tokens.unwrap_or(0),
        })
    }
}
