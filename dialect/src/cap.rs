//! Setting the cap of an answer in a request that has none: the same that the vendor would apply by itself, so that what a
//! limit has to reserve for the answer is known beforehand.

use std::ops::Range;

use crate::Dialect;
use crate::json::{Limits, Object, scan};
use crate::neutral::MaxTokensName;

/// The most tokens that an answer shall have, and how the provider spells that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) tokens: u64,
    /// Of Chat Completions; the other dialects have one name each.
    pub(crate) name: MaxTokensName,
}

const CHAT_NAMES: [(&str, MaxTokensName); 2] = [
    ("max_tokens", MaxTokensName::MaxTokens),
    ("max_completion_tokens", MaxTokensName::MaxCompletionTokens),
];
const CONFIG_NAMES: [&str; 2] = ["generationConfig", "generation_config"];
const GEMINI_NAMES: [&str; 2] = ["maxOutputTokens", "max_output_tokens"];

impl Cap {
    /// The edits by which a request of this dialect, which has been looked at, gets the cap. It is one without a cap: what
    /// stands in its place (null, or a number that means none) is replaced.
    pub(crate) fn edits(self, dialect: Dialect, body: &[u8], end_at: usize) -> Vec<(Range<usize>, String)> {
        let Ok(object) = scan(body, &ANY) else {
            return Vec::new();
        };
        let end = end_at..end_at;
        match dialect {
            Dialect::OpenaiChat => self.chat_edits(body, &object, end),
            Dialect::OpenaiResponses => vec![self.place(&object, "max_output_tokens", end)],
            Dialect::AnthropicMessages => vec![self.place(&object, "max_tokens", end)],
            Dialect::GeminiGenerate => vec![self.gemini_edit(body, &object, end)],
        }
    }

