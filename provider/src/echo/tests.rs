use dialect::Usage;
use dialect::openai_chat::{Metered, StreamEnd, StreamLimits, StreamRelay};
use serde_json::json;

use super::*;

async fn asked(request: Value) -> (u16, Vec<Bytes>) {
    let text = request.to_string();
    let (head, tail) = text.split_at(text.len() / 2);
    let mut answer = answer(&[head, tail].map(|piece| Bytes::from(piece.to_owned())), 7, "1");
    let mut pieces = Vec::new();
    while let Some(piece) = answer.body.next().await {
        pieces.push(piece.unwrap());
    }
    (answer.status.as_u16(), pieces)
}

async fn whole(request: Value) -> Value {
    serde_json::from_slice(&asked(request).await.1.concat()).unwrap()
}

fn weather(more: Value) -> Value {
    let parameters = json!({ "type": "object", "properties": {
        "city": { "type": "string" }, "days": { "type": "integer" }, "unit": { "enum": ["celsius"] },
        "at": { "type": "object", "properties": { "hours": { "type": "array", "items": { "type": "number" } } } },
    } });
    let mut request = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "use get_weather now" }],
        "tools": [{ "type": "function", "function": { "name": "get_weather", "parameters": parameters } }],
    });
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    request
}

#[tokio::test]
async fn it_says_what_it_was_told_and_counts_words() {
    let parts = json!([{ "type": "text", "text": "two  words\n" }]);
    let messages = json!([{ "role": "system", "content": "be brief" }, { "role": "user", "content": parts }]);
    let request = json!({ "model": MODEL, "messages": messages });
    let said = whole(request).await;
    assert_eq!(said["choices"][0]["message"]["content"], "two  words\n");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    assert_eq!(said["usage"]["prompt_tokens"], 4);
    let cut =
        json!({ "model": MODEL, "messages": [{ "role": "user", "content": "a b c" }], "max_tokens": 2 });
    let said = whole(cut).await;
    assert_eq!(said["choices"][0]["message"]["content"], "a b ");
    assert_eq!(said["choices"][0]["finish_reason"], "length");
    assert_eq!(said["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn a_stream_says_the_same_and_ends_well() {
    for (include_usage, usage) in [
        (
            true,
            Some(Usage {
                input_tokens: 2,
                output_tokens: 2,
                ..Usage::default()
            }),
        ),
        (false, None),
    ] {
        let request = json!({
            "model": MODEL, "stream": true, "stream_options": { "include_usage": include_usage },
            "messages": [{ "role": "user", "content": "hello there" }],
        });
        let (status, pieces) = asked(request).await;
        let mut relay = StreamRelay::new(false, 1, StreamLimits::default());
        for piece in &pieces {
            relay.push(piece.clone(), &mut Vec::new()).unwrap();
        }
        assert_eq!(
            (status, relay.end(), relay.usage()),
            (200, StreamEnd::Complete, usage)
        );
        assert!(
            String::from_utf8(pieces.concat())
                .unwrap()
                .contains(r#""content":"there""#)
        );
    }
}

#[tokio::test]
async fn it_calls_a_tool_when_asked_to() {
    let expected = json!({ "city": "echo", "days": 1, "unit": "celsius", "at": { "hours": [1] } });
    let said = whole(weather(json!({}))).await;
    let call = &said["choices"][0]["message"]["tool_calls"][0]["function"];
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&call["name"], arguments),
        (&json!("get_weather"), expected.clone())
    );
    let (_, pieces) = asked(weather(json!({ "stream": true }))).await;
    let chunks = pieces
        .iter()
        .filter_map(|piece| serde_json::from_slice::<Value>(&piece[6..]).ok());
    let arguments: String = chunks
        .filter_map(|chunk| {
            let function = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"];
            function["arguments"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), expected);
    for choice in [
        json!("required"),
        json!({ "type": "function", "function": { "name": "get_weather" } }),
    ] {
        let messages = json!([{ "role": "user", "content": "hello" }]);
        let said = whole(weather(json!({ "tool_choice": choice, "messages": messages }))).await;
        assert_eq!(said["choices"][0]["finish_reason"], "tool_calls");
    }
    let said = whole(weather(json!({ "tool_choice": "none" }))).await;
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn what_it_cannot_answer_is_refused_as_a_provider_would() {
    let (status, pieces) = asked(json!({ "model": "echo-9", "messages": [] })).await;
    assert_eq!(
        (
            status,
            Metered::look(&pieces.concat()).and_then(|metered| metered.usage)
        ),
        (404, None)
    );
    assert_eq!(asked(json!({ "model": MODEL, "messages": [1] })).await.0, 400);
}
