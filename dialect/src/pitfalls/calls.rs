//! Calls of tools, and their results.

use super::*;
use crate::refusal::Code;

const SIGNATURE: &str = "c2lnbmF0dXJlIG9mIGEgdGhvdWdodA==";

fn chat_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// A Chat Completions request in which these calls were answered.
fn chat_history(calls: Value, results: &[(&str, &str)]) -> Value {
    let mut messages = vec![
        json!({"role": "user", "content": "Hi"}),
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
    ];
    let results = results.iter();
    messages.extend(results.map(|(id, text)| json!({"role": "tool", "tool_call_id": id, "content": text})));
    request(OpenaiChat, json!({"messages": messages}))
}

fn tool(dialect: Dialect, name: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    match dialect {
        OpenaiChat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
        OpenaiResponses => json!({"type": "function", "name": name, "parameters": schema, "strict": false}),
        AnthropicMessages => json!({"name": name, "input_schema": schema}),
        GeminiGenerate => json!({"functionDeclarations": [{"name": name, "parametersJsonSchema": schema}]}),
    }
}

fn tool_use(id: &str, name: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": {}})
}

fn input_delta(json: &str) -> Value {
    json!({"type": "input_json_delta", "partial_json": json})
}

#[test]
fn p1_calls_are_numbered_by_themselves_whatever_stands_between_them() {
    let mut events = anthropic_block(0, json!({"type": "text", "text": ""}), vec![]);
    events.extend(anthropic_block(
        1,
        tool_use("call_1", "first"),
        vec![input_delta("{\"a\":1}")],
    ));
    events.extend(anthropic_block(
        2,
        tool_use("call_2", "second"),
        vec![input_delta("{\"a\":2}")],
    ));
    let told = streamed(
        OpenaiChat,
        AnthropicMessages,
        &anthropic_stream(events, "tool_use"),
    );
    let calls = at(&told, "/choices/0/delta/tool_calls/0");
    for (index, name, arguments) in [(0, "first", "{\"a\":1}"), (1, "second", "{\"a\":2}")] {
        let own: Vec<_> = calls
            .iter()
            .filter(|call| call["index"] == index)
            .cloned()
            .collect();
        assert_eq!(joined(&own, "/function/name"), name);
        assert_eq!(joined(&own, "/function/arguments"), arguments);
    }
}

