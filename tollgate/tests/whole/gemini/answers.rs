//! What a client gets, and what Google was sent for it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use store::AttemptRow;
use testkit::code_assist::Generation;
use testkit::process::Installation;

use super::desk::{Desk, FINE, MODEL, chat, one_process};
use crate::sdk::{PACKAGES, client, setting};
use crate::world::attempts_until;

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

/// An answer that may be long is had as a stream and told whole, by the usage of all of it; one that breaks off is booked by
/// what had come.
#[test]
fn p51_p59_a_long_answer_is_gathered_from_what_the_program_streams() {
    let one = |installation: Installation| installation.set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1");
    let Some(desk) = Desk::with(&[FINE], one) else {
        return;
    };
    let mut body = chat("one two three ((play pieces=3))");
    body["max_tokens"] = json!(30_000);
    let told = desk.post("/v1/chat/completions", &body).json();
    let choice = &told["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("one two three"), &json!("stop")),
        "{told}"
    );
    assert_eq!(told["object"], "chat.completion");
    let counted = &told["usage"];
    assert!(counted["completion_tokens"].as_u64() > Some(0), "{told}");
    let messages = json!({"model": MODEL, "max_tokens": 30_000,
        "messages": [{"role": "user", "content": "one two three ((play cut=1))"}]});
    let broken = desk.post("/v1/messages", &messages);
    assert!(broken.status >= 500, "{}", broken.json());
    let mut rows = attempts_until(&desk.installation, &desk.database, |rows| rows.len() == 2);
    rows.sort_by_key(|row| row.started_at_ms);
    let [whole, cut] = &rows[..] else {
        panic!("{rows:?}")
    };
    let tokens = |row: &AttemptRow| row.usage.map(|usage| (usage.input_tokens, usage.output_tokens));
    let told = (
        counted["prompt_tokens"].as_i64(),
        counted["completion_tokens"].as_i64(),
    );
    assert_eq!(
        (whole.outcome.as_str(), whole.usage_source.as_str()),
        ("ok", "provider")
    );
    assert_eq!(
        tokens(whole).map(|(input, output)| (Some(input), Some(output))),
        Some(told)
    );
    assert_eq!(cut.usage_source, "estimated", "{cut:?}");
    let (input, output) = tokens(cut).unwrap();
    assert!(input > 0 && output > 0, "{cut:?}");
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
