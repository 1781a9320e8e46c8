//! What a client is told when there is no answer: who failed, and in which class of errors.

use serde_json::{Value, json};
use testkit::client;

use super::desk::{Desk, FINE, MODEL, chat};

/// One after the other at one process: an error ends it only when it is about the account.
#[test]
fn each_error_of_googles_comes_out_in_its_class() {
    let Some(desk) = Desk::of(&[FINE]) else { return };
    let table = [
        ("status=429", 429, "rate_limit_exceeded", "7"),
        ("status=429 kind=day", 429, "rate_limit_exceeded", "33123"),
        ("status=429 kind=bare", 429, "rate_limit_exceeded", ""),
        // OpenAI has no words for these two but the type.
        ("status=400", 400, "", ""),
        ("status=500", 500, "", ""),
        ("status=503", 503, "overloaded", ""),
        ("nothing=1", 502, "provider_empty_or_blocked", ""),
        ("block=SAFETY", 502, "provider_empty_or_blocked", ""),
        ("finish=SAFETY nothing=1", 502, "provider_empty_or_blocked", ""),
        ("nothing=1 cut=1", 502, "provider_unreachable", ""),
        (
            "status=403 reason=TOS_VIOLATION",
            403,
            "provider_account_refused",
            "",
        ),
        (
            "status=403 reason=SERVICE_DISABLED",
            403,
            "provider_account_refused",
            "",
        ),
        ("status=401", 502, "provider_credential_refused", ""),
    ];
    for (directions, status, code, wait) in table {
        let prompt = format!("hello ((play {directions}))");
        let mut body = chat(&prompt);
        body["stream"] = json!(wait.is_empty());
        let answer = desk.post("/v1/chat/completions", &body);
        let told = answer.json();
        assert_eq!(answer.status, status, "{directions}: {told}");
        assert_eq!(
            told["error"]["code"].as_str().unwrap_or_default(),
            code,
            "{directions}: {told}"
        );
        assert_eq!(answer.header("retry-after"), wait, "{directions}");
        // Neither advice about a command line that nobody has before them, nor anything of ours.
        let text = told.to_string();
        assert!(!text.contains("gcloud") && !text.contains("hello"), "{text}");
        if let Some((_, reason)) = directions.split_once("reason=") {
            assert!(text.contains(reason), "{text}");
        }
    }
    // A stream that breaks off after the first words ends with an error.
    let mut body = chat("one two three ((play cut=1))");
    body["stream"] = json!(true);
    let answer = desk.post("/v1/chat/completions", &body);
    let text = String::from_utf8_lossy(&answer.body);
    assert!(
        text.contains("one") && text.contains("provider_answer_cut"),
        "{text}"
    );
    assert!(!text.contains("[DONE]"), "{text}");
    // The program finds by itself that this is too much for the model.
    let long = "word ".repeat(1_200_000);
    let answer = desk.chat(&long);
    let told = answer.json();
    assert_eq!(
        (answer.status, &told["error"]["code"]),
        (400, &json!("context_length_exceeded")),
        "{told}"
    );
}

#[test]
fn an_account_that_google_does_not_serve_is_told_why() {
    let table = [
        ("ya29.individual-1", "UNSUPPORTED_CLIENT"),
        ("ya29.ineligible-1", "INELIGIBLE_ACCOUNT"),
        ("ya29.validate-1", "VALIDATION_REQUIRED"),
        ("ya29.banned-1", "TOS_VIOLATION"),
        ("ya29.disabled-1", "SERVICE_DISABLED"),
        ("ya29.company-1", "needs a Google Cloud project"),
    ];
    let tokens = table.map(|(token, _)| token);
    let Some(desk) = Desk::of(&[&tokens[..], &["ya29.expired-1"]].concat()) else {
        return;
    };
    let endpoint = desk.serving.endpoint("/v1/chat/completions");
    let body = chat("hello").to_string();
    let ask = |key: &str| client::post(&endpoint, key, body.as_bytes());
    for (key, (token, reason)) in desk.keys.iter().zip(table) {
        let answer = ask(key);
        let told: Value = answer.json();
        assert_eq!(answer.status, 403, "{token}: {told}");
        assert_eq!(told["error"]["code"], "provider_account_refused", "{token}");
        assert!(
            told["error"]["message"].as_str().unwrap().contains(reason),
            "{token}: {told}"
        );
    }
    let answer = ask(&desk.keys[tokens.len()]);
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (502, &json!("provider_credential_refused"))
    );
    assert!(desk.google.generations().is_empty());
}

#[test]
fn what_the_program_cannot_be_told_is_refused_by_name() {
    let Some(desk) = Desk::of(&[FINE]) else { return };
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.test/cat.png"}}]}]);
    let shown = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "object", "description": "$GOOGLE_CLOUD_ACCESS_TOKEN", "properties": {}}}});
    let prefilled = json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]);
    let table = [
        ("n", json!(2), "n"),
        ("logprobs", json!(true), "responseLogprobs"),
        ("tools", tool, "tools"),
        ("messages", image, "image"),
        ("messages", prefilled, "ends with an answer"),
        ("response_format", shown, "responseJsonSchema"),
        ("model", json!("gemini-cli/--yolo"), "gemini-"),
        (
            "model",
            json!("gemini-cli/gemini-3-pro-preview"),
            "gemini-2.5-pro",
        ),
    ];
    for (member, value, named) in table {
        let mut body = chat("hello");
        body[member] = value;
        let answer = desk.post("/v1/chat/completions", &body);
        let told = answer.json().to_string();
        assert!(
            answer.status == 400 && told.contains(named),
            "{member}: {} {told}",
            answer.status
        );
    }
    assert!(desk.google.seen().is_empty());
}

#[test]
fn tools_are_refused_by_name_from_each_face() {
    let Some(desk) = Desk::of(&[FINE]) else { return };
    let schema = json!({"type": "object", "properties": {}});
    let function = json!({"name": "f", "parameters": schema});
    let turn = json!([{"role": "user", "content": "hello"}]);
    let table = [
        (
            "/v1/chat/completions",
            json!({"model": MODEL, "messages": turn, "tools": [{"type": "function", "function": function}]}),
        ),
        (
            "/v1/responses",
            json!({"model": MODEL, "input": "hello", "tools": [{"type": "function", "name": "f", "parameters": schema}]}),
        ),
        (
            "/v1/messages",
            json!({"model": MODEL, "max_tokens": 9, "messages": turn, "tools": [{"name": "f", "input_schema": schema}]}),
        ),
        (
            "/v1beta/models/gemini-cli%2Fgemini-2.5-flash:generateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}], "tools": [{"functionDeclarations": [function]}]}),
        ),
    ];
    for (path, body) in table {
        let answer = desk.post(path, &body);
        let told = answer.json().to_string();
        assert!(answer.status == 400 && told.contains("`tools`"), "{path}: {told}");
    }
    assert!(desk.google.seen().is_empty());
}
