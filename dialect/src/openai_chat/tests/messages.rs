//! Whole requests, answers and faults.

use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::neutral::{
    Arguments, BadAnswer, CacheMark, CacheMarks, CallIds, FaultKind, Finish, Heading, Losses, MaxTokensName,
    Media, MediaKind, MediaSource, Part, Profile, Reasoning, ReasoningField, Reply, Request, Role, Seal,
    Target, Text, ToolCall, ToolResult, Turn,
};

fn asked(body: &Value) -> Request {
    read_request(body.to_string().as_bytes()).unwrap()
}

fn sent(request: &Request, profile: &Profile) -> (Value, Option<String>) {
    let mut losses = Losses::new(false);
    let target = Target { model: "m", profile };
    let written = write_request(request, &target, &mut losses).unwrap();
    (serde_json::from_slice(&written.body).unwrap(), losses.header())
}

fn answered(body: &Value, profile: &Profile) -> Reply {
    read_reply(body.to_string().as_bytes(), profile).unwrap()
}

fn shown(reply: &Reply) -> Value {
    let heading = Heading {
        id: "chatcmpl-1",
        created_s: 7,
        model: "asked",
    };
    serde_json::from_slice(&write_reply(reply, &heading)).unwrap()
}

fn reply(parts: Vec<Part>, finish: Finish) -> Reply {
    Reply {
        id: String::new(),
        model: String::new(),
        created_s: None,
        parts,
        finish,
        others: Vec::new(),
        usage: None,
        service_tier: None,
        logprobs: None,
        raw: Vec::new(),
    }
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        id_is_ours: false,
        name: "f".to_owned(),
        arguments: Arguments::Json(arguments.to_owned()),
        seal: None,
        cache: None,
        raw: Vec::new(),
    }
}

fn result(id: &str, parts: Vec<Part>) -> ToolResult {
    ToolResult {
        call_id: id.to_owned(),
        name: Some("f".to_owned()),
        parts,
        is_error: false,
        is_free_text: false,
        cache: None,
        raw: Vec::new(),
    }
}

fn seal(origin: Dialect) -> Seal {
    Seal {
        origin,
        data: "c2lnbg==".to_owned(),
    }
}

/// A conversation in which a tool was called and has answered.
fn with_result(call: ToolCall, result: ToolResult, thoughts: Vec<Reasoning>) -> Request {
    let mut parts: Vec<Part> = thoughts.into_iter().map(Part::Reasoning).collect();
    parts.push(Part::ToolCall(call));
    Request {
        model: "m".to_owned(),
        turns: vec![
            Turn::new(Role::User, vec![Part::text("go")]),
            Turn::new(Role::Assistant, parts),
            Turn::new(Role::User, vec![Part::ToolResult(result)]),
        ],
        ..Request::default()
    }
}

#[test]
fn every_member_of_a_request_is_read_and_written() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "name": "u", "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "new_kind", "x": 1.0}
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{ \"b\":1.0,\"a\":1e3 }"}},
                {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
            ]},
            {"role": "tool", "tool_call_id": "c2", "content": "r2"},
            {"role": "tool", "tool_call_id": "c1", "content": "r1"},
            {"role": "assistant", "content": "done", "refusal": "no"},
            {"role": "user", "content": "more"}
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}},
            {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}
        ],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "patch"}}]}},
        "parallel_tool_calls": false,
        "temperature": 0.5,
        "top_p": 1,
        "frequency_penalty": 0.25,
        "presence_penalty": -1,
        "seed": 7,
        "reasoning_effort": "xhigh",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {"z": 1, "a": 2}, "strict": false}},
        "stop": ["x", "y"],
        "logprobs": true,
        "top_logprobs": 2,
        "max_completion_tokens": 9,
        "service_tier": "flex",
        "stream": true,
        "stream_options": {"include_usage": true},
        "prompt_cache_key": "k",
        "verbosity": "low"
    });
    let (again, lost) = sent(&asked(&body), &Profile::default());
    assert_eq!(again, body);
    assert_eq!(lost, None);
}

