//! What processes may take: memory, time, text, and how many there are of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::client;
use testkit::process::Installation;

use super::desk::{Desk, FINE, chat};
use super::life::{children, until};

const OTHER: &str = "ya29.fine-2";

fn sessions(desk: &Desk) -> Vec<String> {
    let asked = desk.google.generations().into_iter();
    asked
        .map(|asked| asked.body["request"]["session_id"].to_string())
        .collect()
}

#[test]
fn an_answer_that_is_too_long_or_takes_too_long_is_ended_with_its_process() {
    let settings = |installation: Installation| {
        installation
            .set("TOLLGATE_GEMINI_CLI_ANSWER_BYTES_MAX", "1000")
            .set("TOLLGATE_GEMINI_CLI_CALL_TIMEOUT", "5s")
            .set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
    };
    let Some(desk) = Desk::with(&[FINE], settings) else {
        return;
    };
    for (directions, status, code) in [
        ("size=5000", 502, "provider_answer_too_large"),
        ("hang=1", 504, "provider_timeout"),
    ] {
        let answer = desk.chat(&format!("one two three ((play {directions}))"));
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["error"]["code"]),
            (status, &json!(code)),
            "{directions}: {told}"
        );
        // Also after the first words.
        let mut body = chat(&format!("one two three ((play {directions} pieces=8))"));
        body["stream"] = json!(true);
        let answer = desk.post("/v1/chat/completions", &body);
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    }
    assert!(desk.google.wait_until_gone(2));
    assert_eq!(desk.chat("hello").status, 200);
    let sessions = sessions(&desk);
    let different: BTreeSet<&String> = sessions.iter().collect();
    assert_eq!(different.len(), 5, "each has a process of its own: {sessions:?}");
}

#[test]
fn a_process_that_has_grown_too_much_serves_no_other_call() {
    let small = |installation: Installation| {
        installation
            .set("TOLLGATE_GEMINI_CLI_RESIDENT_BYTES_MAX", "1")
            .set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
    };
    let Some(desk) = Desk::with(&[FINE], small) else {
        return;
    };
    for _ in 0..2 {
        assert_eq!(desk.chat("hello").status, 200);
        until("it is ended", || children(desk.serving.process_id()).is_empty());
    }
    let sessions = sessions(&desk);
    assert_ne!(sessions[0], sessions[1]);
}

#[test]
fn there_are_no_more_processes_than_memory_for_them() {
    let for_one =
        |installation: Installation| installation.set("TOLLGATE_GEMINI_CLI_MEMORY_MAX", "314572800");
    let Some(desk) = Desk::with(&[FINE, OTHER], for_one) else {
        return;
    };
    let endpoint = desk.serving.endpoint("/v1/chat/completions");
    let body = chat("hello").to_string();
    for _ in 0..2 {
        for key in &desk.keys {
            let answer = client::post(&endpoint, key, body.as_bytes());
            let told: Value = answer.json();
            assert_eq!(answer.status, 200, "{told}");
            assert_eq!(children(desk.serving.process_id()).len(), 1);
        }
    }
    // Whoever comes while it is busy waits for it.
    std::thread::scope(|scope| {
        for key in &desk.keys {
            let (endpoint, body) = (&endpoint, &body);
            scope.spawn(move || {
                assert_eq!(client::post(endpoint, key, body.as_bytes()).status, 200);
            });
        }
    });
    until("one is left", || children(desk.serving.process_id()).len() == 1);
    let tokens: Vec<String> = (desk.google.generations().into_iter())
        .map(|asked| asked.token)
        .collect();
    assert_eq!(tokens[..4], [FINE, OTHER, FINE, OTHER]);
}
