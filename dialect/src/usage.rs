//! What a provider says was used.

/// Tokens of one answer, in one convention for all dialects: input includes what came from a cache or went into one,
/// output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: u64,
    /// Of the input, read from the provider's prompt cache.
    pub cached_input_tokens: u64,
    /// Of the input, written to the provider's prompt cache.
    pub cache_write_tokens: u64,
    /// Of what was written to it, what is kept for an hour and not for the usual minutes (Anthropic prices it apart).
    pub cache_write_1h_tokens: u64,
    pub output_tokens: u64,
    /// Of the output, spent on reasoning.
    pub reasoning_tokens: u64,
    pub audio_input_tokens: u64,
    pub audio_output_tokens: u64,
    /// Of the output, pictures: some models make them beside text, at many times its price.
    pub image_output_tokens: u64,
}

/// What stands in the place of a count that is none: a negative one, a fraction, a word, one that has shrunk.
pub(crate) const NONSENSE: u64 = u64::MAX;

/// Ten times the largest context there is.
const TOKENS_MAX: u64 = 100_000_000;

impl Usage {
    /// Whether a provider can have meant this. What it cannot have meant is not to be booked, or limits and bills would go
    /// by it.
    pub fn makes_sense(&self) -> bool {
        let Self {
            input_tokens,
            cached_input_tokens,
            cache_write_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
            audio_input_tokens,
            audio_output_tokens,
            image_output_tokens,
        } = *self;
        let counts = [
            input_tokens,
            cached_input_tokens,
            cache_write_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
            audio_input_tokens,
            audio_output_tokens,
            image_output_tokens,
        ];
        counts.iter().all(|count| *count <= TOKENS_MAX)
    }

    /// This, reported after what the same stream had reported before: what has been written cannot become less.
    #[must_use]
    pub(crate) fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if self.output_tokens < before.output_tokens => Self {
                output_tokens: NONSENSE,
                ..self
            },
            _ => self,
        }
    }
}
