//! OpenAI's Responses.

use serde_json::{Value, json};

use super::heard::{Heard, data_url, each, parsed, text};
use super::said::{CACHED, INPUT, OUTPUT, Said, THOUGHT, pieces};
use super::{Voice, openai_chat, spec};
use crate::vendor::Seen;

pub(super) const VOICE: Voice = Voice {
    name: "openai_responses",
    seal: Some(SEAL),
    headers: &["authorization"],
    hear,
    by_document,
    whole,
    stream,
    error: openai_chat::error,
};

const SEAL: &str = "Z0FBQUFBQm8gb3BlbmFpIHJlYXNvbmluZw==";
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// The document wants ids of thoughts; where nothing is stored, OpenAI takes those without one, too.
fn by_document(body: &Value) -> Vec<String> {
    let mut body = body.clone();
    let items = body["input"].as_array_mut().into_iter().flatten();
    for item in items.filter(|item| item["type"] == "reasoning" && item.get("id").is_none()) {
        item["id"] = "rs_0".into();
    }
    spec::problems("openai-openapi.trimmed.json", "CreateResponse", &body)
}

fn hear(_: &Seen, body: &Value, heard: &mut Heard) {
    text(&body["model"]).clone_into(&mut heard.model);
    heard.stream = body["stream"] == true;
    heard.tools = each(&body["tools"])
        .map(|tool| text(&tool["name"]).to_owned())
        .collect();
    heard.schema = body["text"]["format"].get("schema").cloned();
    heard.thinks = body["reasoning"].is_object();
    heard.shows_thoughts = body["reasoning"]["summary"].is_string();
    if heard.thinks && !each(&body["include"]).any(|wanted| wanted == ENCRYPTED) {
        heard.wrong("thoughts would be lost");
    }
    if let Some(instructions) = body["instructions"].as_str() {
        heard.spoke("system", instructions);
    }
    if let Some(prompt) = body["input"].as_str() {
        heard.spoke("user", prompt);
    }
    for item in each(&body["input"]) {
        match item["type"].as_str() {
            Some("message") | None => message(item, heard),
            Some("function_call") => {
                heard.called(
                    text(&item["call_id"]),
                    text(&item["name"]),
                    &parsed(&item["arguments"]),
                );
            }
            Some("function_call_output") => {
                let given = content(&item["output"], heard);
                heard.returned(text(&item["call_id"]), &given);
            }
            Some("reasoning") => heard.sealed(&item["encrypted_content"]),
            Some(other) => heard.wrong(&format!("{other} is no item")),
        }
    }
}

fn message(item: &Value, heard: &mut Heard) {
    let said = content(&item["content"], heard);
    match text(&item["role"]) {
        "system" | "developer" => heard.spoke("system", &said),
        role @ ("user" | "assistant") => heard.spoke(role, &said),
        other => heard.wrong(&format!("{other} is no role")),
    }
}

fn content(content: &Value, heard: &mut Heard) -> String {
    let mut said = text(content).to_owned();
    for part in each(content) {
        match text(&part["type"]) {
            "input_text" | "output_text" => said.push_str(text(&part["text"])),
            "input_image" => {
                let (media_type, base64) = data_url(&part["image_url"]);
                said.push_str(&heard.picture(&media_type, &base64));
            }
            other => heard.wrong(&format!("{other} is no part")),
        }
    }
    said
}

fn whole(said: &Said) -> Value {
    response(said, "completed", items(said))
}

fn response(said: &Said, status: &str, output: Vec<Value>) -> Value {
    let mut response = json!({
        "id": "resp_vendor", "object": "response", "created_at": 1_700_000_000, "status": status, "model": said.model,
        "output": output, "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
        "store": false, "usage": null,
    });
    if status == "completed" {
        response["usage"] = json!({
            "input_tokens": INPUT, "input_tokens_details": {"cached_tokens": CACHED},
            "output_tokens": OUTPUT, "output_tokens_details": {"reasoning_tokens": said.reasoning()},
            "total_tokens": INPUT + OUTPUT,
        });
    }
    response
}

