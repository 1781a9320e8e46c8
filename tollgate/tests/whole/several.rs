//! Several answers to one request, which Chat Completions and Gemini have words for: all of them reach a client of the
//! other, whole and as a stream, and what they took is booked once.

use serde_json::{Value, json};
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Seen, Vendor};

use crate::world::World;

const SAID: [&str; 2] = ["The Elbe.", "The Rhine."];

#[test]
fn several_answers_cross_between_the_dialects_that_have_them() {
    let vendor = Vendor::start(scripted);
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let mut calls = Vec::new();
    for stream in [false, true] {
        let asked = world.post("/v1/chat/completions", &chat("gemini/m", stream));
        let told = asked.body.clone();
        calls.push(asked.header("x-request-id").to_owned());
        let seen = vendor.last();
        assert!(seen.path.starts_with("/v1/models/m:"), "{}", seen.path);
        assert_eq!(json_of(&seen.body)["generationConfig"]["candidateCount"], 2);
        assert_eq!(
            said(&told, stream, "choices", "/delta/content", "/message/content"),
            SAID
        );

        let operation = if stream {
            "streamGenerateContent?alt=sse"
        } else {
            "generateContent"
        };
        let path = format!("/v1beta/models/custom%2Fm:{operation}");
        let asked = world.post(&path, &gemini());
        calls.push(asked.header("x-request-id").to_owned());
        assert_eq!(json_of(&vendor.last().body)["n"], 2);
        let text = "/content/parts/0/text";
        assert_eq!(said(&asked.body, stream, "candidates", text, text), SAID);
    }
    let ledger = world.ledger(calls.len());
    for call in &calls {
        let usage = ledger[call].usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 8));
        assert_eq!(ledger[call].outcome, "ok");
    }
    // Who has no word for it is not asked.
    let asked = vendor.seen().len();
    let refused = world.post("/v1/chat/completions", &chat("anthropic/m", false));
    assert_eq!(refused.status, 400, "{}", String::from_utf8_lossy(&refused.body));
    assert_eq!(refused.json()["error"]["param"], "n");
    assert_eq!(vendor.seen().len(), asked);
}

fn chat(model: &str, stream: bool) -> String {
    json!({"model": model, "n": 2, "stream": stream, "messages": [{"role": "user", "content": "Name a river."}]})
        .to_string()
}

fn gemini() -> String {
    json!({"contents": [{"role": "user", "parts": [{"text": "Name a river."}]}], "generationConfig": {"candidateCount": 2}})
        .to_string()
}

/// Two answers, in a stream mixed.
fn scripted(seen: &Seen) -> Play {
    let is_gemini = seen.path.contains(":");
    let streams = seen.path.contains(":stream") || json_of(&seen.body)["stream"] == true;
    let usage = if is_gemini {
        json!({"promptTokenCount": 3, "candidatesTokenCount": 8, "totalTokenCount": 11})
    } else {
        json!({"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11})
    };
    let candidate = |index: usize, text: &str, finish: Value| {
        let content = json!({"role": "model", "parts": [{"text": text}]});
        json!({"index": index, "content": content, "finishReason": finish})
    };
    let choice = |index: usize, name: &str, text: &str, finish: Value| {
        let mut choice = json!({"index": index, "finish_reason": finish});
        choice[name] = json!({"role": "assistant", "content": text});
        choice
    };
    let answer = |object: &str, choices: Value| {
        if is_gemini {
            json!({"responseId": "r", "modelVersion": "m", "candidates": choices, "usageMetadata": usage})
        } else {
            json!({"id": "c", "object": object, "created": 1, "model": "m", "choices": choices, "usage": usage})
        }
    };
    if !streams {
        let choices = SAID.iter().enumerate().map(|(index, text)| {
            if is_gemini {
                candidate(index, text, "STOP".into())
            } else {
                choice(index, "message", text, "stop".into())
            }
        });
        return Play::json(200, answer("chat.completion", choices.collect()).to_string());
    }
    let mut pieces = Vec::new();
    for is_end in [false, true] {
        for (index, text) in SAID.iter().enumerate() {
            let (begin, end) = text.split_at(4);
            let text = if is_end { end } else { begin };
            let piece = if is_gemini {
                candidate(index, text, if is_end { "STOP".into() } else { Value::Null })
            } else {
                let mut piece = choice(
                    index,
                    "delta",
                    text,
                    if is_end { "stop".into() } else { Value::Null },
                );
                if is_end {
                    piece["delta"].as_object_mut().unwrap().remove("role");
                }
                piece
            };
            let chunk = answer("chat.completion.chunk", json!([piece]));
            pieces.push(format!("data: {chunk}\n\n").into_bytes());
        }
    }
    if !is_gemini {
        pieces.push(b"data: [DONE]\n\n".to_vec());
    }
    Play::stream(pieces)
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// What each answer says to a client.
fn said(told: &[u8], stream: bool, list: &str, piece: &str, whole: &str) -> [String; 2] {
    let told = String::from_utf8(told.to_vec()).unwrap();
    let answers: Vec<Value> = if stream {
        let data = told.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str(data).ok()).collect()
    } else {
        vec![serde_json::from_str(&told).unwrap()]
    };
    let mut said = [String::new(), String::new()];
    for answer in &answers {
        for choice in answer[list].as_array().into_iter().flatten() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            let text = choice.pointer(if stream { piece } else { whole });
            said[index].push_str(text.and_then(Value::as_str).unwrap_or_default());
        }
    }
    said
}
