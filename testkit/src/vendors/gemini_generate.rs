//! Google's generateContent.

use serde_json::{Value, json};

use super::heard::{Heard, each, text};
use super::said::{CACHED, INPUT, OUTPUT, Said, THOUGHT, pieces};
use super::{Voice, spec};
use crate::vendor::Seen;

pub(super) const VOICE: Voice = Voice {
    name: "gemini_generate",
    seal: Some(SEAL),
    headers: &["x-goog-api-key"],
    hear,
    by_document,
    whole,
    stream,
    error,
};

const SEAL: &str = "CiQBVKhc7vBnZW1pbmkgdGhvdWdodCBzZWFs";

const UNSEALED: &str = "skip_thought_signature_validator";

/// The document has the model in the body, where the path has it.
fn by_document(body: &Value) -> Vec<String> {
    let mut body = body.clone();
    body["model"] = "models/model".into();
    let file = "google-generativelanguage-v1beta.trimmed.json";
    spec::problems(file, "GenerateContentRequest", &body)
}

fn hear(seen: &Seen, body: &Value, heard: &mut Heard) {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let last = path.rsplit('/').next().unwrap_or_default();
    let (model, method) = last.split_once(':').unwrap_or_default();
    model.clone_into(&mut heard.model);
    heard.stream = method == "streamGenerateContent";
    if heard.stream && query != "alt=sse" {
        heard.wrong("the stream would be one array");
    }
    heard.tools = each(&body["tools"])
        .flat_map(|tool| each(&tool["functionDeclarations"]))
        .map(|tool| text(&tool["name"]).to_owned())
        .collect();
    let config = &body["generationConfig"];
    let schema = config.get("responseJsonSchema").or(config.get("responseSchema"));
    heard.schema = schema.cloned();
    if heard.schema.is_some() && config["responseMimeType"] != "application/json" {
        heard.wrong("there is a schema for what is no JSON");
    }
    heard.thinks = config["thinkingConfig"].is_object();
    // Google takes both spellings of names.
    let thinking = &config["thinkingConfig"];
    heard.shows_thoughts = thinking["includeThoughts"] == true || thinking["include_thoughts"] == true;
    let system = said(&body["systemInstruction"]["parts"], heard);
    if !system.is_empty() {
        heard.spoke("system", &system);
    }
    for content in each(&body["contents"]) {
        match text(&content["role"]) {
            "user" => turn("user", &content["parts"], heard),
            "model" => turn("assistant", &content["parts"], heard),
            other => heard.wrong(&format!("{other} is no role")),
        }
    }
}

/// Calls need not have ids here: results are told apart by their names and their order.
fn turn(role: &str, parts: &Value, heard: &mut Heard) {
    let mut numbers = 0..;
    let mut id = |part: &Value| match part["id"].as_str() {
        Some(id) => id.to_owned(),
        None => format!("#{}", numbers.next().unwrap_or(0)),
    };
    for part in each(parts) {
        let (call, response) = (&part["functionCall"], &part["functionResponse"]);
        // What Google documents for calls that it did not make.
        if part["thoughtSignature"].is_string() && part["thoughtSignature"] != UNSEALED {
            heard.sealed(&part["thoughtSignature"]);
        }
        if call.is_object() {
            heard.called(&id(call), text(&call["name"]), &call["args"]);
        }
        if response.is_object() {
            let given = &response["response"];
            let given = given.get("result").or(given.get("output")).unwrap_or(given);
            let given = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            heard.returned(&id(response), &given);
            if !heard.tools.iter().any(|name| response["name"] == **name) {
                heard.wrong("a result is of no tool");
            }
        }
    }
    let said = said(parts, heard);
    let speaks = |part: &Value| {
        ["functionCall", "functionResponse"]
            .iter()
            .all(|name| part.get(name).is_none())
    };
    if !said.is_empty() || each(parts).all(speaks) {
        heard.spoke(role, &said);
    }
}

fn said(parts: &Value, heard: &mut Heard) -> String {
    let mut said = String::new();
    for part in each(parts).filter(|part| part["thought"] != true) {
        said.push_str(text(&part["text"]));
        if let Some(data) = part.get("inlineData") {
            // And both alphabets of base64.
            let media_type = data.get("mimeType").unwrap_or(&data["mime_type"]);
            let base64 = text(&data["data"]).replace('-', "+").replace('_', "/");
            said.push_str(&heard.picture(media_type, &base64.into()));
        }
    }
    said
}

fn answer(said: &Said, parts: Vec<Value>, finish_reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(reason) = finish_reason {
        candidate["finishReason"] = reason.into();
    }
    let mut usage = json!({
        "promptTokenCount": INPUT, "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": OUTPUT - said.reasoning(), "totalTokenCount": INPUT + OUTPUT,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": INPUT}],
    });
    if said.thinks {
        usage["thoughtsTokenCount"] = said.reasoning().into();
    }
    json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": said.model, "responseId": "vendor"})
}

/// The parts; texts in pieces. The seal is on the first call or, where there is none, on the last of the text.
fn parts(said: &Said, split: fn(&str) -> Vec<String>) -> Vec<Value> {
    let mut parts = Vec::new();
    if said.thinks && said.shows_thoughts {
        parts.extend(
            split(THOUGHT)
                .iter()
                .map(|text| json!({"text": text, "thought": true})),
        );
    }
    let thoughts = parts.len();
    parts.extend(
        split(&said.text)
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| json!({"text": text})),
    );
    parts.extend(
        said.calls
            .iter()
            .map(|call| json!({"functionCall": {"name": call.name, "args": call.arguments}})),
    );
    let sealed = if said.calls.is_empty() {
        parts.len().saturating_sub(1)
    } else {
        thoughts
    };
    if let Some(part) = parts.get_mut(sealed).filter(|_| said.thinks) {
        part["thoughtSignature"] = SEAL.into();
    }
    parts
}

fn whole(said: &Said) -> Value {
    answer(said, parts(said, |text| vec![text.to_owned()]), Some("STOP"))
}

fn stream(said: &Said) -> Vec<String> {
    let parts = parts(said, pieces);
    let last = parts.len().saturating_sub(1);
    let chunk = |(at, part)| answer(said, vec![part], (at == last).then_some("STOP"));
    let chunks = parts.into_iter().enumerate().map(chunk);
    chunks.map(|chunk| format!("data: {chunk}\r\n\r\n")).collect()
}

fn error(status: u16) -> Value {
    let word = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": format!("scripted {status}"), "status": word}})
}

pub(super) fn models() -> Value {
    let methods = ["generateContent", "countTokens"];
    json!({"models": [{"name": "models/m-1", "displayName": "M 1", "inputTokenLimit": 1_000_000, "outputTokenLimit": 65_536, "supportedGenerationMethods": methods}]})
}
