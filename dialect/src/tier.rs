//! The tier of service in which a provider says that it has answered.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A provider's word for a tier, as it spells it. What the word means for the price is not known here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TierWord {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

/// No vendor has a longer one.
const BYTES_MAX: usize = 32;

impl TierWord {
    /// `None` where it tells none: no word, a number that stands for one, `auto`, which leaves it open, or a text that is
    /// longer than any word.
    pub fn new(word: &str) -> Option<Self> {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let mut bytes = [0; BYTES_MAX];
        let place = bytes.get_mut(..word.len())?;
        if is_number || word.eq_ignore_ascii_case("auto") {
            return None;
        }
        place.copy_from_slice(word.as_bytes());
        Some(Self {
            bytes,
            length: word.len(),
        })
    }

    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// From JSON; what is no text tells none.
    pub(crate) fn of_json(json: &[u8]) -> Option<Self> {
        let word: String = serde_json::from_slice(json).ok()?;
        Self::new(&word)
    }
}

impl fmt::Debug for TierWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Reads a member that may hold anything, since an answer is not to be doubted for it.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TierWord>, D::Error> {
    let told = serde_json::Value::deserialize(deserializer)?;
    Ok(told.as_str().and_then(TierWord::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Meter;
    use crate::{Dialect, StreamMeter as _, openai_chat};

    fn told(dialect: Dialect, answer: &str) -> Option<TierWord> {
        dialect.usage_of(answer.as_bytes()).unwrap().unwrap().tier
    }

    #[test]
    fn every_dialect_tells_it_in_its_own_place() {
        let chat = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1},"service_tier":"flex"}"#;
        let responses = r#"{"service_tier":"priority","usage":{"input_tokens":1,"output_tokens":1}}"#;
        let messages = r#"{"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"batch"}}"#;
        let fast =
            r#"{"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"standard","speed":"fast"}}"#;
        let slow =
            r#"{"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"standard","speed":"standard"}}"#;
        let studio = r#"{"usageMetadata":{"promptTokenCount":1,"serviceTier":"flex"}}"#;
        let vertex = r#"{"usageMetadata":{"promptTokenCount":1,"trafficType":"ON_DEMAND_PRIORITY"}}"#;
        for (dialect, answer, word) in [
            (Dialect::OpenaiChat, chat, "flex"),
            (Dialect::OpenaiResponses, responses, "priority"),
            (Dialect::AnthropicMessages, messages, "batch"),
            (Dialect::AnthropicMessages, fast, "fast"),
            (Dialect::AnthropicMessages, slow, "standard"),
            (Dialect::GeminiGenerate, studio, "flex"),
            (Dialect::GeminiGenerate, vertex, "ON_DEMAND_PRIORITY"),
        ] {
            let tier = told(dialect, answer).unwrap();
            assert_eq!(tier.as_str(), word, "{answer}");
        }
    }

    #[test]
    fn a_stream_tells_it_as_well() {
        let chat =
            r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1},"service_tier":"flex"}"#;
        let created = r#"{"type":"response.created","response":{"service_tier":"auto","usage":null}}"#;
        let completed = r#"{"type":"response.completed","response":{"service_tier":"flex","usage":{"input_tokens":1,"output_tokens":1}}}"#;
        let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"flex"}}}"#;
        let delta = r#"{"type":"message_delta","usage":{"output_tokens":9}}"#;
        let gemini = r#"{"candidates":[],"usageMetadata":{"promptTokenCount":1,"serviceTier":"flex"}}"#;
        let meters: [(Meter, &[&str]); 4] = [
            (Meter::OpenaiChat(openai_chat::ChunkMeter::new(false, 1)), &[chat]),
            (Meter::OpenaiResponses(Default::default()), &[created, completed]),
            (Meter::AnthropicMessages(Default::default()), &[start, delta]),
            (Meter::GeminiGenerate(Default::default()), &[gemini]),
        ];
        for (mut meter, events) in meters {
            for event in events {
                meter.read(format!("data: {event}\n\n").as_bytes());
            }
            let tier = meter.usage().unwrap().tier;
            assert_eq!(tier.unwrap().as_str(), "flex", "{events:?}");
        }
    }

    #[test]
    fn what_is_no_tier_tells_none_and_takes_nothing_from_the_usage() {
        for word in [
            "null",
            "7",
            r#""""#,
            r#""auto""#,
            r#""2""#,
            "{}",
            &format!("\"{}\"", "x".repeat(33)),
        ] {
            let chat = format!(r#"{{"usage":{{"prompt_tokens":1}},"service_tier":{word}}}"#);
            assert_eq!(told(Dialect::OpenaiChat, &chat), None, "{word}");
            let messages =
                format!(r#"{{"usage":{{"input_tokens":1,"service_tier":{word},"speed":{word}}}}}"#);
            assert_eq!(told(Dialect::AnthropicMessages, &messages), None, "{word}");
            let responses = format!(r#"{{"usage":{{"input_tokens":1}},"service_tier":{word}}}"#);
            assert_eq!(told(Dialect::OpenaiResponses, &responses), None, "{word}");
        }
    }
}
