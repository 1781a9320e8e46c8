//! One chunk of a stream, as vendors send it. What nobody here looks at is passed over unread.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What is rare stays unread until it is asked for: all of this is moved about as it is read.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) created: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) x_groq: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    /// A text, or Mistral's array of parts.
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<CallChunk<'a>>>,
    #[serde(borrow)]
    pub(super) function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct CallChunk<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function: Option<FunctionChunk<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<CustomChunk<'a>>,
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct FunctionChunk<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    /// A text, or of some servers the object itself.
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct CustomChunk<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ExtraContent<'a> {
    #[serde(borrow)]
    pub(super) google: Option<Google<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Google<'a> {
    #[serde(borrow)]
    pub(super) thought_signature: Option<&'a RawValue>,
}

/// A text that is borrowed where it is written without escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a piece of JSON, unless it is empty: many send empty ones for nothing.
pub(super) fn told(json: Option<&RawValue>) -> Option<Cow<'_, str>> {
    json.map(text_of).filter(|text| !text.is_empty())
}

/// Reads what few chunks have; what is no such thing counts for nothing.
pub(super) fn read_rare<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

/// The text of a piece of JSON, or the piece itself where it is none.
pub(super) fn text_of(json: &RawValue) -> Cow<'_, str> {
    if json.get().starts_with('"') {
        let word = serde_json::from_str(json.get());
        word.map_or_else(|_| Cow::Owned(broken(json)), |Word(text)| text)
    } else {
        Cow::Borrowed(json.get())
    }
}

/// A text with half a surrogate in it, which some servers send when they cut a letter in two. What is left of the letter
/// is shown as such.
fn broken(json: &RawValue) -> String {
    struct Lossy;
    impl serde::de::Visitor<'_> for Lossy {
        type Value = String;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a text")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(json.get());
    serde::Deserializer::deserialize_bytes(&mut deserializer, Lossy).unwrap_or_default()
}
