//! Events as they are read: one shape for all, with what differs among them unread.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai_responses::meter::Counts;

/// An event. Of what it holds, only places are read at once; a vendor's strange value concerns its own event alone.
#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    pub r#type: Option<Cow<'a, str>>,
    pub output_index: Option<u64>,
    pub content_index: Option<u64>,
    pub summary_index: Option<u64>,
    #[serde(borrow)]
    pub delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub part: Option<&'a RawValue>,
    #[serde(borrow)]
    pub annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// A response at the beginning of a stream or at its end.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    pub id: Option<String>,
    pub model: Option<String>,
    pub created_at: Option<f64>,
    pub status: Option<String>,
    pub incomplete_details: Option<Details>,
    #[serde(borrow)]
    pub output: Option<Vec<&'a RawValue>>,
    pub usage: Option<Counts>,
    pub service_tier: Option<String>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Details {
    pub reason: Option<String>,
}

/// An item, as it is announced or done.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub r#type: Option<Cow<'a, str>>,
    pub id: Option<String>,
    pub call_id: Option<String>,
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub arguments: Option<String>,
    pub input: Option<String>,
    pub encrypted_content: Option<String>,
    #[serde(borrow)]
    pub content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub summary: Option<Vec<&'a RawValue>>,
}

/// A part of a message, or a piece of reasoning.
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub r#type: Option<Cow<'a, str>>,
    pub text: Option<String>,
    pub refusal: Option<String>,
    #[serde(borrow)]
    pub annotations: Option<Vec<&'a RawValue>>,
}

/// A text; `None` for anything else.
pub(super) fn text(json: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(json?.get()).ok()
}
