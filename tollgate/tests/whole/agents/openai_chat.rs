//! As a vendor of OpenAI's Chat Completions.

use serde_json::{Value, json};

use super::heard::{Call, Heard, Said, Voice, event, halves, list, string, text_of};
use crate::world::DONE;

pub(super) const VOICE: Voice = Voice {
    path: "/v1/chat/completions",
    hear,
    say,
    seals: false,
    usage: (100, 10),
};

fn hear(body: &Value, heard: &mut Heard) {
    heard.streamed = body["stream"] == true;
    for tool in list(&body["tools"]) {
        let function = &tool["function"];
        heard
            .tools
            .insert(string(&function["name"]), function["parameters"].clone());
    }
    let mut messages = list(&body["messages"]).iter().peekable();
    while let Some(message) = messages.next() {
        let calls = list(&message["tool_calls"]).iter().map(called).collect();
        let mut results = Vec::new();
        while let Some(message) = messages.next_if(|message| message["role"] == "tool") {
            results.push((string(&message["tool_call_id"]), text_of(&message["content"])));
        }
        heard.take(calls, results);
    }
}

fn called(call: &Value) -> Call {
    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
    Call {
        id: string(&call["id"]),
        name: string(&call["function"]["name"]),
        arguments: serde_json::from_str(arguments).unwrap_or_default(),
    }
}

fn say(said: &Said) -> Vec<Vec<u8>> {
    let mut pieces = vec![delta(&json!({"role": "assistant", "content": ""}))];
    for piece in halves(said.text) {
        pieces.push(delta(&json!({"content": piece})));
    }
    for (index, call) in said.calls.iter().enumerate() {
        let function = json!({"name": call.name, "arguments": ""});
        let call_begins = json!({"index": index, "id": call.id, "type": "function", "function": function});
        pieces.push(delta(&json!({"tool_calls": [call_begins]})));
        for piece in halves(&call.arguments.to_string()) {
            let more = json!({"index": index, "function": {"arguments": piece}});
            pieces.push(delta(&json!({"tool_calls": [more]})));
        }
    }
    let reason = if said.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    pieces.push(chunk(
        &json!([{"index": 0, "delta": {}, "finish_reason": reason}]),
        &Value::Null,
    ));
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    pieces.push(chunk(&json!([]), &usage));
    pieces.push(DONE.to_vec());
    pieces
}

fn delta(delta: &Value) -> Vec<u8> {
    chunk(
        &json!([{"index": 0, "delta": delta, "finish_reason": null}]),
        &Value::Null,
    )
}

fn chunk(choices: &Value, usage: &Value) -> Vec<u8> {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": choices, "usage": usage,
    });
    event("", &chunk)
}