    fn place(self, object: &Object<'_>, name: &str, end: Range<usize>) -> (Range<usize>, String) {
        match object.get(name) {
            Some(at) => (at, self.tokens.to_string()),
            None => (end, format!(r#","{name}":{}"#, self.tokens)),
        }
    }

    /// A number under the name that this provider does not use is replaced too, or it would say that there is no cap; a null
    /// there stays, since some refuse to be told by both names.
    fn chat_edits(self, body: &[u8], object: &Object<'_>, end: Range<usize>) -> Vec<(Range<usize>, String)> {
        let mut edits = Vec::with_capacity(CHAT_NAMES.len());
        for (written, name) in CHAT_NAMES {
            if name == self.name {
                edits.push(self.place(object, written, end.clone()));
            } else if let Some(at) = object.get(written)
                && body.get(at.clone()) != Some(b"null")
            {
                edits.push((at, self.tokens.to_string()));
            }
        }
        edits
    }

    fn gemini_edit(self, body: &[u8], object: &Object<'_>, end: Range<usize>) -> (Range<usize>, String) {
        let member = format!(r#""maxOutputTokens":{}"#, self.tokens);
        let Some(at) = CONFIG_NAMES.iter().find_map(|name| object.get(name)) else {
            return (end, format!(r#","generationConfig":{{{member}}}"#));
        };
        let Ok(config) = scan(body.get(at.clone()).unwrap_or_default(), &ANY) else {
            // Not an object: null, the only other value that was let through.
            return (at, format!("{{{member}}}"));
        };
        match GEMINI_NAMES.iter().find_map(|name| config.get(name)) {
            Some(value) => (
                at.start + value.start..at.start + value.end,
                self.tokens.to_string(),
            ),
            None => {
                let comma = if config.members.is_empty() { "" } else { "," };
                let brace = at.end.saturating_sub(1);
                (brace..brace, format!("{comma}{member}"))
            }
        }
    }
}

/// What was looked at was held to the limits then.
const ANY: Limits = Limits {
    depth_max: usize::MAX,
    nodes_max: usize::MAX,
    members_max: usize::MAX,
};

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Splicing;
    use crate::codec::InPath;
    use crate::neutral::{Profile, Target};

    fn capped(dialect: Dialect, name: MaxTokensName, body: &str) -> String {
        let in_path = InPath {
            model: "m",
            ..InPath::default()
        };
        let envelope = dialect
            .look(body.as_bytes(), in_path, &Limits::default())
            .unwrap();
        assert_eq!(envelope.max_tokens, None, "{body}");
        let profile = Profile {
            max_tokens_name: name,
            ..Profile::default()
        };
        let splicing = Splicing {
            dialect,
            target: Target {
                model: "n",
                profile: &profile,
            },
            ask_usage: true,
            cap: Some(77),
            strict: true,
        };
        let body = Bytes::copy_from_slice(body.as_bytes());
        let sent = splicing.of(&body, &envelope).unwrap().pieces.concat();
        let again = dialect.look(&sent, in_path, &Limits::default()).unwrap();
        assert_eq!(again.max_tokens, Some(77), "{}", sent.escape_ascii());
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn a_chat_completion_is_told_by_the_name_that_its_provider_knows() {
        use MaxTokensName::{MaxCompletionTokens as New, MaxTokens as Old};
        let table = [
            (
                New,
                r#"{"model":"m","messages":[]}"#,
                r#"{"model":"n","messages":[],"max_completion_tokens":77}"#,
            ),
            (
                Old,
                r#"{"model":"m","messages":[] }"#,
                r#"{"model":"n","messages":[] ,"max_tokens":77}"#,
            ),
            (
                Old,
                r#"{"max_tokens":null,"model":"m","messages":[]}"#,
                r#"{"max_tokens":77,"model":"n","messages":[]}"#,
            ),
            (
                Old,
                r#"{"max_tokens": -1 ,"model":"m","messages":[]}"#,
                r#"{"max_tokens": 77 ,"model":"n","messages":[]}"#,
            ),
            (
                New,
                r#"{"max_tokens":0,"model":"m","messages":[]}"#,
                r#"{"max_tokens":77,"model":"n","messages":[],"max_completion_tokens":77}"#,
            ),
            (
                New,
                r#"{"max_tokens":null,"model":"m","messages":[]}"#,
                r#"{"max_tokens":null,"model":"n","messages":[],"max_completion_tokens":77}"#,
            ),
            (
                Old,
                r#"{"model":"m","stream":true,"messages":[]}"#,
                r#"{"model":"n","stream":true,"messages":[],"stream_options":{"include_usage":true},"max_tokens":77}"#,
            ),
        ];
        for (name, body, expected) in table {
            assert_eq!(capped(Dialect::OpenaiChat, name, body), expected);
        }
    }

    #[test]
    fn the_others_have_one_name_each() {
        let table = [
            (
                Dialect::OpenaiResponses,
                r#"{"model":"m","input":"x"}"#,
                r#"{"model":"n","input":"x","max_output_tokens":77}"#,
            ),
            (
                Dialect::OpenaiResponses,
                r#"{"max_output_tokens":null,"model":"m","input":"x"}"#,
                r#"{"max_output_tokens":77,"model":"n","input":"x"}"#,
            ),
            (
                Dialect::GeminiGenerate,
                r#"{"contents":[]}"#,
                r#"{"contents":[],"generationConfig":{"maxOutputTokens":77}}"#,
            ),
            (
                Dialect::GeminiGenerate,
                r#"{"generationConfig":{},"contents":[]}"#,
                r#"{"generationConfig":{"maxOutputTokens":77},"contents":[]}"#,
            ),
            (
                Dialect::GeminiGenerate,
                r#"{"generationConfig":null,"contents":[]}"#,
                r#"{"generationConfig":{"maxOutputTokens":77},"contents":[]}"#,
            ),
            (
                Dialect::GeminiGenerate,
                r#"{"generation_config":{"temperature":1 },"contents":[]}"#,
                r#"{"generation_config":{"temperature":1 ,"maxOutputTokens":77},"contents":[]}"#,
            ),
            (
                Dialect::GeminiGenerate,
                r#"{"generationConfig":{"max_output_tokens":null,"topK":1},"contents":[]}"#,
                r#"{"generationConfig":{"max_output_tokens":77,"topK":1},"contents":[]}"#,
            ),
            (
                Dialect::GeminiGenerate,
                r#"{"generationConfig":{"maxOutputTokens":0},"contents":[]}"#,
                r#"{"generationConfig":{"maxOutputTokens":77},"contents":[]}"#,
            ),
        ];
        for (dialect, body, expected) in table {
            assert_eq!(capped(dialect, MaxTokensName::MaxTokens, body), expected);
        }
    }
}
