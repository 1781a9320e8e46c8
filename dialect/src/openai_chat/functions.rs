//! Answers for clients of before there were tools: who asks with `functions` looks for `function_call` in the answer, and
//! knows nothing of `tool_calls`. There is one call to an answer there, and it has no id.
//!
//! Such clients are few, so that what was written for all others is rewritten for them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{Members, ObjectWriter, write_array};
use crate::sse::{self, Events, StreamLimits};

/// A whole answer as these clients know it.
pub(crate) fn turn_back(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    rewritten(text).unwrap_or_else(|| body.to_vec())
}

/// Whole events of a stream as they know them.
pub(crate) fn turn_back_events(written: &[u8]) -> Vec<u8> {
    let mut events = Events::new(StreamLimits::default());
    let mut out = Vec::with_capacity(written.len());
    if events.push(written).is_err() {
        return written.to_vec();
    }
    while let Some(event) = events.next_event() {
        let data = sse::data(event);
        let chunk = std::str::from_utf8(&data).ok().and_then(rewritten);
        match chunk {
            Some(chunk) => sse::write_event(None, &chunk, &mut out),
            None => out.extend_from_slice(event),
        }
    }
    out
}

/// `None` where there is nothing to rewrite.
fn rewritten(json: &str) -> Option<Vec<u8>> {
    if !json.contains("\"tool_calls\"") {
        return None;
    }
    let members = Members::read(json)?;
    let mut out = Vec::with_capacity(json.len());
    let mut object = ObjectWriter::new(&mut out);
    for (name, value) in members.rest() {
        let choices: Option<Vec<&RawValue>> = (name == "choices")
            .then(|| serde_json::from_str(value.get()).ok())
            .flatten();
        match choices {
            Some(choices) => write_array(choices, object.begin("choices"), |choice, out| {
                write_choice(choice.get(), out);
            }),
            None => {
                object.json(&name, value.get());
            }
        }
    }
    object.end();
    Some(out)
}

fn write_choice(json: &str, out: &mut Vec<u8>) {
    let Some(members) = Members::read(json) else {
        return out.extend_from_slice(json.as_bytes());
    };
    let mut object = ObjectWriter::new(out);
    for (name, value) in members.rest() {
        match (name.as_ref(), value.get()) {
            ("finish_reason", "\"tool_calls\"") => {
                object.member("finish_reason", "function_call");
            }
            ("message" | "delta", message) => write_message(message, object.begin(&name)),
            (_, value) => {
                object.json(&name, value);
            }
        }
    }
    object.end();
}

fn write_message(json: &str, out: &mut Vec<u8>) {
    let Some(mut members) = Members::read(json) else {
        return out.extend_from_slice(json.as_bytes());
    };
    let calls = members.take("tool_calls");
    let mut object = ObjectWriter::new(out);
    for (name, value) in members.rest() {
        object.json(&name, value.get());
    }
    if let Some(function) = calls.and_then(|calls| first_function(calls.get())) {
        object.json("function_call", &function);
    }
    object.end();
}

/// What is called by the first call, or the next piece of it.
fn first_function(calls: &str) -> Option<Cow<'_, str>> {
    let calls: Vec<Members<'_>> = serde_json::from_str(calls).ok()?;
    let mut first = calls.into_iter().next()?;
    let is_first = first.take("index").is_none_or(|index| index.get() == "0");
    let function = first.take("function").filter(|_| is_first)?;
    Some(Cow::Borrowed(function.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_is_told_in_the_old_words_and_all_else_stays() {
        let whole = r#"{"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\": 1.0}"}},{"id":"d","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":null}"#;
        let told = String::from_utf8(turn_back(whole.as_bytes())).unwrap();
        assert_eq!(
            told,
            r#"{"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"x\": 1.0}"}},"finish_reason":"function_call"}],"usage":null}"#
        );
        for untouched in [
            r#"{"choices":[{"message":{"content":"x"}}]}"#,
            "no JSON \"tool_calls\"",
        ] {
            assert_eq!(turn_back(untouched.as_bytes()), untouched.as_bytes());
        }
    }

    #[test]
    fn a_stream_tells_the_pieces_of_the_first_call_alone() {
        let chunk = |delta: &str, finish: &str| {
            format!("data: {{\"choices\":[{{\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n")
        };
        let stream = [
            chunk(
                r#"{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}"#,
                "null",
            ),
            chunk(
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
                "null",
            ),
            chunk(
                r#"{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"{}"}}]}"#,
                "null",
            ),
            chunk("{}", "\"tool_calls\""),
            "data: [DONE]\n\n".to_owned(),
        ];
        let told = String::from_utf8(turn_back_events(stream.concat().as_bytes())).unwrap();
        let expected = [
            chunk(r#"{"function_call":{"name":"f","arguments":""}}"#, "null"),
            chunk(r#"{"function_call":{"arguments":"{}"}}"#, "null"),
            chunk("{}", "null"),
            chunk("{}", "\"function_call\""),
            "data: [DONE]\n\n".to_owned(),
        ];
        assert_eq!(told, expected.concat());
    }
}
