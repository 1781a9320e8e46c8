//! What a provider says was used.

use crate::tier::TierWord;
use crate::weight::tokens_of;

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
    /// In which tier of service it was answered, where the provider tells.
    pub tier: Option<TierWord>,
}

/// What stands in the place of a count that is none: a negative one, a fraction, a word, one that has shrunk.
pub(crate) const NONSENSE: u64 = u64::MAX;

/// Ten times the largest context there is.
const TOKENS_MAX: u64 = 100_000_000;

/// The output by what is told of it and of the sum of all. Some vendors count reasoning beside the rest, and tell it in
/// the sum alone. A sum that is smaller than what it is made of is nonsense; some servers leave it at 0.
pub(crate) fn output_by_total(input: u64, output: u64, total: Option<u64>) -> u64 {
    match total {
        None | Some(0) => output,
        Some(total) if total < input.saturating_add(output) => NONSENSE,
        Some(total) => total.saturating_sub(input),
    }
}

impl Usage {
    /// What an answer may have taken that says so much, in bytes of text, where its provider does not tell.
    pub(crate) fn guess(input_tokens: u64, said_bytes: u64) -> Self {
        Self {
            input_tokens,
            output_tokens: tokens_of(said_bytes),
            ..Self::default()
        }
    }

    /// Whether a provider can have meant this: no count beyond all measure, and none that is part of another and larger than
    /// that. What it cannot have meant is not to be booked, or limits and bills would go by it.
    ///
    /// Reasoning may be more than the output that it is a part of: some vendors count the two in different ways, and are off
    /// by a token or so (OpenRouter, recorded). Nothing is lost by believing them, as no more of it is charged than there is output.
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
            tier: _,
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
        let parts = [
            (
                cached_input_tokens.saturating_add(cache_write_tokens),
                input_tokens,
            ),
            (cache_write_1h_tokens, cache_write_tokens),
            (audio_input_tokens, input_tokens),
            (audio_output_tokens, output_tokens),
            (image_output_tokens, output_tokens),
        ];
        counts.iter().all(|count| *count <= TOKENS_MAX) && parts.iter().all(|(part, whole)| part <= whole)
    }

    /// This, reported after what the same stream had reported before: what has been written cannot become less.
    #[must_use]
    pub(crate) fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if self.output_tokens < before.output_tokens => Self {
                output_tokens: NONSENSE,
                ..self
            },
            Some(before) => Self {
                tier: self.tier.or(before.tier),
                ..self
            },
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    fn told(dialect: Dialect, body: &str) -> Usage {
        dialect.usage_of(body.as_bytes()).unwrap().unwrap()
    }

    /// Each dialect's counts, right, and with one of them wrong.
    #[test]
    fn p23_p51_counts_that_cannot_be_meant_are_not_believed() {
        use Dialect::{AnthropicMessages, GeminiGenerate, OpenaiChat, OpenaiResponses};
        #[rustfmt::skip]
        let table = [
            (OpenaiChat, r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":9},"completion_tokens_details":{"reasoning_tokens":5}}}"#, true),
            (OpenaiChat, r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":13}}"#, false),
            (OpenaiChat, r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":-1}}"#, false),
            (OpenaiChat, r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":10}}}"#, false),
            (OpenaiResponses, r#"{"usage":{"input_tokens":9,"output_tokens":5,"total_tokens":14}}"#, true),
            (OpenaiResponses, r#"{"usage":{"input_tokens":9,"output_tokens":5,"total_tokens":9}}"#, false),
            (OpenaiResponses, r#"{"usage":{"input_tokens":9,"output_tokens":5,"total_tokens":14,"output_tokens_details":{"reasoning_tokens":6}}}"#, true),
            (AnthropicMessages, r#"{"usage":{"input_tokens":9,"cache_read_input_tokens":100,"output_tokens":5}}"#, true),
            (AnthropicMessages, r#"{"usage":{"input_tokens":9,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_1h_input_tokens":8,"ephemeral_5m_input_tokens":0},"output_tokens":5}}"#, false),
            (AnthropicMessages, r#"{"usage":{"input_tokens":9,"output_tokens":5,"output_tokens_details":{"thinking_tokens":6}}}"#, true),
            (GeminiGenerate, r#"{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":5,"thoughtsTokenCount":3,"toolUsePromptTokenCount":2,"totalTokenCount":19}}"#, true),
            (GeminiGenerate, r#"{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":5,"thoughtsTokenCount":3,"totalTokenCount":14}}"#, false),
            (GeminiGenerate, r#"{"usageMetadata":{"promptTokenCount":9,"cachedContentTokenCount":10,"totalTokenCount":9}}"#, false),
        ];
        for (dialect, body, makes_sense) in table {
            assert_eq!(told(dialect, body).makes_sense(), makes_sense, "{body}");
        }
        // What is told in the sum alone is output.
        let beside = r#"{"usage":{"input_tokens":9,"output_tokens":5,"total_tokens":20}}"#;
        assert_eq!(told(OpenaiResponses, beside).output_tokens, 11);
    }

    /// Whatever vendors have really told is believed.
    #[test]
    fn recorded_usage_makes_sense() {
        let folders = [
            ("openai-chat", Dialect::OpenaiChat),
            ("openai-responses", Dialect::OpenaiResponses),
            ("anthropic", Dialect::AnthropicMessages),
            ("gemini", Dialect::GeminiGenerate),
        ];
        for (folder, dialect) in folders {
            let mut believed = 0;
            for (name, body) in crate::spec::recorded(folder, ".response.json") {
                if let Ok(Some(usage)) = dialect.usage_of(&body) {
                    assert!(usage.makes_sense(), "{folder}/{name}: {usage:?}");
                    believed += 1;
                }
            }
            println!("{folder}: {believed} counts of usage believed");
        }
    }
}
