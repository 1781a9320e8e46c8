//! Reading usage from an answer, whole or one event of a stream.

use serde::Deserialize;

use crate::json::scan_answer;
use crate::tier::TierWord;
use crate::usage::{Usage, output_by_total};

/// An answer, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// `None` when it reports none.
    pub usage: Option<Usage>,
}

/// Usage, as a response tells it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    audio_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    image_tokens: Option<u64>,
}

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let [usage, tier] = scan_answer(body, ["usage", "service_tier"]).ok()?;
        let counts = usage.and_then(|usage| serde_json::from_slice::<Option<Counts>>(usage).ok()?);
        Some(Self {
            usage: counts.and_then(|counts| counts.usage(tier.and_then(TierWord::of_json))),
        })
    }
}

impl Counts {
    /// Its usage, with the tier that stands beside it.
    pub(super) fn usage(self, tier: Option<TierWord>) -> Option<Usage> {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        let input_tokens = self.input_tokens?;
        let told = self.output_tokens.unwrap_or(0);
        Some(Usage {
            input_tokens,
            cached_input_tokens: input.cached_tokens.unwrap_or(0),
            cache_write_tokens: input.cache_write_tokens.unwrap_or(0),
            cache_write_1h_tokens: 0,
            output_tokens: output_by_total(input_tokens, told, self.total_tokens),
            reasoning_tokens: output.reasoning_tokens.unwrap_or(0),
            audio_input_tokens: input.audio_tokens.unwrap_or(0),
            audio_output_tokens: output.audio_tokens.unwrap_or(0),
            image_output_tokens: output.image_tokens.unwrap_or(0),
            tier,
        })
    }
}
