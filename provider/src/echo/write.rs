//! Writing echo's answers, whole and as a stream, as OpenAI writes them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{MODEL, Reply, Said};

/// What stands at the head of each answer and each chunk.
pub(super) struct Heading<'a> {
    pub id: &'a str,
    pub now_s: i64,
}

impl Heading<'_> {
    fn object(&self, kind: &str, choices: Value, usage: Value) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.id),
            "object": kind,
            "created": self.now_s,
            "model": MODEL,
            "choices": choices,
            "usage": usage,
        })
    }

    fn chunk(&self, choices: Value, usage: Value) -> Bytes {
        Bytes::from(format!(
            "data: {}\n\n",
            self.object("chat.completion.chunk", choices, usage)
        ))
    }

    fn delta(&self, delta: Value, finish_reason: Option<&str>) -> Bytes {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]);
        self.chunk(choices, Value::Null)
    }
}

pub(super) fn whole(heading: &Heading<'_>, reply: &Reply) -> Bytes {
    let message = match &reply.said {
        Said::Text { words, .. } => json!({ "role": "assistant", "content": words.concat() }),
        Said::ToolCall { name, arguments } => {
            json!({ "role": "assistant", "content": null, "tool_calls": [tool_call(heading, name, arguments)] })
        }
    };
    let choices = json!([{ "index": 0, "message": message, "finish_reason": finish_reason(&reply.said) }]);
    Bytes::from(
        heading
            .object("chat.completion", choices, usage(reply))
            .to_string(),
    )
}

/// One piece for each event.
pub(super) fn stream(heading: &Heading<'_>, reply: &Reply, include_usage: bool) -> Vec<Bytes> {
    let mut events = vec![heading.delta(json!({ "role": "assistant", "content": "" }), None)];
    match &reply.said {
        Said::Text { words, .. } => {
            events.extend(
                words
                    .iter()
                    .map(|word| heading.delta(json!({ "content": word }), None)),
            );
        }
        Said::ToolCall { name, arguments } => {
            let begun = json!({
                "index": 0,
                "id": call_id(heading),
                "type": "function",
                "function": { "name": name, "arguments": "" },
            });
            events.push(heading.delta(json!({ "tool_calls": [begun] }), None));
            let pieces = arguments.split_inclusive([',', ':']);
            events.extend(pieces.map(|piece| {
                let call = json!({ "index": 0, "function": { "arguments": piece } });
                heading.delta(json!({ "tool_calls": [call] }), None)
            }));
        }
    }
    events.push(heading.delta(json!({}), Some(finish_reason(&reply.said))));
    if include_usage {
        events.push(heading.chunk(json!([]), usage(reply)));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn tool_call(heading: &Heading<'_>, name: &str, arguments: &str) -> Value {
    json!({
        "id": call_id(heading),
        "type": "function",
        "function": { "name": name, "arguments": arguments },
    })
}

fn call_id(heading: &Heading<'_>) -> String {
    format!("call_{}", heading.id)
}

fn finish_reason(said: &Said) -> &'static str {
    match said {
        Said::Text { cut: true, .. } => "length",
        Said::Text { cut: false, .. } => "stop",
        Said::ToolCall { .. } => "tool_calls",
    }
}

fn usage(reply: &Reply) -> Value {
    json!({
        "prompt_tokens": reply.input_words,
        "completion_tokens": reply.output_words,
        "total_tokens": reply.input_words.saturating_add(reply.output_words),
    })
}
