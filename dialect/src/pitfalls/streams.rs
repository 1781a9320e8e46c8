//! Streams, and the bytes of which they are made.

use bytes::Bytes;

use super::*;
use crate::codec::Meter;
use crate::{StreamEnd, StreamRelay};

fn said(text: &str) -> Value {
    chunk(json!({"content": text}), None)
}

fn stopped() -> Value {
    chunk(json!({}), Some("stop"))
}

fn text_delta(text: &str) -> Value {
    json!({"type": "text_delta", "text": text})
}

fn anthropic_text(deltas: &[&str]) -> Vec<Value> {
    let deltas = deltas.iter().map(|text| text_delta(text)).collect();
    anthropic_block(0, json!({"type": "text", "text": ""}), deltas)
}

/// What a client of Anthropic's is told of a stream of Chat Completions, and of how it ended.
fn told_of(body: &str) -> (String, Value) {
    let told = streamed_by(
        AnthropicMessages,
        OpenaiChat,
        &Profile::default(),
        &[body.as_bytes()],
    );
    (joined(&told, "/delta/text"), told.last().unwrap()["type"].clone())
}

#[test]
fn p46_a_letter_that_is_cut_between_chunks_is_whole_again() {
    let text = "é\u{1F600}\u{2028}字";
    let body = stream(&[said(text), stopped()]);
    let bytes: Vec<_> = body.as_bytes().chunks(1).collect();
    let told = streamed_by(AnthropicMessages, OpenaiChat, &Profile::default(), &bytes);
    assert_eq!(joined(&told, "/delta/text"), text);
    let asked = request(OpenaiChat, json!({"stream": true})).to_string();
    let envelope = OpenaiChat
        .look(asked.as_bytes(), IN_PATH, &Limits::default())
        .unwrap();
    let mut relay = StreamRelay::over(Meter::new(OpenaiChat, &envelope), StreamLimits::default());
    let mut out = Vec::new();
    for byte in bytes {
        relay.push(Bytes::copy_from_slice(byte), &mut out).unwrap();
    }
    assert_eq!(relay.finish(&mut out), StreamEnd::Complete);
    assert_eq!(out.concat(), body.as_bytes());
}

#[test]
fn p47_what_is_added_is_never_trimmed_or_joined() {
    let pieces = [" ", "\u{1F469}", "\u{200D}", "\u{1F4BB}", "e", "\u{301} \n"];
    let told = streamed(
        OpenaiChat,
        AnthropicMessages,
        &anthropic_stream(anthropic_text(&pieces), "end_turn"),
    );
    let mut texts = at(&told, "/choices/0/delta/content");
    texts.retain(|text| text != "");
    assert_eq!(texts, pieces);
}

#[test]
fn p48_lines_end_where_they_do_and_nowhere_else() {
    let first = said("a\u{2028}b\u{85}c");
    let last = stopped();
    let (half, rest) = (
        json!({"id": "theirs", "object": "chat.completion.chunk"}),
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"!\"}}]}",
    );
    let half = half.to_string().replace('}', ",");
    for end in ["\n", "\r\n", "\r"] {
        let body = format!(
            "\u{FEFF}data:{first}{end}{end}: a comment{end}{end}data: {half}{end}data: {rest}{end}{end}data: {last}"
        );
        assert_eq!(
            told_of(&body),
            ("a\u{2028}b\u{85}c!".to_owned(), json!("message_stop")),
            "{end:?}"
        );
    }
}

#[test]
fn p49_the_end_may_be_told_twice_or_in_anothers_way() {
    let body = stream(&[said("a"), stopped()]);
    for done in ["", "data: [DONE]\n\n", "data: [DONE]\n\ndata: [DONE]\n\n"] {
        let told = streamed_by(
            AnthropicMessages,
            OpenaiChat,
            &Profile::default(),
            &[body.as_bytes(), done.as_bytes()],
        );
        let stops = told.iter().filter(|event| event["type"] == "message_stop");
        assert_eq!(stops.count(), 1, "{told:?}");
    }
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
    ];
    let body = format!("{}data: [DONE]\n\n", stream(&events));
    let told = streamed_by(
        OpenaiChat,
        OpenaiResponses,
        &Profile::default(),
        &[body.as_bytes()],
    );
    assert_eq!(joined(&told, "/choices/0/delta/content"), "a");
    assert_eq!(told.iter().filter(|event| **event == "[DONE]").count(), 1);
}