#[test]
fn older_and_looser_spellings_mean_the_same() {
    let with = |more: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "a"}]});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        sent(&asked(&body), &Profile::default()).0
    };
    assert_eq!(
        with(json!({"max_tokens": 5, "max_completion_tokens": 9}))["max_completion_tokens"],
        5,
        "P58"
    );
    assert_eq!(with(json!({"stop": "x"}))["stop"], json!(["x"]));
    assert_eq!(
        with(json!({"reasoning": {"effort": "low"}}))["reasoning_effort"],
        "low"
    );
    assert_eq!(
        with(json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}))["reasoning_effort"],
        "medium"
    );
    assert_eq!(
        with(json!({"thinking": {"type": "disabled"}}))["reasoning_effort"],
        "none"
    );
    assert_eq!(with(json!({}))["messages"][0]["role"], "system");
    let old = with(json!({"functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"}}));
    assert_eq!(
        old["tools"][0],
        json!({"type": "function", "function": {"name": "f", "parameters": {}}})
    );
    assert_eq!(
        old["tool_choice"],
        json!({"type": "function", "function": {"name": "f"}})
    );
    let null = with(json!({"temperature": null, "tools": null, "stop": null, "stream": false, "new": null}));
    assert_eq!(null.as_object().unwrap().len(), 2, "{null}");
    let old = asked(&json!({"model": "m", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"}]}));
    let (old, _) = sent(&old, &Profile::default());
    assert_eq!(
        old["messages"][1]["tool_calls"][0]["id"],
        old["messages"][2]["tool_call_id"]
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    for (body, param) in [
        (r#"{"messages":[]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":[{"content":"a"}]}"#, "role"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":1}]}"#,
            "content",
        ),
        (r#"{"model":"m","messages":[],"temperature":"x"}"#, "temperature"),
        (r#"{"model":"m","messages":[],"tool_choice":"x"}"#, "tool_choice"),
        (
            r#"{"model":"m","messages":[],"response_format":{"type":"x"}}"#,
            "response_format",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%%"}}]}]}"#,
            "image_url",
        ),
    ] {
        assert_eq!(
            read_request(body.as_bytes()).unwrap_err().named(),
            Some(param),
            "{body}"
        );
    }
    assert!(read_request(b"[]").is_err());
}

#[test]
fn p20_cache_marks_are_kept_where_the_provider_knows_them() {
    let body = json!({"model": "m", "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"role": "user", "content": "a"}],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]});
    let request = asked(&body);
    let marks = |cache_marks: CacheMarks| {
        sent(
            &request,
            &Profile {
                cache_marks,
                ..Profile::default()
            },
        )
    };
    assert_eq!(marks(CacheMarks::CacheControl), (body, None));
    let (breakpoints, _) = marks(CacheMarks::Breakpoint);
    let part = &breakpoints["messages"][0]["content"][0];
    assert_eq!(part["prompt_cache_breakpoint"], json!({"mode": "explicit"}));
    assert_eq!(
        asked(&breakpoints).turns[0].parts[0],
        Part::Text(Text {
            cache: Some(CacheMark::default()),
            ..Text::new("s")
        })
    );
    assert_eq!(marks(CacheMarks::None).1.as_deref(), Some("cache_control"));
}

#[test]
fn p7_p9_seals_survive_a_client_and_reach_nobody_else() {
    for origin in [
        Dialect::AnthropicMessages,
        Dialect::OpenaiResponses,
        Dialect::GeminiGenerate,
    ] {
        let reasoning = Reasoning {
            texts: vec!["hm".to_owned()],
            seal: Some(seal(origin)),
            is_summary: origin == Dialect::OpenaiResponses,
            id: (origin == Dialect::OpenaiResponses).then(|| "rs_1".to_owned()),
            ..Reasoning::default()
        };
        let redacted = Reasoning {
            seal: Some(Seal {
                data: "cmVk".to_owned(),
                ..seal(origin)
            }),
            redacted: origin == Dialect::AnthropicMessages,
            ..Reasoning::default()
        };
        let called = ToolCall {
            seal: (origin == Dialect::GeminiGenerate).then(|| seal(origin)),
            ..call("c1", "{}")
        };
        let parts = vec![
            Part::Reasoning(reasoning),
            Part::Reasoning(redacted),
            Part::ToolCall(called),
        ];
        let mut message = shown(&reply(parts.clone(), Finish::ToolCall))["choices"][0]["message"].clone();
        assert_eq!(message["content"], Value::Null);
        assert_eq!(message["reasoning_content"], "hm");
        let id = message["tool_calls"][0]["id"].clone();
        let history = |message: &Value| {
            let results = json!({"role": "tool", "tool_call_id": id, "content": "r"});
            asked(&json!({"model": "m", "messages": [{"role": "user", "content": "a"}, message, results]}))
        };
        let request = history(&message);
        assert_eq!(request.turns[1].parts, parts, "whole, by the details");
        let Part::ToolResult(found) = &request.turns[2].parts[0] else {
            panic!()
        };
        assert_eq!(found.call_id, "c1", "the result finds its call");
        // A client that passes on nothing but what it knows.
        message.as_object_mut().unwrap().remove("reasoning_details");
        message["tool_calls"][0]
            .as_object_mut()
            .unwrap()
            .remove("extra_content");
        let request = history(&message);
        let seals: Vec<_> = request.turns[1]
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Reasoning(reasoning) => reasoning.seal.clone(),
                _ => None,
            })
            .collect();
        assert_eq!(
            seals,
            [
                seal(origin),
                Seal {
                    data: "cmVk".to_owned(),
                    ..seal(origin)
                }
            ],
            "by the id"
        );
        // To another vendor none of it goes, and that is told.
        for reasoning in [
            ReasoningField::None,
            ReasoningField::ReasoningContent,
            ReasoningField::ReasoningDetails,
        ] {
            let (body, lost) = sent(
                &request,
                &Profile {
                    reasoning,
                    ..Profile::default()
                },
            );
            let body = body.to_string();
            assert!(
                !body.contains("c2lnbg") && !body.contains("cmVk") && !body.contains("tlg1"),
                "{body}"
            );
            assert_eq!(lost.as_deref(), Some("reasoning"));
        }
    }
}

#[test]
fn p27_p29_a_vendor_gets_back_its_own_thoughts_in_its_own_form() {
    let native = json!([
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "id": "r1", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.summary", "summary": "s", "format": "openai-responses-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "enc", "id": "rs_1", "format": "openai-responses-v1", "index": 1}
    ]);
    let answer = json!({"choices": [{"message": {"role": "assistant", "content": "a", "reasoning": "hms", "reasoning_details": native}, "finish_reason": "stop"}]});
    let read = answered(&answer, &Profile::default());
    assert_eq!(read.parts.len(), 3, "{read:?}");
    let request = Request {
        model: "m".to_owned(),
        turns: vec![
            Turn::new(Role::User, vec![Part::text("q")]),
            Turn::new(Role::Assistant, read.parts),
            Turn::new(Role::User, vec![Part::text("q")]),
        ],
        ..Request::default()
    };
    let with = |reasoning| {
        sent(
            &request,
            &Profile {
                reasoning,
                ..Profile::default()
            },
        )
    };
    let (body, lost) = with(ReasoningField::ReasoningDetails);
    assert_eq!((&body["messages"][1]["reasoning_details"], lost), (&native, None));
    assert_eq!(
        with(ReasoningField::ReasoningContent).0["messages"][1]["reasoning_content"],
        "hm\n\ns"
    );
    assert_eq!(
        with(ReasoningField::Reasoning).0["messages"][1]["reasoning"],
        "hm\n\ns"
    );
    let (body, lost) = with(ReasoningField::None);
    assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "a"}));
    assert_eq!(lost.as_deref(), Some("reasoning"));
}

#[test]
fn media_in_results_move_behind_them_and_errors_are_told() {
    let image = Part::Media(Media {
        kind: MediaKind::Image,
        source: MediaSource::Base64("iVBORw0KGgo=".to_owned()),
        media_type: Some("image/png".to_owned()),
        name: None,
        detail: None,
        cache: None,
        raw: Vec::new(),
    });
    let answer = ToolResult {
        is_error: true,
        ..result("c1", vec![Part::text("bad"), image])
    };
    let (body, _) = sent(
        &with_result(call("c1", ""), answer, Vec::new()),
        &Profile::default(),
    );
    let messages = &body["messages"];
    assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], "{}", "P3");
    assert_eq!(
        messages[2],
        json!({"role": "tool", "tool_call_id": "c1", "content": "Error: bad\n[Attachment 1 follows in the next message.]"})
    );
    assert_eq!(messages[3]["role"], "user");
    assert_eq!(
        messages[3]["content"][0]["text"],
        "[Attachment 1 of the result of `f`:]"
    );
    assert_eq!(
        messages[3]["content"][1]["image_url"]["url"],
        "data:image/png;base64,iVBORw0KGgo="
    );
}

