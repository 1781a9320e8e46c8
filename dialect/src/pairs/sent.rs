//! Requests that have to cross, as their clients send them: our writers would write them otherwise, or not at all.

use serde_json::{Value, json};

use crate::Dialect::{self, AnthropicMessages, GeminiGenerate, OpenaiChat, OpenaiResponses};

/// A request with these members.
fn with(dialect: Dialect, members: Value) -> (Dialect, Value) {
    let said = json!([{"role": "user", "content": "One"}]);
    let mut body = match dialect {
        OpenaiChat | AnthropicMessages => json!({"model": "model", "max_tokens": 10_000, "messages": said}),
        OpenaiResponses => {
            json!({"model": "model", "max_output_tokens": 10_000, "store": false, "input": said})
        }
        GeminiGenerate => json!({"contents": [{"role": "user", "parts": [{"text": "One"}]}]}),
    };
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    (dialect, body)
}

/// A request with this part alone.
fn with_part(dialect: Dialect, part: Value) -> (Dialect, Value) {
    let said = json!([{"role": "user", "content": [part]}]);
    let member = match dialect {
        OpenaiResponses => "input",
        _ => "messages",
    };
    with(dialect, json!({ member: said }))
}

pub(super) fn all() -> Vec<(&'static str, Vec<(Dialect, Value)>)> {
    vec![
        ("prefill", began()),
        ("stored_file", stored_file()),
        ("tool_of_the_vendor", tool_of_the_vendor()),
        ("tokens_of_thought", tokens_of_thought()),
        (
            "two_answers",
            vec![
                with(OpenaiChat, json!({"n": 2})),
                with(GeminiGenerate, json!({"generationConfig": {"candidateCount": 2}})),
            ],
        ),
        (
            "user",
            vec![
                with(OpenaiChat, json!({"user": "someone"})),
                with(OpenaiResponses, json!({"user": "someone"})),
                with(AnthropicMessages, json!({"metadata": {"user_id": "someone"}})),
            ],
        ),
    ]
}

/// An answer that was begun, to be continued.
fn began() -> Vec<(Dialect, Value)> {
    let said = json!([{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]);
    let contents =
        json!([{"role": "user", "parts": [{"text": "One"}]}, {"role": "model", "parts": [{"text": "Two"}]}]);
    vec![
        with(OpenaiChat, json!({"messages": said})),
        with(OpenaiResponses, json!({"input": said})),
        with(AnthropicMessages, json!({"messages": said})),
        with(GeminiGenerate, json!({"contents": contents})),
    ]
}

fn stored_file() -> Vec<(Dialect, Value)> {
    let of_chat = json!({"type": "file", "file": {"file_id": "file-1"}});
    let of_responses = json!({"type": "input_file", "file_id": "file-1"});
    let of_messages = json!({"type": "document", "source": {"type": "file", "file_id": "file-1"}});
    vec![
        with_part(OpenaiChat, of_chat),
        with_part(OpenaiResponses, of_responses),
        with_part(AnthropicMessages, of_messages),
    ]
}

fn tool_of_the_vendor() -> Vec<(Dialect, Value)> {
    let of_messages = json!({"type": "web_search_20250305", "name": "web_search"});
    vec![
        with(OpenaiResponses, json!({"tools": [{"type": "web_search"}]})),
        with(AnthropicMessages, json!({"tools": [of_messages]})),
        with(GeminiGenerate, json!({"tools": [{"googleSearch": {}}]})),
    ]
}

fn tokens_of_thought() -> Vec<(Dialect, Value)> {
    let of_messages = json!({"type": "enabled", "budget_tokens": 2_048});
    let of_gemini = json!({"thinkingBudget": 2_048, "includeThoughts": true});
    let config = json!({"maxOutputTokens": 10_000, "thinkingConfig": of_gemini});
    vec![
        with(AnthropicMessages, json!({"thinking": of_messages})),
        with(GeminiGenerate, json!({"generationConfig": config})),
    ]
}
