//! Limits, defaults, and what an answer says of itself.

use super::*;
use crate::count::Counter;
use crate::neutral::{BadAnswer, FaultKind, MaxTokensName};

fn words() -> Value {
    answer(
        AnthropicMessages,
        json!([{"type": "text", "text": "Yes."}]),
        "end_turn",
    )
}

#[test]
fn p57_where_a_cap_must_be_named_it_is_the_models_own() {
    let profile = Profile {
        max_tokens: 7_777,
        ..Profile::default()
    };
    let body = request(OpenaiChat, json!({}));
    assert_eq!(
        asked_of(OpenaiChat, AnthropicMessages, &profile, &body)["max_tokens"],
        7_777
    );
    let sent = asked_of(OpenaiChat, GeminiGenerate, &profile, &body).to_string();
    assert!(!sent.contains("7777"), "{sent}");
}

/// There are models that refuse a cap which the input might not leave.
#[test]
fn p57_a_cap_leaves_room_for_the_input_where_the_window_is_shared() {
    let profile = Profile {
        max_tokens: 7_777,
        shared_window: Some(10_000),
        ..Profile::default()
    };
    let of = |words: usize, cap: Value| {
        let text = "word ".repeat(words);
        let mut body = request(
            OpenaiChat,
            json!({"messages": [{"role": "user", "content": text}]}),
        );
        body["max_tokens"] = cap;
        let sent = asked_of(OpenaiChat, AnthropicMessages, &profile, &body);
        sent["max_tokens"].as_u64().unwrap()
    };
    assert_eq!(of(10, json!(null)), 7_777);
    // 15 000 bytes are 5 000 tokens at most, and the turn has something around it.
    assert_eq!(of(3_000, json!(null)), 4_984);
    assert_eq!(of(100_000, json!(null)), 1);
    // What the client says is its own affair.
    assert_eq!(of(3_000, json!(9_000)), 9_000);
}

#[test]
fn p58_a_cap_is_spelled_as_the_provider_does_and_the_smaller_of_two_counts() {
    let body = request(
        OpenaiChat,
        json!({"max_tokens": 200, "max_completion_tokens": 100}),
    );
    for (max_tokens_name, taken, other) in [
        (MaxTokensName::MaxTokens, "max_tokens", "max_completion_tokens"),
        (
            MaxTokensName::MaxCompletionTokens,
            "max_completion_tokens",
            "max_tokens",
        ),
    ] {
        let profile = Profile {
            max_tokens_name,
            ..Profile::default()
        };
        let sent = asked_of(OpenaiChat, OpenaiChat, &profile, &body);
        assert_eq!((&sent[taken], sent.get(other)), (&json!(100), None));
    }
}

#[test]
fn p59_a_long_answer_is_asked_for_as_a_stream_and_read_as_a_whole() {
    let long = json!({"max_tokens": 30_000, "tools": [{"type": "function", "function": {"name": "look"}}]});
    let body = request(OpenaiChat, long).to_string();
    let (crossing, sent) = sent(OpenaiChat, AnthropicMessages, &Profile::default(), &body).unwrap();
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!((&sent["stream"], crossing.gathers()), (&json!(true), true));

    let mut events = anthropic_block(
        0,
        json!({"type": "text", "text": ""}),
        vec![
            json!({"type": "text_delta", "text": "Let me"}),
            json!({"type": "text_delta", "text": " look."}),
        ],
    );
    events.extend(anthropic_block(
        1,
        json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}),
        vec![
            json!({"type": "input_json_delta", "partial_json": "{\"at\":"}),
            json!({"type": "input_json_delta", "partial_json": "1.0}"}),
        ],
    ));
    let events = anthropic_stream(events, "tool_use");
    let told = crossing.reply(stream(&events).as_bytes()).unwrap();
    let whole = answer(
        AnthropicMessages,
        json!([{"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1.0}}]),
        "tool_use",
    );
    let whole = crossing.reply(whole.to_string().as_bytes()).unwrap();
    assert_eq!(String::from_utf8(told.body), String::from_utf8(whole.body));
    assert_eq!(told.usage, whole.usage);

    let cut = events.get(..events.len() - 1).unwrap();
    assert!(matches!(
        crossing.reply(stream(cut).as_bytes()),
        Err(BadAnswer::Cut)
    ));
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}});
    let failing = [&cut[..3], &[error]].concat();
    match crossing.reply(stream(&failing).as_bytes()) {
        Err(BadAnswer::Fault(fault)) => assert_eq!(fault.kind, FaultKind::Overloaded),
        _ => panic!("an error is no answer"),
    }
}

