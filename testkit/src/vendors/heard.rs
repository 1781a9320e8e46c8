//! What a request asks for, whichever dialect it is in, and what is wrong with it.

use serde_json::Value;

#[derive(Default)]
pub(super) struct Heard {
    pub(super) model: String,
    pub(super) stream: bool,
    /// What was said so far: `role: text`.
    pub(super) lines: Vec<String>,
    /// What the user said last.
    pub(super) prompt: String,
    pub(super) tools: Vec<String>,
    /// What the tools gave in the last turn, each behind the place that they were asked about.
    pub(super) results: Vec<String>,
    pub(super) schema: Option<Value>,
    /// Whether thinking is asked for, and whether the thoughts are to be shown.
    pub(super) thinks: bool,
    pub(super) shows_thoughts: bool,
    /// Whether the usage of a stream is asked for, where that has to be done.
    pub(super) usage: bool,
    pub(super) wrong: Vec<String>,
    seals: Vec<String>,
    /// Calls whose results have not come yet.
    open: Vec<(String, String)>,
    /// Whether an answer that began with a sealed thought stands in the conversation.
    has_thought: bool,
}

/// A picture of one pixel. Clients send this one, and none else.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

impl Heard {
    /// Somebody said something.
    pub(super) fn spoke(&mut self, role: &str, text: &str) {
        if !self.open.is_empty() {
            self.wrong(&format!("a {role} speaks while calls wait for their results"));
        }
        if text.is_empty() {
            self.wrong(&format!("a {role} says nothing"));
        }
        if role == "user" {
            text.clone_into(&mut self.prompt);
        }
        if role != "system" {
            self.results.clear();
        }
        self.lines.push(format!("{role}: {text}"));
    }

    /// A tool was called.
    pub(super) fn called(&mut self, id: &str, name: &str, arguments: &Value) {
        if self.open.iter().any(|(known, _)| known == id) {
            self.wrong(&format!("two calls have the id {id}"));
        }
        if !self.tools.iter().any(|tool| tool == name) {
            self.wrong(&format!("{name} was called and is no tool"));
        }
        match arguments["city"].as_str() {
            Some(city) => self.open.push((id.to_owned(), city.to_owned())),
            None => self.wrong(&format!("{name} was called with {arguments}")),
        }
        self.has_thought |= self.prompt.contains("think");
        self.results.clear();
    }

    /// The tool gave this.
    pub(super) fn returned(&mut self, id: &str, text: &str) {
        match self.open.iter().position(|(open, _)| open == id) {
            Some(at) => {
                let (_, city) = self.open.remove(at);
                self.results.push(format!("{city}: {text}"));
            }
            None => self.wrong(&format!("there is a result for {id}, which was not called")),
        }
    }

    /// A seal came back.
    pub(super) fn sealed(&mut self, seal: &Value) {
        match seal.as_str() {
            Some(seal) => self.seals.push(seal.to_owned()),
            None => self.wrong("a thought is not sealed"),
        }
    }

    /// A picture, for the line that it stands in.
    pub(super) fn picture(&mut self, media_type: &Value, base64: &Value) -> String {
        if base64 != PNG {
            self.wrong(&format!("a picture has become {base64}"));
        }
        format!("<{}>", media_type.as_str().unwrap_or_default())
    }

    pub(super) fn wrong(&mut self, what: &str) {
        self.wrong.push(what.to_owned());
    }

    /// All has been heard. `seal` is what this vendor seals its thoughts with.
    pub(super) fn end(&mut self, seal: Option<&str>) {
        if !self.open.is_empty() {
            self.wrong(&format!("calls have no results: {:?}", self.open));
        }
        let expected: Vec<&str> = seal.into_iter().filter(|_| self.has_thought).collect();
        if self.seals != expected {
            self.wrong(&format!("{:?} came back, and not {expected:?}", self.seals));
        }
        self.thinks &= self.prompt.contains("think");
    }
}

/// The members of an array; none where it is no array.
pub(super) fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text; empty where it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// JSON in a text, as arguments of calls stand in OpenAI's dialects.
pub(super) fn parsed(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap_or_default()
}

/// The two halves of a `data:` URL: the media type, and base64.
pub(super) fn data_url(value: &Value) -> (Value, Value) {
    let halves = text(value)
        .strip_prefix("data:")
        .and_then(|url| url.split_once(";base64,"));
    halves.map_or((Value::Null, value.clone()), |(media_type, base64)| {
        (media_type.into(), base64.into())
    })
}
