//! OpenAI's Chat Completions.

use serde_json::{Value, json};

use super::heard::{Heard, data_url, each, parsed, text};
use super::said::{CACHED, Call, INPUT, OUTPUT, Said, THOUGHT, pieces};
use super::{Voice, spec};
use crate::vendor::Seen;

pub(super) const VOICE: Voice = Voice {
    name: "openai_chat",
    seal: None,
    headers: &["authorization"],
    hear,
    by_document: |body| spec::problems("openai-openapi.trimmed.json", "CreateChatCompletionRequest", body),
    whole,
    stream,
    error,
};

/// OpenAI itself keeps thoughts to itself. Others show them, and seal them not.
const SHOWS_THOUGHTS: &str = "gpt-oss";

fn hear(_: &Seen, body: &Value, heard: &mut Heard) {
    text(&body["model"]).clone_into(&mut heard.model);
    heard.stream = body["stream"] == true;
    heard.shows_thoughts = heard.model.contains(SHOWS_THOUGHTS);
    heard.usage = body["stream_options"]["include_usage"] == true;
    heard.tools = each(&body["tools"])
        .map(|tool| text(&tool["function"]["name"]).to_owned())
        .collect();
    heard.schema = body["response_format"]["json_schema"].get("schema").cloned();
    heard.thinks = body["reasoning_effort"]
        .as_str()
        .is_some_and(|effort| effort != "none");
    if !heard.stream
        && body
            .get("stream_options")
            .is_some_and(|options| !options.is_null())
    {
        heard.wrong("there are stream_options without a stream");
    }
    for message in each(&body["messages"]) {
        if message["role"] == "assistant" {
            assistant(message, heard);
            continue;
        }
        let said = content(parts(message), heard);
        match text(&message["role"]) {
            "system" | "developer" => heard.spoke("system", &said),
            "user" => heard.spoke("user", &said),
            "tool" => heard.returned(text(&message["tool_call_id"]), &said),
            other => heard.wrong(&format!("{other} is no role")),
        }
    }
}

fn assistant(message: &Value, heard: &mut Heard) {
    let said = content(parts(message), heard);
    if !said.is_empty() || message.get("tool_calls").is_none() {
        heard.spoke("assistant", &said);
    }
    for call in each(&message["tool_calls"]) {
        let function = &call["function"];
        heard.called(
            text(&call["id"]),
            text(&function["name"]),
            &parsed(&function["arguments"]),
        );
    }
}

/// The content as parts.
fn parts(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        parts => each(parts).cloned().collect(),
    }
}

fn content(parts: Vec<Value>, heard: &mut Heard) -> String {
    let mut said = String::new();
    for part in parts {
        match text(&part["type"]) {
            "text" => said.push_str(text(&part["text"])),
            "image_url" => {
                let (media_type, base64) = data_url(&part["image_url"]["url"]);
                said.push_str(&heard.picture(&media_type, &base64));
            }
            other => heard.wrong(&format!("{other} is no part")),
        }
    }
    said
}

fn usage(said: &Said) -> Value {
    json!({
        "prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning(), "audio_tokens": 0},
    })
}

fn finish_reason(said: &Said) -> &'static str {
    if said.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    }
}

fn whole(said: &Said) -> Value {
    let mut message = json!({"role": "assistant", "content": said.text, "refusal": null, "annotations": []});
    if said.thinks && said.shows_thoughts {
        message["reasoning"] = THOUGHT.into();
    }
    if !said.calls.is_empty() {
        message["content"] = Value::Null;
        message["tool_calls"] = said.calls.iter().map(call).collect();
    }
    json!({
        "id": "chatcmpl-vendor", "object": "chat.completion", "created": 1_700_000_000, "model": said.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(said)}],
        "usage": usage(said),
    })
}

fn call(call: &Call) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
    json!({"id": call.id, "type": "function", "function": function})
}

fn stream(said: &Said) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-vendor", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": said.model, "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish_reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        chunk(json!([choice]), Value::Null)
    };
    let mut events = vec![delta(
        json!({"role": "assistant", "content": "", "refusal": null}),
        None,
    )];
    if said.thinks && said.shows_thoughts {
        events.extend(
            pieces(THOUGHT)
                .iter()
                .map(|piece| delta(json!({"reasoning": piece}), None)),
        );
    }
    events.extend(
        pieces(&said.text)
            .iter()
            .map(|piece| delta(json!({"content": piece}), None)),
    );
    for (index, call) in said.calls.iter().enumerate() {
        let mut begun = self::call(call);
        begun["index"] = index.into();
        begun["function"]["arguments"] = "".into();
        events.push(delta(json!({"tool_calls": [begun]}), None));
        for piece in pieces(&call.arguments.to_string()) {
            let more = json!({"index": index, "function": {"arguments": piece}});
            events.push(delta(json!({"tool_calls": [more]}), None));
        }
    }
    events.push(delta(json!({}), Some(finish_reason(said))));
    if said.usage {
        events.push(chunk(json!([]), usage(said)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// As both of OpenAI's dialects have it.
pub(super) fn error(status: u16) -> Value {
    let (kind, code) = match status {
        400 => ("invalid_request_error", "invalid_value"),
        401 => ("invalid_request_error", "invalid_api_key"),
        404 => ("invalid_request_error", "model_not_found"),
        429 => ("requests", "rate_limit_exceeded"),
        _ => ("server_error", "server_error"),
    };
    json!({"error": {"message": format!("scripted {status}"), "type": kind, "param": null, "code": code}})
}

pub(super) fn models() -> Value {
    let models = ["m-1", SHOWS_THOUGHTS];
    let models = models.map(|id| json!({"id": id, "object": "model", "created": 1, "owned_by": "vendor"}));
    json!({"object": "list", "data": models})
}