fn items(said: &Said) -> Vec<Value> {
    let mut items = Vec::new();
    if said.thinks {
        let shown = said
            .shows_thoughts
            .then(|| json!({"type": "summary_text", "text": THOUGHT}));
        let summary: Vec<Value> = shown.into_iter().collect();
        items.push(json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": SEAL}));
    }
    if !said.text.is_empty() {
        let part = json!({"type": "output_text", "text": said.text, "annotations": [], "logprobs": []});
        items.push(json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}));
    }
    for call in &said.calls {
        items.push(json!({
            "type": "function_call", "id": format!("fc_{}", call.id), "status": "completed", "call_id": call.id,
            "name": call.name, "arguments": call.arguments.to_string(),
        }));
    }
    items
}

/// Writes events with their numbers.
struct Events(Vec<String>);

impl Events {
    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.0.len().into();
        self.0.push(format!("event: {kind}\ndata: {event}\n\n"));
    }

    /// A text in pieces, from its first to its last event. `name` is `output_text`, say, and `at` says where it stands.
    fn text(&mut self, name: &str, at: &Value, member: &str, text: &str) {
        let with = |member: &str, value: &str| {
            let mut event = at.clone();
            event[member] = value.into();
            event
        };
        for piece in pieces(text) {
            self.push(&format!("response.{name}.delta"), with("delta", &piece));
        }
        self.push(&format!("response.{name}.done"), with(member, text));
    }
}

fn stream(said: &Said) -> Vec<String> {
    let mut events = Events(Vec::new());
    for kind in ["response.created", "response.in_progress"] {
        events.push(
            kind,
            json!({"response": response(said, "in_progress", Vec::new())}),
        );
    }
    for (index, item) in items(said).iter().enumerate() {
        let mut begun = item.clone();
        begun["status"] = "in_progress".into();
        for (member, nothing) in [
            ("content", json!([])),
            ("summary", json!([])),
            ("arguments", json!("")),
        ] {
            if begun.get(member).is_some() {
                begun[member] = nothing;
            }
        }
        // The seal comes at the end.
        if let Some(members) = begun.as_object_mut() {
            members.remove("encrypted_content");
        }
        events.push(
            "response.output_item.added",
            json!({"output_index": index, "item": begun}),
        );
        inside(item, index, &mut events);
        events.push(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
        );
    }
    events.push("response.completed", json!({"response": whole(said)}));
    events.0
}

fn inside(item: &Value, index: usize, events: &mut Events) {
    let at = json!({"item_id": item["id"], "output_index": index});
    let in_part = |member: &str| {
        let mut at = at.clone();
        at[member] = 0.into();
        at
    };
    let with_part = |mut at: Value, part: Value| {
        at["part"] = part;
        at
    };
    for part in each(&item["summary"]) {
        let at = in_part("summary_index");
        let nothing = json!({"type": "summary_text", "text": ""});
        events.push(
            "response.reasoning_summary_part.added",
            with_part(at.clone(), nothing),
        );
        events.text("reasoning_summary_text", &at, "text", text(&part["text"]));
        events.push(
            "response.reasoning_summary_part.done",
            with_part(at, part.clone()),
        );
    }
    for part in each(&item["content"]) {
        let mut at = in_part("content_index");
        let nothing = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
        events.push("response.content_part.added", with_part(at.clone(), nothing));
        at["logprobs"] = json!([]);
        events.text("output_text", &at, "text", text(&part["text"]));
        events.push(
            "response.content_part.done",
            with_part(in_part("content_index"), part.clone()),
        );
    }
    if let Some(arguments) = item["arguments"].as_str() {
        events.text("function_call_arguments", &at, "arguments", arguments);
    }
}