#[test]
fn p59_no_stream_is_asked_for_where_it_would_not_tell_the_usage_or_nobody_said_how_long() {
    let body = request(OpenaiResponses, json!({"max_output_tokens": 30_000})).to_string();
    for (stream_options, gathers) in [(true, true), (false, false)] {
        let profile = Profile {
            stream_options,
            ..Profile::default()
        };
        let (crossing, sent) = sent(OpenaiResponses, OpenaiChat, &profile, &body).unwrap();
        assert_eq!((crossing.gathers(), sent.contains("stream")), (gathers, gathers));
    }
    // A cap of the gateway's own, or of the model, says nothing of how long an answer the client awaits.
    let body = request(OpenaiChat, json!({})).to_string();
    let question = Sent {
        tenant: "tenant",
        dialect: OpenaiChat,
        body: body.as_bytes(),
        in_path: IN_PATH,
    };
    let target = Target {
        model: "theirs",
        profile: &Profile::default(),
    };
    let heading = OwnedHeading::default();
    let capped = Crossing::capped(question, AnthropicMessages, &target, heading, false, Some(30_000));
    assert!(!capped.unwrap().0.gathers());
}

#[test]
fn p60_members_that_one_vendor_knows_go_to_no_other() {
    let members = json!({"context_management": {"edits": []}, "container": "c", "unheard_of": 1});
    let body = request(AnthropicMessages, members);
    for provider in [OpenaiChat, OpenaiResponses, GeminiGenerate] {
        let profile = Profile::default();
        let sent = match sent(AnthropicMessages, provider, &profile, &body.to_string()) {
            Ok((crossing, sent)) => {
                assert!(crossing.lossy().unwrap().contains("context_management"));
                sent
            }
            Err(refusal) => {
                assert_eq!(refusal.named(), Some("container"));
                continue;
            }
        };
        for name in ["context_management", "unheard_of"] {
            assert!(!sent.contains(name), "{sent}");
        }
    }
    let kept = asked(AnthropicMessages, AnthropicMessages, &body);
    assert_eq!(kept["unheard_of"], 1);
}

#[test]
fn p61_a_word_for_the_end_that_nobody_knows_is_told_on() {
    let said = answer(GeminiGenerate, json!([{"text": "Yes."}]), "A_NEW_WORD");
    let choice = &answered(OpenaiChat, GeminiGenerate, &said)["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["native_finish_reason"]),
        (&json!("stop"), &json!("A_NEW_WORD"))
    );
    let mut said = words();
    said["stop_reason"] = json!("model_context_window_exceeded");
    assert_eq!(
        answered(OpenaiChat, AnthropicMessages, &said)["choices"][0]["finish_reason"],
        "length"
    );
}

#[test]
fn p62_an_error_has_the_clients_shape_and_the_status_that_its_sdk_acts_on() {
    let translated = |provider: Dialect, client: Dialect, status: u16, body: &str| {
        let fault = provider.read_fault(status, body.as_bytes());
        let (status, body) = client.write_fault(&fault);
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"later"}}"#;
    let (status, body) = translated(AnthropicMessages, OpenaiChat, 529, overloaded);
    assert_eq!((status, &body["error"]["message"]), (503, &json!("later")));
    let unavailable = r#"{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}"#;
    let (status, body) = translated(GeminiGenerate, AnthropicMessages, 503, unavailable);
    assert_eq!(
        (status, &body["error"]["type"]),
        (529, &json!("overloaded_error"))
    );
    let broke = r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(
        OpenaiChat.read_fault(429, broke.as_bytes()).kind,
        FaultKind::Billing
    );
    let (_, body) = translated(OpenaiChat, GeminiGenerate, 502, "<html>Bad gateway</html>");
    assert!(body["error"]["status"].is_string(), "{body}");
    let wait = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}}"#;
    let fault = GeminiGenerate.read_fault(429, wait.as_bytes());
    assert_eq!(
        (fault.kind, fault.retry_after_ms),
        (FaultKind::RateLimit, Some(7_000))
    );
}

