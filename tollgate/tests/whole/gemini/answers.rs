//! What a client gets, and what Google was sent for it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use testkit::code_assist::Generation;

use super::desk::{Desk, FINE, MODEL, chat, one_process};
use crate::sdk::{PACKAGES, client, setting};

/// The second call is answered by the process of the first, and gets nothing of that.
#[test]
fn a_stream_comes_as_the_model_says_it_from_a_process_that_is_kept() {
    let Some(desk) = Desk::with(&[FINE], one_process) else {
        return;
    };
    for country in ["Italy", "Spain"] {
        let asked = format!("And of {country}?");
        let body = json!({
            "model": MODEL, "stream": true, "stream_options": {"include_usage": true},
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the capital of France?"},
                {"role": "assistant", "content": "Paris."},
                {"role": "user", "content": format!("{asked} ((play pieces=4))")},
            ],
        });
        let answer = desk.post("/v1/chat/completions", &body);
        let chunks = chunks(&answer.body);
        let text: Vec<&str> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .filter(|text| !text.is_empty())
            .collect();
        assert_eq!((text.len(), text.concat()), (4, asked));
        let last = &chunks[chunks.len() - 2];
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        let usage = &chunks[chunks.len() - 1]["usage"];
        assert!(usage["prompt_tokens"].as_u64() > Some(0) && usage["completion_tokens"].as_u64() > Some(0));
    }
    let [first, second] = &desk.google.generations()[..] else {
        panic!("asked {} times", desk.google.generations().len());
    };
    assert_eq!(
        first.body["request"]["session_id"],
        second.body["request"]["session_id"]
    );
    assert_eq!((first.token.as_str(), second.token.as_str()), (FINE, FINE));
    let said = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
    let request = &second.body["request"];
    let asked = json!({
        "role": "user", "parts": [{"text": "And of Spain? ((play pieces=4))"}, {"text": "\n"}],
    });
    let contents = [
        said("user", "What is the capital of France?"),
        said("model", "Paris."),
        asked,
    ];
    assert_eq!(request["contents"], json!(contents));
    assert_eq!(request["systemInstruction"], said("user", "Be brief."));
    assert_eq!(request["tools"], json!([{"functionDeclarations": []}]));
}

/// The chunks of a stream that has come to its end.
fn chunks(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(body);
    let mut data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{text}");
    data.iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// What is wanted of the model stands in the settings of the process, so that each of these calls has one of its own.
#[test]
fn what_is_wanted_of_the_model_reaches_it() {
    let Some(desk) = Desk::of(&[FINE]) else { return };
    let body = json!({
        "model": MODEL, "messages": [{"role": "user", "content": "one two three ((play think=1))"}],
        "temperature": 0.25, "top_p": 0.5, "seed": 7, "max_completion_tokens": 3, "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
    });
    let told = desk.post("/v1/chat/completions", &body).json();
    // The program does not tell why the model ended: it is seen by the count.
    assert_eq!(told["choices"][0]["finish_reason"], "length", "{told}");
    let config = &desk.google.last().body["request"]["generationConfig"];
    let wanted = json!({
        "temperature": 0.25, "topP": 0.5, "topK": 64, "seed": 7, "maxOutputTokens": 3,
        "responseMimeType": "application/json",
        "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024},
    });
    assert_eq!(*config, wanted);
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}});
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "one"}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema},
    });
    let answer = desk.post(
        "/v1beta/models/gemini-cli%2Fgemini-2.5-pro:generateContent",
        &body,
    );
    assert_eq!(answer.status, 200, "{}", answer.json());
    let asked = desk.google.last().body;
    assert_eq!(asked["model"], "gemini-2.5-pro");
    assert_eq!(asked["request"]["generationConfig"]["responseJsonSchema"], schema);
}

/// A cap is no reason for another process; one that nobody would write is a little less.
#[test]
fn calls_with_caps_of_all_sizes_are_answered_by_one_process() {
    let Some(desk) = Desk::with(&[FINE], one_process) else {
        return;
    };
    let mut body = chat("one two three four five");
    for (cap, sent, reason) in [
        (Some(1_000), json!(1_000), "stop"),
        (Some(3), json!(3), "length"),
        (Some(8_191), json!(8_191), "stop"),
        (Some(12_345), json!(12_000), "stop"),
        (None, Value::Null, "stop"),
        (Some(77), json!(77), "stop"),
    ] {
        body["max_tokens"] = json!(cap);
        let told = desk.post("/v1/chat/completions", &body).json();
        assert_eq!(told["choices"][0]["finish_reason"], reason, "{cap:?}: {told}");
        let asked = desk.google.last().body;
        assert_eq!(
            (
                &asked["model"],
                &asked["request"]["generationConfig"]["maxOutputTokens"]
            ),
            (&json!("gemini-2.5-flash"), &sent)
        );
    }
    // The rest of what is usual stays.
    let config = &desk.google.last().body["request"]["generationConfig"];
    assert_eq!((&config["temperature"], &config["topK"]), (&json!(1), &json!(64)));
    assert_eq!(config["thinkingConfig"]["thinkingBudget"], 8_192);
    let sessions: BTreeSet<String> = (desk.google.generations().iter())
        .map(|asked| asked.body["request"]["session_id"].to_string())
        .collect();
    assert_eq!(sessions.len(), 1, "of one process");
}

/// By each kind of client's own library, from the process of one tenant.
#[test]
fn each_kind_of_client_is_answered_whole_and_streamed() {
    let Some(packages) = setting(PACKAGES) else { return };
    let Some(desk) = Desk::of(&[FINE]) else { return };
    let mut command = Command::new("node");
    command
        .arg(client("gemini_cli.mjs"))
        .env("PACKAGES", packages)
        .env("BASE_URL", desk.serving.url())
        .env("KEY", &desk.keys[0]);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", desk.serving.log());
    let asked = desk.google.generations();
    let with_image = |asked: &Generation| asked.body.to_string().contains("image/png");
    assert_eq!(asked.iter().filter(|asked| with_image(asked)).count(), 4);
}