fn without_choices(members: Value) -> Value {
    let mut chunk =
        json!({"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []});
    chunk
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    chunk
}

fn usage() -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
}

#[test]
fn p50_a_chunk_without_a_choice_is_no_error() {
    let events = [
        without_choices(
            json!({"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}),
        ),
        said("a"),
        stopped(),
        without_choices(json!({"usage": usage()})),
    ];
    let told = streamed(AnthropicMessages, OpenaiChat, &events);
    assert_eq!(joined(&told, "/delta/text"), "a");
    assert_eq!(at(&told, "/message/id"), ["msg_ours"]);
    assert!(at(&told, "/usage/output_tokens").contains(&json!(5)), "{told:?}");
}

#[test]
fn p51_usage_is_found_in_whichever_chunk_it_comes_and_may_never_come() {
    let with = |name: &str, value: Value| {
        let mut last = stopped();
        last[name] = value;
        vec![said("a"), last]
    };
    let apart = vec![said("a"), stopped(), without_choices(json!({"usage": usage()}))];
    for events in [
        apart,
        with("usage", usage()),
        with("x_groq", json!({"usage": usage()})),
    ] {
        let told = streamed(AnthropicMessages, OpenaiChat, &events);
        assert!(at(&told, "/usage/output_tokens").contains(&json!(5)), "{told:?}");
    }
    let told = streamed(AnthropicMessages, OpenaiChat, &[said("a"), stopped()]);
    assert_eq!(at(&told, "/delta/stop_reason"), ["end_turn"]);
    assert_eq!(told.last().unwrap()["type"], "message_stop");
}

#[test]
fn p52_a_second_beginning_is_ignored_or_an_error_and_a_users_id_stays_here() {
    let mut events = anthropic_stream(anthropic_text(&["a"]), "end_turn");
    events.insert(1, events[0].clone());
    let told = streamed(OpenaiChat, AnthropicMessages, &events);
    assert_eq!(joined(&told, "/choices/0/delta/content"), "a");
    events[1]["message"]["id"] = json!("msg_another");
    let told = streamed(OpenaiChat, AnthropicMessages, &events);
    assert_eq!(at(&told, "/choices/0/finish_reason"), [] as [Value; 0]);
    assert_eq!(at(&told, "/error").len(), 1);
    let id = "user_1_account_2_session_3";
    let body = request(AnthropicMessages, json!({"metadata": {"user_id": id}}));
    for provider in [OpenaiChat, OpenaiResponses, GeminiGenerate] {
        let sent = asked(AnthropicMessages, provider, &body).to_string();
        assert!(!sent.contains(id), "{sent}");
    }
    let taken = asked(AnthropicMessages, OpenaiChat, &body)["user"].take();
    assert!(taken.as_str().unwrap().starts_with("user_"), "{taken}");
    assert_eq!(
        asked(AnthropicMessages, GeminiGenerate, &body)["labels"]["user"],
        taken
    );
    for (client, members) in [
        (OpenaiChat, json!({"user": id})),
        (
            OpenaiResponses,
            json!({"user": "another", "safety_identifier": id}),
        ),
    ] {
        let sent = asked(client, AnthropicMessages, &request(client, members));
        assert_eq!(sent["metadata"]["user_id"], taken, "one user, one name");
    }
}

/// What agents send unasked, and no answer depends on, is told; it is no reason to refuse what a strict tenant asks.
#[test]
fn p52_what_touches_no_answer_is_told_and_refused_to_nobody() {
    let marked = json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    let agents = json!({"system": marked, "metadata": {"user_id": "user_1_session_2"}, "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}});
    let codexs =
        json!({"prompt_cache_key": "session_2", "store": false, "include": ["reasoning.encrypted_content"]});
    let unlabelled = Profile {
        user: false,
        ..Profile::default()
    };
    for (client, members, provider, told) in [
        (AnthropicMessages, &agents, OpenaiChat, "cache_control, user"),
        (AnthropicMessages, &agents, OpenaiResponses, "cache_control, user"),
        (AnthropicMessages, &agents, GeminiGenerate, "cache_control, user"),
        (OpenaiResponses, &codexs, AnthropicMessages, "prompt_cache_key"),
        (OpenaiResponses, &codexs, GeminiGenerate, "prompt_cache_key"),
    ] {
        let body = request(client, members.clone()).to_string();
        let (crossing, _) = sent_by(true, client, provider, &unlabelled, &body).unwrap();
        let mut lost: Vec<_> = crossing.lossy().unwrap().split(", ").collect();
        lost.sort_unstable();
        assert_eq!(lost.join(", "), told, "{client:?} {provider:?}");
    }
}

#[test]
fn p53_an_error_in_a_stream_is_its_end_and_no_good_one() {
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}});
    let mut events = anthropic_stream(anthropic_text(&["a"]), "end_turn");
    events.truncate(3);
    events.push(overloaded);
    let told = streamed(OpenaiChat, AnthropicMessages, &events);
    assert_eq!(at(&told, "/error/message"), ["later"]);
    assert_eq!(at(&told, "/choices/0/finish_reason"), [] as [Value; 0]);
    let failed = [
        said("a"),
        json!({"error": {"message": "later", "type": "server_error"}}),
    ];
    let told = streamed(OpenaiResponses, OpenaiChat, &failed);
    assert_eq!(told.last().unwrap()["type"], "response.failed");
    let body = format!(
        "{}event: error\ndata: {}\n\n",
        stream(&[said("a")]),
        json!({"error": {"message": "no such tool", "code": "tool_use_failed"}})
    );
    assert_eq!(told_of(&body), ("a".to_owned(), json!("error")));
    let failed = [json!({"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}})];
    let told = streamed(AnthropicMessages, GeminiGenerate, &failed);
    assert_eq!(told.last().unwrap()["error"]["type"], "overloaded_error");
    let cut = streamed(AnthropicMessages, GeminiGenerate, &[]);
    assert!(cut.iter().all(|event| event["type"] != "message_stop"));
}

#[test]
fn p56_items_are_announced_told_and_done_in_order() {
    let mut events = anthropic_text(&["I ", "look."]);
    let call = json!({"type": "tool_use", "id": "call_1", "name": "look", "input": {}});
    events.extend(anthropic_block(
        1,
        call,
        vec![json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})],
    ));
    let told = streamed(
        OpenaiResponses,
        AnthropicMessages,
        &anthropic_stream(events, "tool_use"),
    );
    let numbers: Vec<_> = told
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(
        numbers.iter().copied().eq(0..u64::try_from(told.len()).unwrap()),
        "{numbers:?}"
    );
    let mut open = Vec::new();
    let mut done = Vec::new();
    for event in &told {
        let item = &event["item"];
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => open.push(item["id"].clone()),
            "response.output_item.done" => {
                assert!(open.contains(&item["id"]), "{event}");
                done.push(item.clone());
            }
            _ => assert!(event.get("item_id").is_none_or(|id| open.contains(id)), "{event}"),
        }
    }
    let last = told.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["output"], json!(done));
    assert_eq!(done.len(), 2);
}

#[test]
fn p56_a_seal_is_the_last_one_told_and_the_end_may_repeat_nothing() {
    let thought = |id: &str, seal: &str| json!({"type": "reasoning", "id": id, "summary": [], "encrypted_content": seal});
    let call = |arguments: &str| json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": arguments});
    let events = [
        json!({"type": "response.output_item.added", "output_index": 0, "item": thought("rs_1", "ZWFybHk=")}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": call("")}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": call("{\"a\":1}")}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": thought("rs_2", "ZmluYWw=")}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
    ];
    let told = streamed(AnthropicMessages, OpenaiResponses, &events);
    assert_eq!(joined(&told, "/delta/partial_json"), "{\"a\":1}");
    let seals = joined(&told, "/delta/signature");
    assert!(
        seals.contains("ZmluYWw=") && !seals.contains("ZWFybHk="),
        "{told:?}"
    );
}

#[test]
fn p55_a_sign_of_life_passes_between_events_and_says_nothing() {
    let asked = request(OpenaiChat, json!({"stream": true})).to_string();
    let envelope = OpenaiChat
        .look(asked.as_bytes(), IN_PATH, &Limits::default())
        .unwrap();
    let mut translation =
        crossing(OpenaiChat, AnthropicMessages, &Profile::default()).stream(&envelope, IN_PATH);
    let mut out = Vec::new();
    translation
        .push(b"event: ping\ndata: {\"type\":\"ping\"}\n\n", &mut out)
        .unwrap();
    let passed = String::from_utf8(out.concat()).unwrap();
    assert!(passed.starts_with(':') && passed.ends_with("\n\n"), "{passed:?}");
    assert!(!translation.has_said());
}