#[test]
fn p63_an_answer_names_the_model_that_answered_or_else_the_one_that_was_asked() {
    for (reported, told) in [("theirs", "theirs"), ("", "asked")] {
        let mut said = words();
        said["model"] = json!(reported);
        assert_eq!(answered(OpenaiChat, AnthropicMessages, &said)["model"], told);
    }
}

#[test]
fn p64_an_answer_has_an_id_a_time_and_a_kind() {
    let whole = answered(OpenaiChat, AnthropicMessages, &words());
    assert_eq!(
        (&whole["id"], &whole["object"]),
        (&json!("chatcmpl-ours"), &json!("chat.completion"))
    );
    assert_eq!(whole["created"], 1_700_000_000);
    let whole = answered(OpenaiResponses, AnthropicMessages, &words());
    assert_eq!(
        (&whole["id"], &whole["object"]),
        (&json!("resp_ours"), &json!("response"))
    );
    assert_eq!(whole["created_at"], 1_700_000_000);
    let said = answer(GeminiGenerate, json!([{"text": "Yes."}]), "STOP");
    let whole = answered(AnthropicMessages, GeminiGenerate, &said);
    assert_eq!(
        (&whole["id"], &whole["type"]),
        (&json!("msg_ours"), &json!("message"))
    );
}

#[test]
fn p65_what_is_nothing_is_null_or_absent_as_the_dialect_has_it() {
    let call = json!([{"type": "tool_use", "id": "call_1", "name": "look", "input": {}}]);
    let said = answer(AnthropicMessages, call, "tool_use");
    let message = &answered(OpenaiChat, AnthropicMessages, &said)["choices"][0]["message"];
    assert_eq!(
        (message.get("content"), message.get("refusal")),
        (Some(&Value::Null), Some(&Value::Null))
    );
    let whole = answered(GeminiGenerate, AnthropicMessages, &said);
    assert!(!whole.to_string().contains("null"), "{whole}");
    let said = answer(GeminiGenerate, json!([{"text": "Yes."}]), "STOP");
    let whole = answered(AnthropicMessages, GeminiGenerate, &said);
    assert_eq!(whole.get("stop_sequence"), Some(&Value::Null));
    let thought = anthropic_block(
        0,
        json!({"type": "thinking", "thinking": "", "signature": ""}),
        vec![json!({"type": "thinking_delta", "thinking": "Hm."})],
    );
    let told = streamed(
        OpenaiResponses,
        AnthropicMessages,
        &anthropic_stream(thought, "end_turn"),
    );
    let deltas: Vec<_> = told.iter().filter(|event| event["delta"] == "Hm.").collect();
    assert_eq!(deltas.len(), 1, "{told:?}");
    let delta = deltas[0];
    let index = delta.get("summary_index").or_else(|| delta.get("content_index"));
    assert_eq!((index, &delta["output_index"]), (Some(&json!(0)), &json!(0)));
}

