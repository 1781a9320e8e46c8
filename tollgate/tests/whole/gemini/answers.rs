//! What a client gets, and what Google was sent for it.

use serde_json::{Value, json};

use super::desk::{Desk, FINE, MODEL};

/// The second call is answered by the process of the first, and gets nothing of that.
#[test]
fn a_stream_comes_as_the_model_says_it_from_a_process_that_is_kept() {
    let Some(desk) = Desk::of(&[FINE]) else { return };
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
