//! A strict reader of this dialect's streams: it takes nothing that an exacting client would reject.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sse::{self, Events, StreamLimits};

/// What is passed over in a recording, because its server or its recorder is known for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leniency {
    /// Ids change from event to event.
    pub ids: bool,
    /// Numbers are missing, or have gaps.
    pub numbers: bool,
    /// There are no `event:` lines, and there is a `[DONE]`.
    pub lines: bool,
    /// Fragments do not add up to the whole, since the recording was shortened.
    pub fragments: bool,
    /// What was announced never ended.
    pub ends: bool,
    /// The final list has reasoning sealed anew.
    pub seals: bool,
}

#[derive(Default)]
struct Item {
    id: String,
    kind: String,
    /// Text told so far by part, and whether the part has ended.
    parts: Vec<(String, bool)>,
    annotations: u64,
    arguments: String,
    done: Option<Value>,
}

struct Checker {
    how: Leniency,
    items: BTreeMap<u64, Item>,
    number: u64,
    problems: Vec<String>,
    last: String,
}

/// The events of a stream, by name and data.
pub(crate) fn events(stream: &[u8]) -> Vec<(Option<String>, Vec<u8>)> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut found = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while let Some(event) = events.next_event() {
        found.push((sse::name(event).map(text), sse::data(event).into_owned()));
    }
    found.push((None, sse::data(events.rest()).into_owned()));
    found.retain(|(_, data)| !data.is_empty());
    found
}

/// What is wrong with a stream.
pub(crate) fn problems(stream: &[u8], how: Leniency) -> Vec<String> {
    let mut checker = Checker {
        how,
        items: BTreeMap::new(),
        number: 0,
        problems: Vec::new(),
        last: String::new(),
    };
    for (name, data) in events(stream) {
        if data == b"[DONE]" {
            checker.hold(how.lines, "there is a [DONE]");
            continue;
        }
        checker.event(name, &serde_json::from_slice(&data).unwrap());
    }
    let is_end = matches!(
        checker.last.as_str(),
        "response.completed" | "response.incomplete" | "response.failed"
    );
    checker.hold(is_end, "it has no end");
    checker.problems
}

impl Checker {
    fn hold(&mut self, is_right: bool, what: &str) {
        if !is_right {
            self.problems
                .push(format!("event {} ({}): {what}", self.number, self.last));
        }
    }