#[test]
fn p66_a_tool_that_is_fed_text_is_a_function_elsewhere_and_fed_text_again() {
    let body = request(
        OpenaiResponses,
        json!({"tools": [{"type": "custom", "name": "patch"}]}),
    )
    .to_string();
    let (crossing, body) = sent(OpenaiResponses, AnthropicMessages, &Profile::default(), &body).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["tools"][0]["name"], "patch");
    assert_eq!(
        body["tools"][0]["input_schema"]["properties"]["input"]["type"],
        "string"
    );
    let call =
        json!({"type": "tool_use", "id": "call_1", "name": "patch", "input": {"input": "*** Begin\n"}});
    let said = answer(AnthropicMessages, json!([call]), "tool_use");
    let item = &answered_by(&crossing, &said)["output"][0];
    assert_eq!(
        (&item["type"], &item["input"]),
        (&json!("custom_tool_call"), &json!("*** Begin\n"))
    );
    let asked = request(OpenaiResponses, json!({"stream": true})).to_string();
    let envelope = OpenaiResponses
        .look(asked.as_bytes(), IN_PATH, &Limits::default())
        .unwrap();
    let streamed = crossing
        .streamed(said.to_string().as_bytes(), &envelope, IN_PATH)
        .unwrap();
    let mut told = told(&streamed.body);
    told.retain(|event| event["type"] == "response.custom_tool_call_input.delta");
    assert_eq!(joined(&told, "/delta"), "*** Begin\n");
}

#[test]
fn p66_texts_that_were_fed_to_a_tool_are_arguments_in_the_history() {
    let input = json!([
        {"role": "user", "content": "Hi"},
        {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "- a\n+ \"b\""},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
    ]);
    let members = json!({"tools": [{"type": "custom", "name": "patch"}], "input": input});
    let body = request(OpenaiResponses, members);
    let fed = json!({"input": "- a\n+ \"b\""});
    let anthropic = asked(OpenaiResponses, AnthropicMessages, &body);
    assert_eq!(anthropic["messages"][1]["content"][0]["input"], fed);
    assert_eq!(anthropic["messages"][2]["content"][0]["tool_use_id"], "call_1");
    let gemini = asked(OpenaiResponses, GeminiGenerate, &body);
    assert_eq!(gemini["contents"][1]["parts"][0]["functionCall"]["args"], fed);
    assert_eq!(
        gemini["contents"][2]["parts"][0]["functionResponse"]["name"],
        "patch"
    );
}

#[test]
fn p67_what_was_never_stored_goes_back_without_the_ids_of_a_store() {
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbA=="});
    let said = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]});
    let mut input = vec![
        json!({"role": "user", "content": "Hi"}),
        thought.clone(),
        said,
        json!({"role": "user", "content": "And?"}),
    ];
    let body = request(OpenaiResponses, json!({"input": input}));
    let sent = asked(OpenaiResponses, OpenaiResponses, &body);
    assert_eq!(sent["store"], false);
    assert_eq!(sent["input"][1]["encrypted_content"], "c2VhbA==");
    let text = sent.to_string();
    assert!(!text.contains("rs_1") && !text.contains("msg_1"), "{text}");
    input.truncate(1);
    input.extend([thought, json!({"role": "user", "content": "And?"})]);
    let body = request(OpenaiResponses, json!({"input": input}));
    let sent = asked(OpenaiResponses, OpenaiResponses, &body);
    assert!(
        !sent.to_string().contains("reasoning\",") && sent.to_string().contains("And?"),
        "{sent}"
    );
}

#[test]
fn p68_a_request_to_count_is_translated_between_those_that_can_count() {
    let body = json!({"model": "asked", "messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let question = Sent {
        tenant: "tenant",
        dialect: AnthropicMessages,
        body: body.as_bytes(),
        in_path: IN_PATH,
    };
    let target = Target {
        model: "theirs",
        profile: &Profile::default(),
    };
    let counters = (Counter::AnthropicMessages, Counter::GeminiGenerate);
    let (crossing, sent) =
        Crossing::of_count(question, counters, &target, OwnedHeading::default(), false).unwrap();
    assert!(String::from_utf8(sent).unwrap().contains("Hi"));
    let counted = crossing.reply(br#"{"totalTokens":7}"#).unwrap();
    assert_eq!(counted.body, br#"{"input_tokens":7}"#);
    assert_eq!(counted.usage, None);
    assert_eq!(
        Counter::of(OpenaiChat),
        None,
        "nothing is guessed where nobody can be asked"
    );
}
