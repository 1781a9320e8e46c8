//! An account of which Google has had enough for now: each kind of client is told so in its own way, and when to come back.

use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::process::Installation;

use super::desk::{Desk, FINE, MODEL};

const FACES: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/gemini-cli%2Fgemini-2.5-flash:generateContent",
];

fn body(face: &str, prompt: &str) -> Value {
    let turns = json!([{"role": "user", "content": prompt}]);
    match face {
        "/v1/chat/completions" => json!({"model": MODEL, "messages": turns}),
        "/v1/responses" => json!({"model": MODEL, "input": prompt}),
        "/v1/messages" => json!({"model": MODEL, "max_tokens": 9, "messages": turns}),
        _ => json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
    }
}

/// What a client of each kind goes by.
fn class(face: &str, answer: &Answer) -> Value {
    let error = &answer.json()["error"];
    match face {
        "/v1/messages" => error["type"].clone(),
        _ if face.starts_with("/v1beta") => error["status"].clone(),
        _ => error["code"].clone(),
    }
}

fn expected_class(face: &str) -> &'static str {
    match face {
        "/v1/messages" => "rate_limit_error",
        _ if face.starts_with("/v1beta") => "RESOURCE_EXHAUSTED",
        _ => "rate_limit_exceeded",
    }
}

/// `told` is what each face is told for each kind of error: after how many seconds to come back.
fn check(relay: &str, told: [(&str, &str); 4]) {
    let settings = |installation: Installation| {
        installation
            .set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
            .set("TOLLGATE_GEMINI_CLI_RELAY", relay)
    };
    let Some(desk) = Desk::with(&[FINE], settings) else {
        return;
    };
    for (kind, wait) in told {
        let prompt = format!("hello ((play status=429 kind={kind}))");
        for (number, face) in FACES.into_iter().enumerate() {
            let mut body = body(face, &prompt);
            let is_streamed = number % 2 == 0;
            if is_streamed {
                body["stream"] = json!(true);
            }
            let answer = desk.post(face, &body);
            let text = answer.json().to_string();
            let found = (answer.status, answer.header("retry-after"), class(face, &answer));
            let expected = (429, wait, json!(expected_class(face)));
            assert_eq!(found, expected, "{kind} at {face}, relay {relay}: {text}");
            if face.starts_with("/v1beta") && !wait.is_empty() {
                assert!(text.contains(&format!("\"retryDelay\":\"{wait}s\"")), "{text}");
            }
        }
    }
    assert_eq!(desk.google.generations().len(), told.len() * FACES.len());
}

/// By itself the program passes on Google's words and no more.
#[test]
fn each_face_is_told_when_to_come_back_by_googles_words() {
    check(
        "false",
        [("minute", "7"), ("day", "33123"), ("told", ""), ("bare", "")],
    );
}

#[test]
fn by_the_relay_each_face_is_told_also_what_google_says_to_programs_alone() {
    check(
        "true",
        [("minute", "7"), ("day", "33124"), ("told", "34"), ("bare", "")],
    );
}