    fn event(&mut self, name: Option<String>, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let after = std::mem::replace(&mut self.last, kind.clone());
        let has_ended = matches!(
            after.as_str(),
            "response.completed" | "response.incomplete" | "response.failed"
        );
        self.hold(!has_ended, "something comes after the end");
        self.hold(
            after != "error" || kind == "response.failed",
            "an error is not the end",
        );
        self.hold(
            self.how.lines || name.as_deref() == Some(&kind),
            "the line names another type",
        );
        let numbered = event["sequence_number"].as_u64() == Some(self.number);
        self.hold(self.how.numbers || numbered, "the number is not the next");
        self.number += 1;
        match kind.as_str() {
            "response.created" => self.hold(after.is_empty(), "it begins twice"),
            "response.queued" | "response.in_progress" => {
                self.hold(
                    matches!(after.as_str(), "response.created" | "response.queued"),
                    "it is late",
                );
            }
            "response.output_item.added" => self.added(event),
            "response.output_item.done" => self.done(event),
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.ended(&event["response"])
            }
            "error" => self.hold(
                event["message"].is_string() || event["error"]["message"].is_string(),
                "no message",
            ),
            _ => self.inside(&kind, event),
        }
    }

    fn added(&mut self, event: &Value) {
        let index = event["output_index"].as_u64().unwrap_or(u64::MAX);
        let is_next = self.how.fragments || index == self.items.len() as u64;
        self.hold(is_next, "the index is not the next");
        let item = &event["item"];
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        let is_new = !id.is_empty() && self.items.values().all(|item| item.id != id);
        self.hold(is_new, "the id is not new");
        for member in ["content", "summary"] {
            let is_empty = item[member].as_array().is_none_or(Vec::is_empty);
            self.hold(is_empty, "it is announced with something in it");
        }
        let kind = item["type"].as_str().unwrap_or_default().to_owned();
        self.items.insert(
            index,
            Item {
                id,
                kind,
                ..Item::default()
            },
        );
    }

    fn inside(&mut self, kind: &str, event: &Value) {
        let index = event["output_index"].as_u64().unwrap_or(u64::MAX);
        let Some(item) = self.items.get_mut(&index) else {
            return self.hold(false, "nothing was announced");
        };
        let same = self.how.ids || event["item_id"].as_str() == Some(&item.id);
        let is_open = item.done.is_none();
        let fault = item.inside(kind, event, self.how);
        self.hold(same, "it is of another item");
        self.hold(is_open, "the item is done");
        if let Err(what) = fault {
            self.hold(false, what);
        }
    }

    fn done(&mut self, event: &Value) {
        let index = event["output_index"].as_u64().unwrap_or(u64::MAX);
        let Some(item) = self.items.get_mut(&index) else {
            return self.hold(false, "nothing was announced");
        };
        let told = &event["item"];
        let is_first = item.done.is_none();
        let same = self.how.ids || told["id"].as_str() == Some(&item.id);
        let same_kind = told["type"].as_str() == Some(&item.kind);
        let fault = item.compare(told, self.how);
        item.done = Some(told.clone());
        self.hold(is_first, "it is done twice");
        self.hold(same, "it has another id");
        self.hold(same_kind, "it is something else now");
        if let Err(what) = fault {
            self.hold(false, what);
        }
    }

    fn ended(&mut self, response: &Value) {
        let is_failed = response["status"] == "failed";
        self.hold(
            format!("response.{}", response["status"].as_str().unwrap_or_default()) == self.last,
            "the status is another",
        );
        self.hold(
            is_failed != response["error"].is_null(),
            "an error and a failure go together",
        );
        let all_done = self.items.values().all(|item| item.done.is_some());
        self.hold(all_done || is_failed || self.how.ends, "an item is not done");
        let mut done: Vec<Value> = self.items.values().filter_map(|item| item.done.clone()).collect();
        let mut output = response["output"].as_array().cloned().unwrap_or_default();
        for item in done.iter_mut().chain(&mut output).filter(|_| self.how.seals) {
            item["encrypted_content"] = Value::Null;
            item["fingerprint"] = Value::Null;
        }
        let is_loose = self.how.ids || self.how.fragments || self.how.ends;
        self.hold(is_loose || output == done, "the output is not what was done");
    }
}

