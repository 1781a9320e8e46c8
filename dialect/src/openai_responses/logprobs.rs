//! Log-probabilities, on their way from other dialects: Chat Completions has them in the same shape, Gemini under other names.
//!
//! Here each token has its bytes, which others leave out: then they are those of its text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::output::write_line;
use crate::Dialect;
use crate::gemini_generate::openai_logprobs;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::Raw;

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    logprob: &'a RawValue,
    bytes: Option<Vec<u8>>,
    #[serde(borrow, default)]
    top_logprobs: Option<Vec<Token<'a>>>,
}

/// The inside of the array; `None` where they cannot be read.
pub(super) fn logprobs(raw: &Raw) -> Option<Vec<u8>> {
    let json = raw.json.get();
    let (of_gemini, of_chat): (Box<RawValue>, Content<'_>);
    let entries: Vec<&RawValue> = match raw.origin {
        Dialect::OpenaiResponses => serde_json::from_str(json).ok()?,
        Dialect::OpenaiChat => {
            of_chat = serde_json::from_str(json).ok()?;
            of_chat.content
        }
        Dialect::GeminiGenerate => {
            of_gemini = openai_logprobs(raw)?;
            of_chat = serde_json::from_str(of_gemini.get()).ok()?;
            of_chat.content
        }
        Dialect::AnthropicMessages => return None,
    };
    let mut out = Vec::with_capacity(json.len());
    for entry in entries {
        if !out.is_empty() {
            out.push(b',');
        }
        match serde_json::from_str::<Token<'_>>(entry.get()) {
            Ok(token) if !token.is_whole() => token.write(true, &mut out),
            _ => write_line(entry, &mut out),
        }
    }
    Some(out)
}

impl Token<'_> {
    fn is_whole(&self) -> bool {
        let others = self.top_logprobs.as_deref();
        self.bytes.is_some() && others.is_some_and(|others| others.iter().all(|other| other.bytes.is_some()))
    }

    /// `is_chosen` and not one of those that might have been.
    fn write(&self, is_chosen: bool, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::new(out);
        object
            .member("token", &self.token)
            .member("logprob", self.logprob);
        object.member("bytes", self.bytes.as_deref().unwrap_or(self.token.as_bytes()));
        if is_chosen {
            let others = self.top_logprobs.as_deref().unwrap_or_default();
            write_array(others, object.begin("top_logprobs"), |other, out| {
                other.write(false, out)
            });
        }
        object.end();
    }
}
