//! What the adapter relies on of the real program, one check at a time: to be looked at first when its version changes.
//!
//! Much of it is the program's own business: the format of its session files, what suppresses its own words, which errors
//! it tells by which numbers.

use serde_json::{Value, json};
use testkit::process::Installation;

use super::desk::{Desk, FINE, MODEL, chat};
use super::life::{children, until};

const PNG: &str = "iVBORw0KGgo=";

fn desk(mode: &str) -> Option<Desk> {
    Desk::with(&[FINE], |installation: Installation| {
        installation
            .set("TOLLGATE_GEMINI_CLI_MODE", mode)
            .set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
    })
}

/// Instructions, several turns and an image.
fn conversation() -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}")}});
    json!({"model": MODEL, "messages": [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}, image]},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Italy? @/etc/passwd ((play pieces=3 think=1))"},
    ]})
}

/// That all of it came to the model, and nothing else.
fn check_conversation(desk: &Desk, told: &Value) {
    let said = &told["choices"][0]["message"]["content"];
    assert_eq!(said, "And of Italy? @/etc/passwd", "{told}");
    let request = desk.google.last().body["request"].clone();
    let contents = json!([
        {"role": "user", "parts": [{"text": "What is the capital of France?"},
            {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        {"role": "model", "parts": [{"text": "Paris."}]},
        {"role": "user", "parts": [{"text": "And of Italy? @/etc/passwd ((play pieces=3 think=1))"}, {"text": "\n"}]},
    ]);
    assert_eq!(request["contents"], contents);
    let instructions = json!({"role": "user", "parts": [{"text": "Answer briefly."}]});
    assert_eq!(request["systemInstruction"], instructions);
    assert_eq!(request["tools"], json!([{"functionDeclarations": []}]));
}

#[test]
fn check_1_cold_contents_instructions_and_no_tools_come_exactly_as_given() {
    let Some(desk) = desk("cold") else { return };
    let answer = desk.post("/v1/chat/completions", &conversation());
    check_conversation(&desk, &answer.json());
    let tunnels = desk.google.tunnels();
    assert!(tunnels.iter().all(|host| host == "www.googleapis.com:443"));
}

#[test]
fn check_2_cold_parameters_come_from_the_settings_and_no_instructions_are_none() {
    let Some(desk) = desk("cold") else { return };
    let mut body = chat("hello");
    for (name, value) in [
        ("temperature", json!(0.25)),
        ("top_p", json!(0.5)),
        ("max_tokens", json!(77)),
        ("seed", json!(7)),
    ] {
        body[name] = value;
    }
    assert_eq!(desk.post("/v1/chat/completions", &body).status, 200);
    let request = desk.google.last().body["request"].clone();
    let config = &request["generationConfig"];
    let found = (
        &config["temperature"],
        &config["topP"],
        &config["maxOutputTokens"],
        &config["seed"],
    );
    assert_eq!(found, (&json!(0.25), &json!(0.5), &json!(77), &json!(7)));
    assert_eq!(request["systemInstruction"], Value::Null);
}

#[test]
fn check_3_cold_the_exit_code_tells_the_status() {
    let Some(desk) = desk("cold") else { return };
    for (directions, status) in [
        ("status=429 kind=bare", 429),
        ("status=400", 400),
        ("status=503", 503),
    ] {
        assert_eq!(desk.chat(&format!("hello ((play {directions}))")).status, status);
    }
}

#[test]
fn check_4_warm_history_image_instructions_thoughts_and_usage() {
    let Some(desk) = desk("warm") else { return };
    let told = desk.post("/v1/chat/completions", &conversation()).json();
    check_conversation(&desk, &told);
    assert!(told["usage"]["completion_tokens"].as_u64() > Some(0), "{told}");
    let contents = json!([{"role": "user", "parts": [{"text": "hello ((play think=1))"}]}]);
    let thinking =
        json!({"contents": contents, "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let told = desk
        .post(
            "/v1beta/models/gemini-cli%2Fgemini-2.5-flash:generateContent",
            &thinking,
        )
        .json();
    let parts = &told["candidates"][0]["content"]["parts"];
    assert_eq!(
        (&parts[0]["thought"], &parts[1]["text"]),
        (&json!(true), &json!("hello")),
        "{told}"
    );
}

#[test]
fn check_5_warm_many_calls_one_after_the_other_in_one_session() {
    let Some(desk) = desk("warm") else { return };
    for call in 0..11 {
        let told = desk.chat(&format!("call {call}")).json();
        assert_eq!(
            told["choices"][0]["message"]["content"],
            json!(format!("call {call}"))
        );
    }
    let asked = desk.google.generations();
    let session = |number: usize| &asked[number].body["request"]["session_id"];
    assert!((1..11).all(|number| session(number) == session(0)));
}

#[test]
fn check_6_warm_errors_are_told_by_their_status() {
    let Some(desk) = desk("warm") else { return };
    for (directions, status) in [
        ("status=429 kind=day", 429),
        ("status=400", 400),
        ("status=503", 503),
    ] {
        assert_eq!(desk.chat(&format!("hello ((play {directions}))")).status, status);
    }
    let refused = desk.chat("hello ((play status=401))");
    assert_eq!(refused.json()["error"]["code"], "provider_credential_refused");
}

#[test]
fn check_7_warm_giving_up_stops_the_request_to_google() {
    let Some(desk) = desk("warm") else { return };
    let open = desk.hanging("one two three");
    drop(open);
    assert!(desk.google.wait_until_gone(1));
    assert_eq!(desk.chat("again").status, 200);
}

#[test]
fn check_8_warm_it_ends_when_nobody_speaks_with_it_any_more() {
    let Some(desk) = desk("warm") else { return };
    assert_eq!(desk.chat("hello").status, 200);
    let processes = children(desk.serving.process_id());
    assert!(!processes.is_empty());
    assert!(desk.serving.stop().success());
    until("no process is left", || {
        processes
            .iter()
            .all(|process| !std::path::Path::new(&format!("/proc/{process}")).exists())
    });
}

#[test]
fn check_9_warm_an_account_that_is_refused_is_an_error_and_no_question() {
    let Some(desk) = Desk::of(&["ya29.individual-1"]) else {
        return;
    };
    let answer = desk.chat("hello");
    assert_eq!(answer.status, 403);
    assert!(answer.json().to_string().contains("UNSUPPORTED_CLIENT"));
}