impl Item {
    fn inside(&mut self, kind: &str, event: &Value, how: Leniency) -> Result<(), &'static str> {
        let number = event["content_index"]
            .as_u64()
            .or(event["summary_index"].as_u64());
        let told = ["delta", "text", "refusal", "arguments", "input"]
            .iter()
            .find_map(|name| event[*name].as_str())
            .unwrap_or_default();
        let kind = kind.trim_start_matches("response.");
        match kind {
            "content_part.added" | "reasoning_summary_part.added" => {
                if number != Some(self.parts.len() as u64) {
                    return Err("the part is not the next");
                }
                self.parts.push((String::new(), false));
                self.annotations = 0;
                return Ok(());
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                self.arguments.push_str(told);
                return Ok(());
            }
            "function_call_arguments.done" | "custom_tool_call_input.done" => {
                return equal(&self.arguments, told, how);
            }
            _ => {}
        }
        let is_of_part = kind.starts_with("output_text")
            || kind.starts_with("refusal")
            || kind.starts_with("reasoning")
            || kind.starts_with("content_part");
        if !is_of_part {
            return Ok(());
        }
        let number = number.and_then(|number| usize::try_from(number).ok());
        let Some((text, is_closed)) = number.and_then(|number| self.parts.get_mut(number)) else {
            return Err("the part was not announced");
        };
        if *is_closed {
            return Err("the part has ended");
        }
        match kind {
            "output_text.annotation.added" => {
                self.annotations += 1;
                let is_next = event["annotation_index"].as_u64() == Some(self.annotations - 1);
                return is_next.then_some(()).ok_or("the annotation is not the next");
            }
            "content_part.done" | "reasoning_summary_part.done" => {
                *is_closed = true;
                let part = &event["part"];
                let whole = part["text"]
                    .as_str()
                    .or(part["refusal"].as_str())
                    .unwrap_or_default();
                return equal(text, whole, how);
            }
            _ if kind.ends_with(".delta") => text.push_str(told),
            _ => return equal(text, told, how),
        }
        Ok(())
    }

    /// Holds a done item against what was told of it.
    fn compare(&self, told: &Value, how: Leniency) -> Result<(), &'static str> {
        if self.parts.iter().any(|(_, is_closed)| !is_closed) {
            return Err("a part has not ended");
        }
        let empty = Vec::new();
        let list = |name: &str| told[name].as_array().unwrap_or(&empty).clone();
        let parts = match self.kind.as_str() {
            "message" => list("content"),
            "reasoning" => [list("summary"), list("content")].concat(),
            _ => {
                let whole = told["arguments"].as_str().or(told["input"].as_str());
                let is_call = matches!(self.kind.as_str(), "function_call" | "custom_tool_call");
                return if is_call {
                    equal(&self.arguments, whole.unwrap_or_default(), how)
                } else {
                    Ok(())
                };
            }
        };
        if parts.len() != self.parts.len() {
            return Err("it has another number of parts");
        }
        for (part, (text, _)) in parts.iter().zip(&self.parts) {
            equal(
                text,
                part["text"]
                    .as_str()
                    .or(part["refusal"].as_str())
                    .unwrap_or_default(),
                how,
            )?;
        }
        Ok(())
    }
}

fn equal(told: &str, whole: &str, how: Leniency) -> Result<(), &'static str> {
    (how.fragments || told == whole)
        .then_some(())
        .ok_or("the whole is not what its fragments were")
}

/// What the document calls the schema of an event.
pub(crate) fn schema_of(kind: &str) -> &'static str {
    match kind {
        "error" => "ResponseErrorEvent",
        "response.created" => "ResponseCreatedEvent",
        "response.in_progress" => "ResponseInProgressEvent",
        "response.completed" => "ResponseCompletedEvent",
        "response.incomplete" => "ResponseIncompleteEvent",
        "response.failed" => "ResponseFailedEvent",
        "response.output_item.added" => "ResponseOutputItemAddedEvent",
        "response.output_item.done" => "ResponseOutputItemDoneEvent",
        "response.content_part.added" => "ResponseContentPartAddedEvent",
        "response.content_part.done" => "ResponseContentPartDoneEvent",
        "response.output_text.delta" => "ResponseTextDeltaEvent",
        "response.output_text.done" => "ResponseTextDoneEvent",
        "response.output_text.annotation.added" => "ResponseOutputTextAnnotationAddedEvent",
        "response.refusal.delta" => "ResponseRefusalDeltaEvent",
        "response.refusal.done" => "ResponseRefusalDoneEvent",
        "response.reasoning_summary_part.added" => "ResponseReasoningSummaryPartAddedEvent",
        "response.reasoning_summary_part.done" => "ResponseReasoningSummaryPartDoneEvent",
        "response.reasoning_summary_text.delta" => "ResponseReasoningSummaryTextDeltaEvent",
        "response.reasoning_summary_text.done" => "ResponseReasoningSummaryTextDoneEvent",
        "response.reasoning_text.delta" => "ResponseReasoningTextDeltaEvent",
        "response.reasoning_text.done" => "ResponseReasoningTextDoneEvent",
        "response.function_call_arguments.delta" => "ResponseFunctionCallArgumentsDeltaEvent",
        "response.function_call_arguments.done" => "ResponseFunctionCallArgumentsDoneEvent",
        "response.custom_tool_call_input.delta" => "ResponseCustomToolCallInputDeltaEvent",
        "response.custom_tool_call_input.done" => "ResponseCustomToolCallInputDoneEvent",
        other => panic!("no such event: {other}"),
    }
}