#[test]
fn p13_p14_names_and_ids_fit_the_provider_and_are_turned_back() {
    let mut request = with_result(
        call("functions.Bash:0", "{}"),
        result("functions.Bash:0", vec![Part::text("r")]),
        Vec::new(),
    );
    if let Part::ToolCall(call) = &mut request.turns[1].parts[0] {
        call.name = "my tool".to_owned();
    }
    for (call_ids, length) in [(CallIds::Usual, 40), (CallIds::Nine, 9)] {
        let profile = Profile {
            call_ids,
            ..Profile::default()
        };
        let target = Target {
            model: "m",
            profile: &profile,
        };
        let written = write_request(&request, &target, &mut Losses::new(false)).unwrap();
        let body: Value = serde_json::from_slice(&written.body).unwrap();
        let call = &body["messages"][1]["tool_calls"][0];
        assert_eq!(call["id"], body["messages"][2]["tool_call_id"]);
        assert!(call["id"].as_str().unwrap().len() <= length);
        let name = call["function"]["name"].as_str().unwrap();
        assert_eq!(written.undo.names.original(name), Some("my tool"));
    }
}

#[test]
fn a_profile_decides_what_is_spelled_how() {
    let body = json!({"model": "m", "stream": true, "max_tokens": 5, "temperature": 1, "top_k": 3, "reasoning_effort": "low",
        "stop": ["a", "b", "c", "d", "e"],
        "messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "later"}, {"role": "user", "content": "b"}],
        "tools": [{"type": "custom", "custom": {"name": "patch"}}], "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}});
    let profile = Profile {
        max_tokens_name: MaxTokensName::MaxTokens,
        thinking: crate::neutral::ThinkingStyle::None,
        sampling: false,
        json_schema: false,
        system_anywhere: false,
        parallel_tools: false,
        stream_options: false,
        free_text_tools: false,
        ..Profile::default()
    };
    let target = Target {
        model: "other",
        profile: &profile,
    };
    let mut losses = Losses::new(false);
    let written = write_request(&asked(&body), &target, &mut losses).unwrap();
    let sent: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(
        (&sent["model"], &sent["max_tokens"]),
        (&json!("other"), &json!(5))
    );
    assert_eq!(
        sent["messages"][1],
        json!({"role": "user", "content": "<system-reminder>\nlater\n</system-reminder>"}),
        "P22"
    );
    assert_eq!(sent["response_format"], json!({"type": "json_object"}));
    assert!(
        sent["messages"][3]["content"]
            .as_str()
            .unwrap()
            .contains("JSON schema")
    );
    assert_eq!(sent["tools"][0]["function"]["name"], "patch", "P66");
    assert_eq!(written.undo.free_text_tools, ["patch"]);
    assert_eq!(
        (sent["stop"].as_array().unwrap().len(), written.undo.stop),
        (4, vec!["e".to_owned()]),
        "P42"
    );
    assert_eq!(
        losses.header().as_deref(),
        Some("parallel_tool_calls, temperature, top_k, reasoning_effort")
    );
    for absent in [
        "temperature",
        "stream_options",
        "parallel_tool_calls",
        "reasoning_effort",
    ] {
        assert_eq!(sent[absent], Value::Null, "{absent}");
    }
    let prefill = Request {
        turns: vec![
            Turn::new(Role::User, vec![Part::text("a")]),
            Turn::new(Role::Assistant, vec![Part::text("b")]),
        ],
        ..Request::default()
    };
    let refused = write_request(&prefill, &target, &mut Losses::new(false)).unwrap_err();
    assert_eq!(refused.named(), Some("messages"), "P41");
}

#[test]
fn a_written_answer_has_what_openais_clients_look_for() {
    let empty = shown(&reply(Vec::new(), Finish::End));
    assert_eq!(
        empty,
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "asked",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "", "refusal": null}, "logprobs": null, "finish_reason": "stop"}]})
    );
    let refused = shown(&reply(
        vec![Part::Refusal("no".to_owned())],
        Finish::Refused(None),
    ));
    let choice = &refused["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["message"]["refusal"]),
        (&Value::Null, &json!("no")),
        "P43"
    );
    assert_eq!(choice["finish_reason"], "stop");
    let truncated = shown(&reply(
        vec![Part::ToolCall(call("c", "{\"a\":"))],
        Finish::MaxTokens,
    ));
    assert_eq!(truncated["choices"][0]["finish_reason"], "length", "P6");
    let cited = Part::Text(Text {
        citations: vec![crate::neutral::Citation::Url {
            url: "https://example.com".to_owned(),
            title: None,
            start: Some(1),
            end: Some(2),
        }],
        ..Text::new("ab")
    });
    let cited = shown(&reply(vec![Part::text("\u{e9}\u{1f600}"), cited], Finish::End));
    let place = &cited["choices"][0]["message"]["annotations"][0]["url_citation"];
    assert_eq!(
        (&place["start_index"], &place["end_index"]),
        (&json!(3), &json!(4)),
        "P45"
    );
}

