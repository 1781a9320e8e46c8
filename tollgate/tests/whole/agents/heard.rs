//! What a request says, whatever its dialect, and what is answered.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::vendor::Vendor;

/// One dialect, as a vendor speaks it.
pub(super) struct Voice {
    /// Where calls arrive.
    pub(super) path: &'static str,
    pub(super) hear: fn(&Value, &mut Heard),
    /// The pieces of a stream.
    pub(super) say: fn(&Said) -> Vec<Vec<u8>>,
    /// Whether the vendor seals what it thinks, and wants the seals back.
    pub(super) seals: bool,
    /// Tokens of input and of output that every answer tells.
    pub(super) usage: (i64, i64),
}

/// A request.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) streamed: bool,
    /// Schemas, by the names of their tools.
    pub(super) tools: BTreeMap<String, Value>,
    /// What the model has called so far, and what came of it.
    pub(super) calls: Vec<(Call, Option<String>)>,
    pub(super) seals: Vec<String>,
    /// What is not as the vendor wants it.
    pub(super) wrong: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) seal: String,
    pub(super) calls: Vec<Call>,
    /// Where nothing is called.
    pub(super) text: &'static str,
}

impl Voice {
    pub(super) fn base_url(&self, vendor: &Vendor) -> String {
        let version = self.path.split('/').nth(1).unwrap();
        vendor.base_url().replace("/v1", &format!("/{version}"))
    }
}

impl Heard {
    /// The name of the tool that is called so, or, where that ends in `_`, whose name begins so.
    pub(super) fn tool(&self, name: &str) -> Option<String> {
        let is_it = |known: &&String| *known == name || name.ends_with('_') && known.starts_with(name);
        self.tools.keys().find(is_it).cloned()
    }

    /// Takes the results that follow calls: each call has to have one, and nothing else.
    pub(super) fn take(&mut self, calls: Vec<Call>, mut results: Vec<(String, String)>) {
        for call in calls {
            let at = results.iter().position(|(id, _)| *id == call.id);
            let result = at.map(|at| results.remove(at).1);
            if result.is_none() {
                self.wrong.push(format!("no result follows {call:?}"));
            }
            self.calls.push((call, result));
        }
        if !results.is_empty() {
            self.wrong
                .push(format!("results of nothing that was called before: {results:?}"));
        }
    }
}

/// Something in two pieces, neither of which ends where a letter might not.
pub(super) fn halves(text: &str) -> [&str; 2] {
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at));
    let (left, right) = text.split_at(middle.unwrap());
    [left, right]
}

/// The events of a stream whose data say what they are.
pub(super) fn event(name: &str, data: &Value) -> Vec<u8> {
    if name.is_empty() {
        return format!("data: {data}\n\n").into_bytes();
    }
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// All the text in a member that may be a text or a list of blocks.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(|block| text_of(&block["text"])).collect(),
        _ => String::new(),
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
