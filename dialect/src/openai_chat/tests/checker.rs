//! A strict reading of what a stream of Chat Completions is: what it finds against one is a list, so that recordings of
//! vendors who break a rule can be held to all others.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sse::{Events, StreamLimits, data};

/// A rule that a stream broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    /// An event that is no JSON object.
    NoChunk,
    /// Another id, model, time or kind than the first chunk's.
    HeadChanges,
    /// No role in the first chunk.
    NoRole,
    /// A role in a later one.
    RoleAgain,
    /// More than one choice in a chunk, or one without a number.
    OtherChoice,
    /// A call whose number is not the next.
    CallNumber,
    /// A first fragment without id, type or name.
    CallHead,
    /// A later fragment with an id or a name.
    CallHeadAgain,
    /// Arguments that are no JSON when the answer has not been cut.
    Arguments,
    /// A choice after the reason to finish.
    AfterFinish,
    NoFinish,
    /// A chunk without choices that tells no usage, or more than one that does.
    EmptyChunk,
    /// Something after `[DONE]`, or after an error.
    AfterEnd,
    NoEnd,
}

#[derive(Default)]
struct Checker {
    found: Vec<Breach>,
    head: Option<[Value; 4]>,
    /// By their numbers.
    choices: BTreeMap<u64, Choice>,
    usage_told: bool,
    ended: bool,
    failed: bool,
}

#[derive(Default)]
struct Choice {
    found: Vec<Breach>,
    chunks: usize,
    /// By their numbers.
    calls: Vec<(usize, String)>,
    finished: bool,
    /// The answer was as long as it may be, and may end anywhere.
    is_cut: bool,
}

/// What a stream breaks, each rule once, in order.
pub(crate) fn check(stream: &[u8]) -> Vec<Breach> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut checker = Checker::default();
    while let Some(event) = events.next_event() {
        checker.event(&data(event));
    }
    // Some leave out the last blank line.
    checker.event(&data(events.rest()));
    checker.finish();
    checker.found.sort_unstable();
    checker.found.dedup();
    checker.found
}

impl Checker {
    fn expect(&mut self, holds: bool, breach: Breach) {
        if !holds {
            self.found.push(breach);
        }
    }

    fn event(&mut self, data: &[u8]) {
        if data.trim_ascii().is_empty() {
            return;
        }
        self.expect(!self.ended, Breach::AfterEnd);
        if data == b"[DONE]" {
            self.ended = true;
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Value>(data) else {
            self.found.push(Breach::NoChunk);
            return;
        };
        if !chunk["error"].is_null() {
            (self.failed, self.ended) = (true, true);
            return;
        }
        let head = ["id", "object", "created", "model"].map(|name| chunk[name].clone());
        let is_same =
            self.head.get_or_insert_with(|| head.clone()) == &head && head[1] == "chat.completion.chunk";
        self.expect(is_same, Breach::HeadChanges);
        match chunk["choices"].as_array().map(Vec::as_slice) {
            Some([]) => {
                self.expect(chunk["usage"].is_object() && !self.usage_told, Breach::EmptyChunk);
                self.usage_told = true;
            }
            Some([choice]) if choice["index"].is_u64() => {
                let number = choice["index"].as_u64().unwrap();
                self.choices.entry(number).or_default().choice(choice);
            }
            _ => self.found.push(Breach::OtherChoice),
        }
    }

    fn finish(&mut self) {
        self.expect(self.ended, Breach::NoEnd);
        self.expect(self.failed || !self.choices.is_empty(), Breach::NoFinish);
        for (_, mut choice) in std::mem::take(&mut self.choices) {
            if !self.failed {
                choice.finish();
            }
            self.found.append(&mut choice.found);
        }
    }
}

impl Choice {
    fn expect(&mut self, holds: bool, breach: Breach) {
        if !holds {
            self.found.push(breach);
        }
    }

    fn choice(&mut self, choice: &Value) {
        self.expect(!self.finished, Breach::AfterFinish);
        let has_role = !choice["delta"]["role"].is_null();
        self.expect(has_role || self.chunks > 0, Breach::NoRole);
        self.expect(!has_role || self.chunks == 0, Breach::RoleAgain);
        self.chunks += 1;
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            self.call(call);
        }
        self.finished |= !choice["finish_reason"].is_null();
        self.is_cut |= choice["finish_reason"] == "length";
    }

    fn call(&mut self, call: &Value) {
        let number = call["index"]
            .as_u64()
            .map_or(usize::MAX, |number| number as usize);
        let kind = if call["custom"].is_object() {
            "custom"
        } else {
            "function"
        };
        let has = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let known = self.calls.iter().position(|(known, _)| *known == number);
        match known {
            Some(_) => {
                let is_new = has(&call["id"]) || has(&call[kind]["name"]);
                self.expect(!is_new, Breach::CallHeadAgain);
            }
            None => {
                self.expect(number == self.calls.len(), Breach::CallNumber);
                let is_whole = has(&call["id"]) && call["type"] == kind && has(&call[kind]["name"]);
                self.expect(is_whole, Breach::CallHead);
                self.calls.push((number, String::new()));
            }
        }
        let at = known.unwrap_or(self.calls.len() - 1);
        let arguments = &mut self.calls[at].1;
        match kind {
            "custom" => *arguments = "{}".to_owned(),
            _ => arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default()),
        }
    }

    fn finish(&mut self) {
        self.expect(self.finished, Breach::NoFinish);
        let are_json = self
            .calls
            .iter()
            .all(|(_, call)| serde_json::from_str::<Value>(call).is_ok());
        self.expect(are_json || self.is_cut, Breach::Arguments);
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let chunk = |choices: &str| {
        format!(
            "data: {{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{choices}]}}\n\n"
        )
    };
    let first = chunk(r#"{"index":0,"delta":{"role":"assistant"},"finish_reason":null}"#);
    let last = chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#);
    let other = |delta: &str, finish: &str| {
        chunk(&format!(
            r#"{{"index":1,"delta":{delta},"finish_reason":{finish}}}"#
        ))
    };
    let done = "data: [DONE]\n\n";
    assert_eq!(check(format!("{first}{last}{done}").as_bytes()), []);
    for (stream, expected) in [
        (format!("{first}{first}{last}{done}"), vec![Breach::RoleAgain]),
        (format!("{first}{last}{last}{done}"), vec![Breach::AfterFinish]),
        (format!("{first}{done}"), vec![Breach::NoFinish]),
        (format!("{first}{last}"), vec![Breach::NoEnd]),
        (format!("{first}{last}{done}{done}"), vec![Breach::AfterEnd]),
        (format!("{last}{done}"), vec![Breach::NoRole]),
        (done.to_owned(), vec![Breach::NoFinish]),
        (
            format!(
                "{first}{}{last}{done}",
                other("{\"role\":\"assistant\"}", "\"stop\"")
            ),
            vec![],
        ),
        (
            format!("{first}{last}{}{done}", other("{\"role\":\"assistant\"}", "null")),
            vec![Breach::NoFinish],
        ),
        (
            format!("{first}{last}{}{done}", other("{}", "\"stop\"")),
            vec![Breach::NoRole],
        ),
        (
            format!("{first}{}{last}{done}", chunk("")),
            vec![Breach::EmptyChunk],
        ),
        (format!("{first}data: {{\"error\":{{}}}}\n\n"), vec![]),
        (
            format!("{first}data: {{\"error\":{{}}}}\n\n{done}"),
            vec![Breach::AfterEnd],
        ),
    ] {
        assert_eq!(check(stream.as_bytes()), expected, "{stream}");
    }
}