#[test]
fn answers_of_every_vendor_are_read() {
    let profile = Profile::default();
    let message = |message: Value, finish: &str| {
        answered(
            &json!({"id": "x", "choices": [{"message": message, "finish_reason": finish}]}),
            &profile,
        )
    };
    // Snowflake's empty members beside the real ones; the reason is decided by what is there.
    let read = message(
        json!({"content": "", "refusal": "", "function_call": {"arguments": "", "name": ""}, "audio": {},
            "tool_calls": [{"id": "t", "type": "function", "custom": {"input": "", "name": ""}, "function": {"name": "f", "arguments": "{}"}}]}),
        "",
    );
    assert_eq!(read.parts, [Part::ToolCall(call("t", "{}"))]);
    assert_eq!(read.finish, Finish::ToolCall, "P15");
    // Gemini's endpoint: no id, and the signature at the message.
    let read = message(
        json!({"extra_content": {"google": {"thought_signature": "c2lnbg=="}}, "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": {"a": 1.0}}}]}),
        "stop",
    );
    let Part::ToolCall(called) = &read.parts[0] else {
        panic!()
    };
    assert!(called.id_is_ours && !called.id.is_empty());
    assert_eq!(called.seal, Some(seal(Dialect::GeminiGenerate)));
    assert_eq!(called.arguments, Arguments::Json("{\"a\":1.0}".to_owned()), "P5");
    assert_eq!(
        message(json!({"content": "a"}), "weird").finish,
        Finish::Other("weird".to_owned()),
        "P61"
    );
    let error = json!({"error": {"message": "no credits", "code": 402}});
    let Err(BadAnswer::Fault(fault)) = read_reply(error.to_string().as_bytes(), &profile) else {
        panic!()
    };
    assert_eq!(fault.kind, FaultKind::Billing);
    assert!(matches!(
        read_reply(b"{}", &profile),
        Err(BadAnswer::Malformed(_))
    ));
    assert!(matches!(
        read_reply(b"<html>", &profile),
        Err(BadAnswer::Malformed(_))
    ));
    let pages = json!({"citations": ["https://example.com"], "choices": [{"message": {"content": "a [1]"}}]});
    let read = answered(&pages, &profile);
    assert!(matches!(&read.parts[0], Part::Text(text) if text.citations.len() == 1));
}

