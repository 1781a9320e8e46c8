//! Answers of real vendors, recorded, and what has to be sent for them.

use serde_json::Value;

use crate::vendor::Play;

/// A recorded answer: what is asked names it, in double brackets, where it says something for the last time.
#[derive(Debug, Clone)]
pub struct Recording {
    pub name: String,
    /// `openai_chat`, and so on.
    pub dialect: &'static str,
    pub stream: bool,
    pub play: Play,
    /// What of the answers before this one has to stand somewhere in what is asked, as it was: ids, names and arguments of
    /// calls, seals. Of each, one of these.
    pub comes_back: Vec<Vec<Value>>,
}

impl Recording {
    /// The one of these that a request asks for.
    pub(super) fn asked_for<'a>(recordings: &'a [Self], text: &str) -> Option<&'a Self> {
        let at = |recording: &Self| text.rfind(&format!("[[{}]]", recording.name));
        let asked = recordings
            .iter()
            .filter_map(|recording| at(recording).map(|at| (at, recording)));
        asked.max_by_key(|(at, _)| *at).map(|(_, recording)| recording)
    }

    /// What is wrong with a request for this one, beside what would be wrong with any.
    pub(super) fn problems(&self, dialect: &str, stream: bool, body: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        if dialect != self.dialect {
            problems.push(format!("{} was recorded in {}", self.name, self.dialect));
        }
        if stream != self.stream {
            problems.push(format!("{} is a stream: {}", self.name, self.stream));
        }
        let is_back = |any: &&Vec<Value>| any.iter().any(|wanted| holds(body, wanted));
        let missing = self.comes_back.iter().filter(|any| !is_back(any));
        problems.extend(missing.map(|any| format!("{}: {any:?} has not come back", self.name)));
        problems
    }
}

/// Whether a value stands somewhere in another, if only as JSON in a text.
fn holds(value: &Value, wanted: &Value) -> bool {
    let is_inside = match value {
        Value::Object(members) => members.values().any(|value| holds(value, wanted)),
        Value::Array(values) => values.iter().any(|value| holds(value, wanted)),
        Value::String(text) if !wanted.is_string() => {
            serde_json::from_str::<Value>(text).is_ok_and(|value| value == *wanted)
        }
        _ => false,
    };
    is_inside || same(value, wanted)
}

/// Google's own SDK writes seals anew, in the other letters of base64, and Google takes both.
fn same(value: &Value, wanted: &Value) -> bool {
    match (value.as_str(), wanted.as_str()) {
        (Some(text), Some(wanted)) => {
            text.replace('-', "+").replace('_', "/") == wanted.replace('-', "+").replace('_', "/")
        }
        _ => value == wanted,
    }
}