#[test]
fn p2_fragments_that_interleave_end_up_each_in_its_own_block() {
    let fragment = |index: u64, arguments: &str| {
        let call = json!([{"index": index, "function": {"arguments": arguments}}]);
        chunk(json!({"tool_calls": call}), None)
    };
    let begun = |index: u64, id: &str| {
        let call = json!([{"index": index, "id": id, "type": "function", "function": {"name": "look", "arguments": ""}}]);
        chunk(json!({"role": "assistant", "tool_calls": call}), None)
    };
    let events = [
        begun(0, "call_1"),
        begun(1, "call_2"),
        fragment(0, "{\"a\""),
        fragment(1, "{\"b\""),
        fragment(0, ":1}"),
        fragment(1, ":2}"),
        chunk(json!({}), Some("tool_calls")),
    ];
    let told = streamed(AnthropicMessages, OpenaiChat, &events);
    let mut open = None;
    let mut inputs = [String::new(), String::new()];
    for event in &told {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "content_block_start" => assert_eq!(open.replace(index), None, "{told:?}"),
            "content_block_stop" => assert_eq!(open.take(), Some(index), "{told:?}"),
            "content_block_delta" => {
                assert_eq!(open, Some(index), "{told:?}");
                let place = usize::try_from(index.unwrap()).unwrap();
                inputs[place].push_str(event["delta"]["partial_json"].as_str().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(inputs, ["{\"a\":1}", "{\"b\":2}"]);
}

#[test]
fn p3_a_call_without_arguments_has_an_empty_object() {
    let events = anthropic_stream(
        anthropic_block(0, tool_use("call_1", "now"), vec![input_delta("")]),
        "tool_use",
    );
    let told = streamed(OpenaiChat, AnthropicMessages, &events);
    assert_eq!(
        joined(&told, "/choices/0/delta/tool_calls/0/function/arguments"),
        "{}"
    );
    let said = json!({"role": "assistant", "content": null, "tool_calls": [chat_call("call_1", "now", "")]});
    let whole = answered(
        AnthropicMessages,
        OpenaiChat,
        &answer(OpenaiChat, said, "tool_calls"),
    );
    assert_eq!(whole["content"][0]["input"], json!({}));
}

#[test]
fn p4_the_placeholder_of_a_block_is_no_part_of_its_arguments() {
    let deltas = vec![input_delta("{\"a\""), input_delta(":1}")];
    let events = anthropic_stream(anthropic_block(0, tool_use("call_1", "look"), deltas), "tool_use");
    let told = streamed(OpenaiResponses, AnthropicMessages, &events);
    assert_eq!(joined(&told, "/item/arguments"), "{\"a\":1}");
}

#[test]
fn p5_arguments_that_are_no_object_are_wrapped_in_one() {
    let body = chat_history(
        json!([chat_call("call_1", "look", "{\"a\":")]),
        &[("call_1", "?")],
    );
    let wrapped = json!({"_raw": "{\"a\":"});
    let anthropic = asked(OpenaiChat, AnthropicMessages, &body);
    assert_eq!(anthropic["messages"][1]["content"][0]["input"], wrapped);
    let gemini = asked(OpenaiChat, GeminiGenerate, &body);
    assert_eq!(gemini["contents"][1]["parts"][0]["functionCall"]["args"], wrapped);
}

#[test]
fn p6_a_call_that_the_cap_cut_is_no_call() {
    let said = json!({"role": "assistant", "content": "I look.", "tool_calls": [chat_call("call_1", "look", "{\"a\":")]});
    let whole = answered(AnthropicMessages, OpenaiChat, &answer(OpenaiChat, said, "length"));
    assert_eq!(whole["stop_reason"], "max_tokens");
    assert_eq!(whole["content"].as_array().unwrap().len(), 1, "{whole}");
    assert_eq!(whole["content"][0]["text"], "I look.");
}

/// An answer of Anthropic's, given back by a client of Chat Completions that called the tool.
fn signed_history() -> Value {
    let said = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE},
        {"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}},
    ]);
    let whole = answered(
        OpenaiChat,
        AnthropicMessages,
        &answer(AnthropicMessages, said, "tool_use"),
    );
    let message = whole["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].as_str().unwrap().to_owned();
    let mut body = chat_history(message["tool_calls"].clone(), &[(&id, "seen")]);
    body["messages"][1] = message;
    body["tools"] = json!([tool(OpenaiChat, "look")]);
    body
}

#[test]
fn p7_a_signature_comes_back_to_its_vendor_through_a_client_that_knows_none() {
    let sent = asked(OpenaiChat, AnthropicMessages, &signed_history());
    let content = &sent["messages"][1]["content"];
    assert_eq!(content[0]["type"], "thinking");
    assert_eq!(content[0]["signature"], SIGNATURE);
    assert_eq!(content[1]["id"], "call_1");
    assert_eq!(sent["messages"][2]["content"][0]["tool_use_id"], "call_1");
}

#[test]
fn p7_a_signed_call_comes_back_signed_and_an_unsigned_one_says_so() {
    let call = json!({"functionCall": {"name": "look", "args": {}}, "thoughtSignature": SIGNATURE});
    let theirs = answer(GeminiGenerate, json!([call]), "STOP");
    let whole = answered(OpenaiChat, GeminiGenerate, &theirs);
    let calls = whole["choices"][0]["message"]["tool_calls"].clone();
    let id = calls[0]["id"].as_str().unwrap();
    let sent = asked(
        OpenaiChat,
        GeminiGenerate,
        &chat_history(calls.clone(), &[(id, "seen")]),
    );
    assert_eq!(sent["contents"][1]["parts"][0]["thoughtSignature"], SIGNATURE);
    let unsigned = chat_history(json!([chat_call("call_1", "look", "{}")]), &[("call_1", "seen")]);
    let sent = asked(OpenaiChat, GeminiGenerate, &unsigned);
    let signature = &sent["contents"][1]["parts"][0]["thoughtSignature"];
    assert_eq!(signature, "skip_thought_signature_validator");
}

#[test]
fn p8_thoughts_keep_their_order_and_those_without_a_text_are_kept() {
    let said = json!([
        {"type": "thinking", "thinking": "", "signature": SIGNATURE},
        {"type": "redacted_thinking", "data": "aGlkZGVu"},
        {"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}},
    ]);
    let whole = answered(
        OpenaiResponses,
        AnthropicMessages,
        &answer(AnthropicMessages, said.clone(), "tool_use"),
    );
    let mut items = vec![json!({"role": "user", "content": "Hi"})];
    items.extend(whole["output"].as_array().unwrap().clone());
    let id = items.last().unwrap()["call_id"].clone();
    items.push(json!({"type": "function_call_output", "call_id": id, "output": "seen"}));
    let tools = json!([tool(OpenaiResponses, "look")]);
    let body = request(OpenaiResponses, json!({"input": items, "tools": tools}));
    let sent = asked(OpenaiResponses, AnthropicMessages, &body);
    assert_eq!(sent["messages"][1]["content"], said);
}

#[test]
fn p9_a_signature_goes_to_no_other_vendor() {
    for provider in [OpenaiResponses, GeminiGenerate] {
        let sent = asked(OpenaiChat, provider, &signed_history()).to_string();
        assert!(!sent.contains(SIGNATURE) && sent.contains("seen"), "{sent}");
    }
}

#[test]
fn p10_two_calls_of_one_function_have_ids_of_their_own_which_google_never_sees() {
    let call = json!({"functionCall": {"name": "look", "args": {}}});
    let said = json!([call, call]);
    let whole = answered(OpenaiChat, GeminiGenerate, &answer(GeminiGenerate, said, "STOP"));
    let calls = &whole["choices"][0]["message"]["tool_calls"];
    let ids = [&calls[0]["id"], &calls[1]["id"]].map(|id| id.as_str().unwrap());
    assert_ne!(ids[0], ids[1]);
    assert!(!ids.contains(&"look") && !ids.contains(&""), "{ids:?}");
    let body = chat_history(calls.clone(), &[(ids[1], "second"), (ids[0], "first")]);
    let sent = asked(OpenaiChat, GeminiGenerate, &body);
    let results = &sent["contents"][2]["parts"];
    for (place, text) in [(0, "first"), (1, "second")] {
        let call = &sent["contents"][1]["parts"][place]["functionCall"];
        assert_eq!((&call["name"], call.get("id")), (&json!("look"), None));
        let result = &results[place]["functionResponse"];
        assert_eq!(result["response"]["result"], text);
        assert_eq!(result.get("id"), None);
    }
}

fn two_calls() -> Value {
    json!([
        chat_call("call_1", "first", "{}"),
        chat_call("call_2", "second", "{}")
    ])
}

#[test]
fn p11_results_are_found_by_id_and_stand_in_the_order_of_the_calls() {
    let body = chat_history(two_calls(), &[("call_2", "two"), ("call_1", "one")]);
    let sent = asked(OpenaiChat, AnthropicMessages, &body);
    let results = &sent["messages"][2]["content"];
    assert_eq!(
        [&results[0]["tool_use_id"], &results[1]["tool_use_id"]],
        ["call_1", "call_2"]
    );
    assert!(results[0].to_string().contains("one"), "{results}");
}

#[test]
fn p12_a_result_gets_its_functions_name_from_the_call() {
    let body = chat_history(two_calls(), &[("call_2", "two"), ("call_1", "one")]);
    let sent = asked(OpenaiChat, GeminiGenerate, &body);
    let results = &sent["contents"][2]["parts"];
    for (place, name, text) in [(0, "first", "one"), (1, "second", "two")] {
        let result = &results[place]["functionResponse"];
        assert_eq!(
            (&result["name"], &result["response"]["result"]),
            (&json!(name), &json!(text))
        );
    }
}

#[test]
fn p13_an_id_with_letters_that_are_refused_is_cleaned_alike_in_call_and_result() {
    let long = "x".repeat(90);
    for (id, provider, call, result) in [
        (
            "functions.look:0",
            AnthropicMessages,
            "/messages/1/content/0/id",
            "/messages/2/content/0/tool_use_id",
        ),
        (
            long.as_str(),
            OpenaiResponses,
            "/input/1/call_id",
            "/input/2/call_id",
        ),
    ] {
        let body = chat_history(json!([chat_call(id, "look", "{}")]), &[(id, "seen")]);
        let sent = asked(OpenaiChat, provider, &body);
        let call = sent.pointer(call).unwrap().as_str().unwrap();
        assert_eq!(sent.pointer(result).unwrap(), call);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        assert!(call.len() <= 64 && call.bytes().all(is_plain), "{call}");
        assert_eq!(sent, asked(OpenaiChat, provider, &body));
    }
}

#[test]
fn p14_a_name_that_is_refused_is_cleaned_and_comes_back_as_it_was() {
    let name = "mcp.look at";
    let body = request(OpenaiChat, json!({"tools": [tool(OpenaiChat, name)]})).to_string();
    let (crossing, body) = sent(OpenaiChat, AnthropicMessages, &Profile::default(), &body).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let cleaned = body["tools"][0]["name"].as_str().unwrap();
    assert!(!cleaned.contains(['.', ' ']), "{cleaned}");
    let said = answer(
        AnthropicMessages,
        json!([tool_use("call_1", cleaned)]),
        "tool_use",
    );
    let whole = answered_by(&crossing, &said);
    assert_eq!(
        whole["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        name
    );
}

#[test]
fn p14_a_name_is_cleaned_alike_wherever_a_request_has_it() {
    let long = "x".repeat(150);
    for name in ["mcp.look at", long.as_str()] {
        let mut body = chat_history(json!([chat_call("call_1", name, "{}")]), &[("call_1", "seen")]);
        body["tools"] = json!([tool(OpenaiChat, name), tool(OpenaiChat, &format!("{name}!"))]);
        body["tool_choice"] = json!({"type": "function", "function": {"name": name}});
        let sent = asked(OpenaiChat, AnthropicMessages, &body);
        let cleaned = &sent["tools"][0]["name"];
        assert!(
            cleaned.as_str().unwrap().len() <= 128 && *cleaned != name,
            "{sent}"
        );
        assert_ne!(sent["tools"][1]["name"], *cleaned);
        assert_eq!(sent["tool_choice"]["name"], *cleaned);
        assert_eq!(sent["messages"][1]["content"][0]["name"], *cleaned);
        let sent = asked(OpenaiChat, GeminiGenerate, &body);
        let functions = &sent["tools"][0]["functionDeclarations"];
        let (call, result) = (&sent["contents"][1]["parts"][0], &sent["contents"][2]["parts"][0]);
        assert_eq!(call["functionCall"]["name"], functions[0]["name"]);
        assert_eq!(result["functionResponse"]["name"], functions[0]["name"]);
        let allowed = &sent["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"];
        assert_eq!(allowed, &json!([functions[0]["name"]]));
    }
}

#[test]
fn p15_the_reason_is_told_once_at_the_end_and_by_what_was_said() {
    let call = answer(
        GeminiGenerate,
        json!([{"functionCall": {"name": "look", "args": {}}}]),
        "STOP",
    );
    let rest = answer(GeminiGenerate, json!([{"text": ""}]), "STOP");
    let told = streamed(OpenaiChat, GeminiGenerate, &[call.clone(), rest]);
    assert_eq!(at(&told, "/choices/0/finish_reason"), ["tool_calls"]);
    let whole = answered(OpenaiChat, GeminiGenerate, &call);
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let events = [
        chunk(json!({"content": "a"}), Some("stop")),
        chunk(json!({"content": "b"}), Some("stop")),
    ];
    let told = streamed(AnthropicMessages, OpenaiChat, &events);
    assert_eq!(at(&told, "/delta/stop_reason"), ["end_turn"]);
    assert_eq!(joined(&told, "/delta/text"), "ab");
}

#[test]
fn p16_a_call_is_not_forced_on_a_model_that_thinks() {
    let members =
        json!({"tools": [tool(OpenaiChat, "look")], "tool_choice": "required", "reasoning_effort": "high"});
    let body = request(OpenaiChat, members);
    let usual = Profile::default();
    let refusal = refused(OpenaiChat, AnthropicMessages, &usual, &body);
    assert_eq!(
        (refusal.code, refusal.named()),
        (Code::CannotTranslate, Some("tool_choice"))
    );
    // Who leaves to the model how much it thinks has not asked for thoughts.
    let members = json!({"tools": [tool(GeminiGenerate, "look")], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}});
    let free = request(GeminiGenerate, members);
    let sent = asked(GeminiGenerate, AnthropicMessages, &free);
    assert_eq!(sent["tool_choice"]["type"], "any");
    assert_eq!(sent.get("thinking"), None);
    assert_eq!(
        lost(GeminiGenerate, AnthropicMessages, &usual, &free),
        "reasoning"
    );
    // Others than Anthropic refuse it too, and most do not.
    let refusing = Profile {
        forced_calls_with_thinking: false,
        ..Profile::default()
    };
    let members = json!({"tools": [tool(AnthropicMessages, "look")], "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 2_000}});
    let body = request(AnthropicMessages, members);
    for provider in [OpenaiChat, OpenaiResponses] {
        let refusal = refused(AnthropicMessages, provider, &refusing, &body);
        assert_eq!(refusal.named(), Some("tool_choice"), "{provider:?}");
        assert_eq!(
            asked(AnthropicMessages, provider, &body)["tool_choice"],
            "required"
        );
    }
}

#[test]
fn p17_one_call_at_a_time_is_said_where_anthropic_looks_for_it() {
    let members = json!({"tools": [tool(OpenaiChat, "look")], "parallel_tool_calls": false});
    let sent = asked(OpenaiChat, AnthropicMessages, &request(OpenaiChat, members));
    assert_eq!(
        sent["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[test]
fn p18_items_of_one_answer_are_one_turn() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "seen"});
    let said = json!({"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]});
    let input = json!([{"role": "user", "content": "Hi"}, said, call("call_1"), call("call_2"), output("call_1"), output("call_2")]);
    let sent = asked(
        OpenaiResponses,
        AnthropicMessages,
        &request(OpenaiResponses, json!({"input": input})),
    );
    let messages = sent["messages"].as_array().unwrap();
    let counts: Vec<_> = messages[1..]
        .iter()
        .map(|turn| turn["content"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [3, 2], "{sent}");
}

#[test]
fn p19_a_tool_that_the_vendor_ran_is_nothing_for_the_client_to_run() {
    let said = json!([
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "Found."},
    ]);
    let whole = answered(
        OpenaiChat,
        AnthropicMessages,
        &answer(AnthropicMessages, said.clone(), "end_turn"),
    );
    let choice = &whole["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("stop"), &json!("Found."))
    );
    assert!(choice["message"]["tool_calls"].is_null(), "{choice}");
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": said}, {"role": "user", "content": "And?"}]);
    let body = request(AnthropicMessages, json!({"messages": messages}));
    let kept = asked(AnthropicMessages, AnthropicMessages, &body);
    assert_eq!(kept["messages"][1]["content"], said);
}
