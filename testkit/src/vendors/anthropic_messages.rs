//! Anthropic's Messages.

use serde_json::{Value, json};

use super::heard::{Heard, each, text};
use super::said::{CACHED, INPUT, OUTPUT, Said, THOUGHT, pieces};
use super::{Voice, spec};
use crate::vendor::Seen;

pub(super) const VOICE: Voice = Voice {
    name: "anthropic_messages",
    seal: Some(SEAL),
    headers: &["x-api-key", "anthropic-version"],
    hear,
    by_document,
    whole,
    stream,
    error,
};

const SEAL: &str = "EqQBCgIYAhIMYW50aHJvcGljIHRob3VnaHQ=";

/// Members that are newer than the document.
const NEWER: [&str; 2] = ["/thinking", "/output_config"];

fn by_document(body: &Value) -> Vec<String> {
    let mut problems = spec::problems("anthropic-openapi.trimmed.json", "BetaCreateMessageParams", body);
    problems.retain(|problem| !NEWER.iter().any(|member| problem.starts_with(member)));
    problems
}

fn hear(_: &Seen, body: &Value, heard: &mut Heard) {
    text(&body["model"]).clone_into(&mut heard.model);
    heard.stream = body["stream"] == true;
    heard.tools = each(&body["tools"])
        .map(|tool| text(&tool["name"]).to_owned())
        .collect();
    heard.schema = body["output_config"]["format"].get("schema").cloned();
    heard.thinks = matches!(text(&body["thinking"]["type"]), "adaptive" | "enabled");
    heard.shows_thoughts = body["thinking"]["display"] != "omitted";
    if body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0) {
        heard.wrong("there is no max_tokens");
    }
    if heard.thinks
        && body["temperature"]
            .as_f64()
            .is_some_and(|temperature| temperature < 1.0)
    {
        heard.wrong("it thinks at a temperature");
    }
    let system = content(&body["system"], heard);
    if !system.is_empty() {
        heard.spoke("system", &system);
    }
    let mut before = "assistant";
    for message in each(&body["messages"]) {
        let role = text(&message["role"]);
        if role == before {
            heard.wrong(&format!("{role} follows {role}"));
        }
        before = role;
        turn(role, &message["content"], heard);
    }
}

fn turn(role: &str, blocks: &Value, heard: &mut Heard) {
    let mut has_more = false;
    for block in each(blocks) {
        match text(&block["type"]) {
            "thinking" if role == "assistant" => {
                if has_more {
                    heard.wrong("a thought does not come first");
                }
                heard.sealed(&block["signature"]);
                // OpenAI's Node SDK keeps the last piece alone of what it does not know in a stream.
                let is_whole = block["thinking"] == THOUGHT;
                if !is_whole && !THOUGHT.ends_with(text(&block["thinking"])) {
                    heard.wrong("a thought has changed under its seal");
                }
            }
            "tool_use" if role == "assistant" => {
                heard.called(text(&block["id"]), text(&block["name"]), &block["input"]);
                has_more = true;
            }
            "tool_result" if role == "user" => {
                if has_more {
                    heard.wrong("a result does not come first");
                }
                let given = content(&block["content"], heard);
                heard.returned(text(&block["tool_use_id"]), &given);
            }
            _ => has_more = true,
        }
    }
    let said = content(blocks, heard);
    if !said.is_empty() || blocks.as_array().is_none_or(Vec::is_empty) {
        heard.spoke(role, &said);
    }
}

fn content(content: &Value, heard: &mut Heard) -> String {
    let mut said = text(content).to_owned();
    for block in each(content) {
        match text(&block["type"]) {
            "text" => said.push_str(text(&block["text"])),
            "image" => {
                let source = &block["source"];
                said.push_str(&heard.picture(&source["media_type"], &source["data"]));
            }
            "thinking" | "tool_use" | "tool_result" => {}
            other => heard.wrong(&format!("{other} is no block")),
        }
    }
    said
}

fn blocks(said: &Said) -> Vec<Value> {
    let mut blocks = Vec::new();
    if said.thinks {
        let thought = if said.shows_thoughts { THOUGHT } else { "" };
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": SEAL}));
    }
    if !said.text.is_empty() {
        blocks.push(json!({"type": "text", "text": said.text, "citations": null}));
    }
    blocks.extend(said.calls.iter().map(|call| {
        json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments, "caller": {"type": "direct"}})
    }));
    blocks
}

fn stop_reason(said: &Said) -> &'static str {
    if said.calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    }
}

/// What came from the cache is told beside the rest of the input here.
fn usage(said: &Said, output: u64) -> Value {
    json!({
        "input_tokens": INPUT - CACHED, "cache_creation_input_tokens": 0, "cache_read_input_tokens": CACHED,
        "output_tokens": output, "output_tokens_details": {"thinking_tokens": said.reasoning()},
        "service_tier": "standard",
    })
}

fn message(said: &Said, content: Vec<Value>, stop_reason: Option<&str>, output: u64) -> Value {
    json!({
        "id": "msg_vendor", "type": "message", "role": "assistant", "model": said.model, "content": content,
        "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(said, output),
    })
}

fn whole(said: &Said) -> Value {
    message(said, blocks(said), Some(stop_reason(said)), OUTPUT)
}

fn stream(said: &Said) -> Vec<String> {
    let mut events = Vec::new();
    let mut push = |kind: &str, mut event: Value| {
        event["type"] = kind.into();
        // The real one pads its lines, too.
        events.push(format!("event: {kind}\ndata: {event}   \n\n"));
    };
    push(
        "message_start",
        json!({"message": message(said, Vec::new(), None, 1)}),
    );
    push("ping", json!({}));
    for (index, block) in blocks(said).iter().enumerate() {
        let mut begun = block.clone();
        for (member, nothing) in [
            ("text", json!("")),
            ("thinking", json!("")),
            ("signature", json!("")),
            ("input", json!({})),
        ] {
            if begun.get(member).is_some() {
                begun[member] = nothing;
            }
        }
        push(
            "content_block_start",
            json!({"index": index, "content_block": begun}),
        );
        let mut deltas: Vec<Value> = Vec::new();
        let mut add = |kind: &str, member: &str, text: &str| {
            deltas.extend(
                pieces(text)
                    .iter()
                    .map(|piece| json!({"type": kind, member: piece})),
            );
        };
        match text(&block["type"]) {
            "text" => add("text_delta", "text", text(&block["text"])),
            "thinking" => {
                add("thinking_delta", "thinking", text(&block["thinking"]));
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            _ => {
                add("input_json_delta", "partial_json", &block["input"].to_string());
                deltas.insert(0, json!({"type": "input_json_delta", "partial_json": ""}));
            }
        }
        for delta in deltas {
            push("content_block_delta", json!({"index": index, "delta": delta}));
        }
        push("content_block_stop", json!({"index": index}));
    }
    let end = json!({"stop_reason": stop_reason(said), "stop_sequence": null});
    push(
        "message_delta",
        json!({"delta": end, "usage": usage(said, OUTPUT)}),
    );
    push("message_stop", json!({}));
    events
}

fn error(status: u16) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": format!("scripted {status}")}, "request_id": "req_vendor"})
}

pub(super) fn models() -> Value {
    let model =
        json!({"type": "model", "id": "m-1", "display_name": "M 1", "created_at": "2026-01-01T00:00:00Z"});
    json!({"data": [model], "has_more": false, "first_id": "m-1", "last_id": "m-1"})
}
