//! As a vendor of Google's generateContent. It gives calls no ids, as Google often does not, and wants none back.

use serde_json::{Value, json};

use super::heard::{Call, Heard, Said, Voice, event, halves, list, string};

pub(super) const VOICE: Voice = Voice {
    path: "/v1beta/models/",
    hear,
    say,
    seals: true,
    usage: (100, 10),
};

fn hear(body: &Value, heard: &mut Heard) {
    // The path says so, which has been looked at.
    heard.streamed = true;
    for function in list(&body["tools"])
        .iter()
        .flat_map(|tool| list(&tool["functionDeclarations"]))
    {
        let schema = [&function["parameters"], &function["parametersJsonSchema"]];
        let schema = schema.into_iter().find(|schema| schema.is_object());
        heard
            .tools
            .insert(string(&function["name"]), schema.cloned().unwrap_or_default());
    }
    let mut contents = list(&body["contents"]).iter().peekable();
    while let Some(content) = contents.next() {
        let parts = list(&content["parts"]);
        heard.seals.extend(
            parts
                .iter()
                .filter_map(|part| Some(part["thoughtSignature"].as_str()?.to_owned())),
        );
        let before = heard.calls.len();
        let made: Vec<_> = parts.iter().filter_map(|part| part.get("functionCall")).collect();
        let calls: Vec<_> = (before..)
            .zip(&made)
            .map(|(number, call)| called(number, call))
            .collect();
        if calls.is_empty() {
            continue;
        }
        let next = contents.peek().filter(|next| next["role"] == "user");
        let parts = next.map_or(&[][..], |next| list(&next["parts"]));
        let told: Vec<_> = parts
            .iter()
            .filter_map(|part| part.get("functionResponse"))
            .collect();
        for value in made.iter().chain(&told) {
            if value.get("id").is_some() {
                heard.wrong.push(format!("an id that was never given: {value}"));
            }
        }
        let names = |values: &[&Value]| {
            values
                .iter()
                .map(|value| string(&value["name"]))
                .collect::<Vec<_>>()
        };
        if names(&made) != names(&told) {
            heard
                .wrong
                .push(format!("called was {made:?}, answered {told:?}"));
        }
        let results = calls.iter().zip(&told);
        let results = results.map(|(call, told)| (call.id.clone(), all_text(&told["response"])));
        let results = results.collect();
        heard.take(calls, results);
    }
}

fn called(number: usize, call: &Value) -> Call {
    Call {
        id: format!("call_{number}"),
        name: string(&call["name"]),
        arguments: call["args"].clone(),
    }
}

/// The texts in an object.
fn all_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => members.values().map(all_text).collect(),
        _ => String::new(),
    }
}

fn say(said: &Said) -> Vec<Vec<u8>> {
    let mut parts = vec![json!({"text": "Step by step.", "thought": true})];
    for (number, call) in said.calls.iter().enumerate() {
        let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
        if number == 0 {
            part["thoughtSignature"] = json!(said.seal);
        }
        parts.push(part);
    }
    if said.calls.is_empty() {
        parts.extend(halves(said.text).map(|piece| json!({"text": piece})));
        parts.push(json!({"text": "", "thoughtSignature": said.seal}));
    }
    let last = parts.len() - 1;
    let chunks = parts.into_iter().enumerate().map(|(number, part)| {
        let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
        if number == last {
            candidate["finishReason"] = json!("STOP");
        }
        let usage = json!({
            "promptTokenCount": 100, "candidatesTokenCount": 7, "thoughtsTokenCount": 3, "totalTokenCount": 110,
        });
        event(
            "",
            &json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}),
        )
    });
    chunks.collect()
}