#[test]
fn p62_faults_are_known_in_every_shape() {
    for (status, body, kind, retry_after_ms) in [
        (
            400,
            r#"{"error":{"message":"m","type":"invalid_request_error","param":"x","code":null}}"#,
            FaultKind::BadRequest,
            None,
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 9","type":"invalid_request_error"}}"#,
            FaultKind::ContextTooLong,
            None,
        ),
        (
            400,
            r#"{"error":{"code":"content_filter","message":"m","innererror":{}}}"#,
            FaultKind::ContentBlocked,
            None,
        ),
        (
            401,
            r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: sk-abc"}}"#,
            FaultKind::Auth,
            None,
        ),
        (
            429,
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"m"}}"#,
            FaultKind::Billing,
            None,
        ),
        (
            429,
            r#"{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"Please try again in 1m2.5s."}}"#,
            FaultKind::RateLimit,
            Some(62_500),
        ),
        (
            429,
            r#"{"error":{"message":"try again in 120ms"}}"#,
            FaultKind::RateLimit,
            Some(120),
        ),
        (
            429,
            r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[{"retryDelay":"34s"}]}}]"#,
            FaultKind::RateLimit,
            Some(34_000),
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            FaultKind::Overloaded,
            None,
        ),
        (
            422,
            r#"{"object":"error","message":{"detail":[]},"type":"invalid_request_error","code":"1"}"#,
            FaultKind::BadRequest,
            None,
        ),
        (404, r#"{"detail":"Not Found"}"#, FaultKind::NotFound, None),
        (500, r#"{"error":"boom"}"#, FaultKind::Internal, None),
        (502, "<html>bad gateway</html>", FaultKind::Internal, None),
        (503, "", FaultKind::Overloaded, None),
        (
            503,
            r#"{"error":{"message":"m","type":"server_error","code":"server_error"}}"#,
            FaultKind::Overloaded,
            None,
        ),
    ] {
        let fault = read_fault(status, body.as_bytes());
        assert_eq!(
            (fault.kind, fault.retry_after_ms),
            (kind, retry_after_ms),
            "{body}"
        );
        let (status, written) = write_fault(&fault);
        assert!((400..600).contains(&status));
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert!(written["error"]["message"].is_string() && written["error"]["type"].is_string());
    }
}
