//! As a vendor of Anthropic's Messages.

use serde_json::{Value, json};

use super::heard::{Call, Heard, Said, Voice, event, halves, list, string, text_of};

pub(super) const VOICE: Voice = Voice {
    path: "/v1/messages",
    hear,
    say,
    seals: true,
    usage: (100, 10),
};

fn hear(body: &Value, heard: &mut Heard) {
    heard.streamed = body["stream"] == true;
    // Without it there would be nothing to seal; all of the agents ask for it.
    if !matches!(body["thinking"]["type"].as_str(), Some("adaptive" | "enabled")) {
        heard.wrong.push(format!("thinking is {}", body["thinking"]));
    }
    for tool in list(&body["tools"]) {
        heard
            .tools
            .insert(string(&tool["name"]), tool["input_schema"].clone());
    }
    let mut messages = list(&body["messages"]).iter().peekable();
    while let Some(message) = messages.next() {
        let blocks = list(&message["content"]);
        let of_kind = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
        heard
            .seals
            .extend(of_kind("thinking").map(|block| string(&block["signature"])));
        let calls: Vec<_> = of_kind("tool_use").map(called).collect();
        if calls.is_empty() {
            continue;
        }
        if blocks.first().is_none_or(|block| block["type"] != "thinking") {
            heard
                .wrong
                .push(format!("calls without the thoughts before them: {message}"));
        }
        // Results have to stand at the beginning of the very next message.
        let next = messages.peek().filter(|next| next["role"] == "user");
        let results = next.map_or(&[][..], |next| list(&next["content"]));
        let results = results
            .iter()
            .take_while(|block| block["type"] == "tool_result")
            .map(|block| (string(&block["tool_use_id"]), text_of(&block["content"])));
        heard.take(calls, results.collect());
    }
}

fn called(block: &Value) -> Call {
    Call {
        id: string(&block["id"]),
        name: string(&block["name"]),
        arguments: block["input"].clone(),
    }
}

fn say(said: &Said) -> Vec<Vec<u8>> {
    let usage = json!({"input_tokens": 80, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 0, "output_tokens": 1});
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let mut pieces = vec![named(json!({"type": "message_start", "message": message}))];
    let thoughts = vec![
        json!({"type": "thinking_delta", "thinking": "Step by step."}),
        json!({"type": "signature_delta", "signature": said.seal}),
    ];
    let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
    pieces.extend(block(0, &thinking, thoughts));
    if said.calls.is_empty() {
        let texts = halves(said.text).map(|piece| json!({"type": "text_delta", "text": piece}));
        pieces.extend(block(1, &json!({"type": "text", "text": ""}), texts.to_vec()));
    }
    for (number, call) in said.calls.iter().enumerate() {
        let begin = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
        let arguments = call.arguments.to_string();
        let deltas =
            halves(&arguments).map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
        pieces.extend(block(number + 1, &begin, deltas.to_vec()));
    }
    let reason = if said.calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    };
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    pieces.push(named(
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 10}}),
    ));
    pieces.push(named(json!({"type": "message_stop"})));
    pieces
}

fn block(index: usize, begin: &Value, deltas: Vec<Value>) -> Vec<Vec<u8>> {
    let mut pieces = vec![named(
        json!({"type": "content_block_start", "index": index, "content_block": begin}),
    )];
    for delta in deltas {
        pieces.push(named(
            json!({"type": "content_block_delta", "index": index, "delta": delta}),
        ));
    }
    pieces.push(named(json!({"type": "content_block_stop", "index": index})));
    pieces
}

fn named(data: Value) -> Vec<u8> {
    event(data["type"].as_str().unwrap_or_default(), &data)
}
