//! Reading usage from an answer, whole or one chunk of a stream.

use crate::json::{checked_members, scan_answer};
use crate::tier::TierWord;
use crate::usage::{NONSENSE, Usage, output_by_total};

/// An answer, or a chunk of one, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// `None` when it reports none.
    pub usage: Option<Usage>,
}

/// What `usage` tells, details included.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    /// OpenRouter's name for pictures.
    image_output: Option<u64>,
    /// DeepSeek's name for what came from its cache.
    cache_hit: Option<u64>,
}

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let [usage, groq, tier] = scan_answer(body, ["usage", "x_groq", "service_tier"]).ok()?;
        let counts = usage.and_then(Counts::read);
        // Groq puts the usage of a stream into a member of its own.
        let counts = counts.or_else(|| {
            let (_, usage) = checked_members(groq?).find(|(name, _)| *name == b"usage")?;
            Counts::read(usage)
        });
        Some(Self {
            usage: counts.and_then(Counts::usage).map(|usage| Usage {
                tier: tier.and_then(TierWord::of_json),
                ..usage
            }),
        })
    }
}

impl Counts {
    /// Reads the value of `usage`; `None` for null. What is no object is not to be believed.
    fn read(json: &[u8]) -> Option<Self> {
        let mut counts = Self::default();
        match json {
            b"null" => return None,
            [b'{', ..] => counts.take_all(json),
            _ => counts.prompt = Some(NONSENSE),
        }
        Some(counts)
    }

    fn take_all(&mut self, usage: &[u8]) {
        for (name, value) in checked_members(usage) {
            match name {
                b"prompt_tokens" => self.prompt = count(value),
                b"completion_tokens" => self.completion = count(value),
                b"total_tokens" => self.total = count(value),
                b"prompt_cache_hit_tokens" => self.cache_hit = count(value),
                b"prompt_tokens_details" => self.take_prompt(value),
                b"completion_tokens_details" => self.take_completion(value),
                _ => {}
            }
        }
    }

    fn take_prompt(&mut self, details: &[u8]) {
        for (name, value) in checked_members(details) {
            match name {
                b"cached_tokens" => self.cached = count(value),
                b"cache_write_tokens" => self.cache_write = count(value),
                b"audio_tokens" => self.audio_input = count(value),
                _ => {}
            }
        }
        self.doubt(details);
    }

    fn take_completion(&mut self, details: &[u8]) {
        for (name, value) in checked_members(details) {
            match name {
                b"reasoning_tokens" => self.reasoning = count(value),
                b"audio_tokens" => self.audio_output = count(value),
                b"image_tokens" => self.image_output = count(value),
                _ => {}
            }
        }
        self.doubt(details);
    }

    /// Details that are no object make all of it doubtful.
    fn doubt(&mut self, details: &[u8]) {
        if !matches!(details, [b'{', ..] | b"null") {
            self.prompt = Some(NONSENSE);
        }
    }

    fn usage(self) -> Option<Usage> {
        let input_tokens = self.prompt?;
        let told = self.completion.unwrap_or(0);
        Some(Usage {
            input_tokens,
            cached_input_tokens: self.cached.or(self.cache_hit).unwrap_or(0),
            cache_write_tokens: self.cache_write.unwrap_or(0),
            cache_write_1h_tokens: 0,
            // xAI, and Google in OpenAI's dialect, count reasoning beside the completion.
            output_tokens: output_by_total(input_tokens, told, self.total),
            reasoning_tokens: self.reasoning.unwrap_or(0),
            audio_input_tokens: self.audio_input.unwrap_or(0),
            audio_output_tokens: self.audio_output.unwrap_or(0),
            image_output_tokens: self.image_output.unwrap_or(0),
            tier: None,
        })
    }
}

/// A count of tokens; `None` for null. Some write it as `3.0`; what is no count is one that is never believed.
fn count(json: &[u8]) -> Option<u64> {
    if json == b"null" {
        return None;
    }
    let text = std::str::from_utf8(json).unwrap_or_default();
    Some(text.parse().ok().or_else(|| whole(text)).unwrap_or(NONSENSE))
}

fn whole(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    let is_whole = number.fract() == 0.0 && (0.0..1e15).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and in the range"
    )]
    is_whole.then_some(number as u64)
}
