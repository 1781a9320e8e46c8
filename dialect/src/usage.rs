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
}
