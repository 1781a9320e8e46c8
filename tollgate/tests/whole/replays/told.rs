//! What a recorded answer tells a person who reads it, in no dialect's words: read from the recording's own JSON, not by
//! the code that is tested.

use serde_json::{Value, json};

use crate::faithful::case::Case;

#[derive(Default)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) thoughts: String,
    pub(super) calls: Vec<Call>,
    /// What seals thoughts, whichever they stand beside; as it is told at the end and before, where that differs.
    pub(super) seals: Vec<Vec<String>>,
    /// The vendor's own word for how it ended.
    pub(super) word: Value,
    /// What went wrong, where that is told instead, or after all of it.
    pub(super) failure: Option<String>,
}

#[derive(Default, Clone)]
pub(super) struct Call {
    /// Empty where the vendor gives none.
    pub(super) id: String,
    pub(super) name: String,
    /// As JSON in a text, as most have it.
    written: String,
}

impl Call {
    pub(super) fn arguments(&self) -> Value {
        match self.written.as_str() {
            "" => json!({}),
            written => serde_json::from_str(written).unwrap(),
        }
    }
}

impl Told {
    pub(super) fn by(folder: &str, case: &Case) -> Self {
        let mut told = Self::default();
        for said in &case.said() {
            told.fail(said);
            match folder {
                "openai-chat" => told.chat(said),
                "openai-responses" => told.response(said),
                "anthropic" => told.message(said),
                _ => told.content(said),
            }
        }
        told
    }

    /// Why it ended: `end`, `tool`, `cap` or `filter`.
    pub(super) fn end(&self) -> &'static str {
        match self.word.as_str().unwrap_or_default() {
            "length" | "max_tokens" | "incomplete" | "MAX_TOKENS" => "cap",
            "content_filter" | "refusal" | "SAFETY" => "filter",
            _ if !self.calls.is_empty() => "tool",
            _ => "end",
        }
    }

    fn fail(&mut self, said: &Value) {
        let errors = [&said["error"], &said["response"]["error"]];
        let message = errors.iter().find_map(|error| error["message"].as_str());
        if let Some(message) = message {
            self.failure = Some(message.to_owned());
        }
    }

    fn chat(&mut self, said: &Value) {
        let choice = &said["choices"][0];
        let message = choice.get("message").unwrap_or(&choice["delta"]);
        push(&mut self.text, &message["content"]);
        for part in each(&message["content"]) {
            push(&mut self.text, &part["text"]);
            each(&part["thinking"]).for_each(|thought| push(&mut self.thoughts, &thought["text"]));
        }
        let thought = ["reasoning", "reasoning_content"]
            .iter()
            .find_map(|name| message.get(name));
        push(&mut self.thoughts, thought.unwrap_or(&Value::Null));
        for call in each(&message["tool_calls"]) {
            let at = call["index"].as_u64().filter(|_| choice.get("delta").is_some());
            let at = at.map_or(self.calls.len(), |at| usize::try_from(at).unwrap());
            self.calls.resize(self.calls.len().max(at + 1), Call::default());
            push(&mut self.calls[at].id, &call["id"]);
            push(&mut self.calls[at].name, &call["function"]["name"]);
            push(&mut self.calls[at].written, &call["function"]["arguments"]);
            self.seal(&call["extra_content"]["google"]["thought_signature"]);
        }
        self.end_by(&choice["finish_reason"]);
    }

    /// A stream tells the whole once more at its end, and may seal it anew.
    fn response(&mut self, said: &Value) {
        if said["type"] == "response.output_item.done" {
            self.seal(&said["item"]["encrypted_content"]);
        }
        let response = said.get("response").unwrap_or(said);
        if each(&response["output"]).next().is_none() {
            return;
        }
        let before = std::mem::take(&mut self.seals);
        for item in each(&response["output"]) {
            for part in each(&item["content"]).chain(each(&item["summary"])) {
                let place = if item["type"] == "reasoning" {
                    &mut self.thoughts
                } else {
                    &mut self.text
                };
                push(place, &part["text"]);
            }
            self.seal(&item["encrypted_content"]);
            if item["type"] == "function_call" {
                self.call(&item["call_id"], &item["name"], &item["arguments"]);
            }
        }
        for (seal, before) in self.seals.iter_mut().zip(before) {
            seal.extend(before);
        }
        self.end_by(&response["status"]);
    }

    fn message(&mut self, said: &Value) {
        for block in each(&said["content"]).chain([&said["content_block"]]) {
            push(&mut self.text, &block["text"]);
            push(&mut self.thoughts, &block["thinking"]);
            self.seal(&block["signature"]);
            self.seal(&block["data"]);
            if block["type"] == "tool_use" {
                // In a stream, the arguments come afterwards.
                let is_whole = said["type"] == "message";
                let written = if is_whole {
                    block["input"].to_string()
                } else {
                    String::new()
                };
                self.call(&block["id"], &block["name"], &written.into());
            }
        }
        let delta = &said["delta"];
        push(&mut self.text, &delta["text"]);
        push(&mut self.thoughts, &delta["thinking"]);
        self.seal(&delta["signature"]);
        if let Some(call) = self.calls.last_mut() {
            push(&mut call.written, &delta["partial_json"]);
        }
        self.end_by(&said["stop_reason"]);
        self.end_by(&delta["stop_reason"]);
    }

    fn content(&mut self, said: &Value) {
        let candidate = &said["candidates"][0];
        for part in each(&candidate["content"]["parts"]) {
            let place = if part["thought"] == true {
                &mut self.thoughts
            } else {
                &mut self.text
            };
            push(place, &part["text"]);
            let call = &part["functionCall"];
            if call.is_object() {
                // Google wants those of calls back, and can do without those of texts.
                self.seal(&part["thoughtSignature"]);
                self.call(&call["id"], &call["name"], &call["args"].to_string().into());
            }
        }
        self.end_by(&candidate["finishReason"]);
    }

    fn call(&mut self, id: &Value, name: &Value, written: &Value) {
        let mut call = Call::default();
        push(&mut call.id, id);
        push(&mut call.name, name);
        push(&mut call.written, written);
        self.calls.push(call);
    }

    fn seal(&mut self, seal: &Value) {
        let seal = seal.as_str().filter(|seal| !seal.is_empty());
        self.seals.extend(seal.map(|seal| vec![seal.to_owned()]));
    }

    fn end_by(&mut self, word: &Value) {
        if !word.is_null() {
            self.word = word.clone();
        }
    }
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn push(place: &mut String, text: &Value) {
    place.push_str(text.as_str().unwrap_or_default());
}
