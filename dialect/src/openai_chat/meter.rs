//! Reading usage from an answer, whole or one chunk of a stream.

use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::json::{Object, scan_answer};
use crate::usage::{NONSENSE, Usage};

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

#[derive(Deserialize, Default)]
#[serde(default)]
struct Counts {
    #[serde(deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for what came from its cache.
    #[serde(deserialize_with = "count")]
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PromptDetails {
    #[serde(deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    audio_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CompletionDetails {
    #[serde(deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    audio_tokens: Option<u64>,
}

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let object = scan_answer(body).ok()?;
        let counts = last(body, &object, "usage").and_then(Counts::read);
        let counts = counts.or_else(|| {
            let groq: XGroq = serde_json::from_slice(last(body, &object, "x_groq")?).ok()?;
            groq.usage
        });
        Some(Self {
            usage: counts.and_then(Counts::usage),
        })
    }
}

/// The value of the last member of this name, by which readers of JSON go.
fn last<'a>(body: &'a [u8], object: &Object<'_>, name: &str) -> Option<&'a [u8]> {
    let member = object.members.iter().rev().find(|member| member.name == name)?;
    body.get(member.value.clone())
}

/// A count of tokens. Some write it as `3.0`; what is no count is one that is never believed.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    Ok(number.map(|number| number.as_u64().or_else(|| whole(&number)).unwrap_or(NONSENSE)))
}

fn whole(number: &Number) -> Option<u64> {
    let number = number.as_f64()?;
    let is_whole = number.fract() == 0.0 && (0.0..1e15).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and in the range"
    )]
    is_whole.then_some(number as u64)
}

impl Counts {
    /// `None` for null. What cannot be read is not to be believed; nor is an array, which the library would read in order.
    fn read(json: &[u8]) -> Option<Self> {
        let nonsense = Self {
            prompt_tokens: Some(NONSENSE),
            ..Self::default()
        };
        match json {
            b"null" => None,
            [b'{', ..] => Some(serde_json::from_slice(json).unwrap_or(nonsense)),
            _ => Some(nonsense),
        }
    }

    fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let completion = self.completion_tokens_details.unwrap_or_default();
        let input_tokens = self.prompt_tokens?;
        let told = self.completion_tokens.unwrap_or(0);
        // xAI, and Google in OpenAI's dialect, count reasoning beside the completion; their total has it all.
        let by_total = self.total_tokens.filter(|total| *total != NONSENSE);
        let by_total = by_total.map_or(0, |total| total.saturating_sub(input_tokens));
        Some(Usage {
            input_tokens,
            cached_input_tokens: prompt.cached_tokens.or(self.prompt_cache_hit_tokens).unwrap_or(0),
            cache_write_tokens: prompt.cache_write_tokens.unwrap_or(0),
            cache_write_1h_tokens: 0,
            output_tokens: told.max(by_total),
            reasoning_tokens: completion.reasoning_tokens.unwrap_or(0),
            audio_input_tokens: prompt.audio_tokens.unwrap_or(0),
            audio_output_tokens: completion.audio_tokens.unwrap_or(0),
        })
    }
}
