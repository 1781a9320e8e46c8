//! One chunk of a stream, as vendors send it. What nobody here looks at is passed over unread.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A text that is borrowed where it is written without escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Word<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) created: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<Word<'a>>,
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
    pub(super) finish_reason: Option<Word<'a>>,
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
    pub(super) refusal: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) reasoning: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<CallChunk<'a>>>,
    #[serde(borrow)]
    pub(super) function_call: Option<FunctionChunk<'a>>,
    #[serde(borrow)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

#[derive(Deserialize)]
pub(super) struct CallChunk<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) id: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) function: Option<FunctionChunk<'a>>,
    #[serde(borrow)]
    pub(super) custom: Option<CustomChunk<'a>>,
    #[serde(borrow)]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

#[derive(Deserialize)]
pub(super) struct FunctionChunk<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Word<'a>>,
    /// A text, or of some servers the object itself.
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct CustomChunk<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Word<'a>>,
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
    pub(super) thought_signature: Option<Word<'a>>,
}

impl Word<'_> {
    /// The text, unless it is empty: many send empty ones for nothing.
    pub(super) fn told(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_ref())
    }
}

/// The text of a piece of JSON, or the piece itself where it is none.
pub(super) fn text_of(json: &RawValue) -> Cow<'_, str> {
    if json.get().starts_with('"') {
        serde_json::from_str::<Word<'_>>(json.get()).map_or(Cow::Borrowed(""), |Word(text)| text)
    } else {
        Cow::Borrowed(json.get())
    }
}
