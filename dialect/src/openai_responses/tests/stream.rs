//! Streams, case by case.

use serde_json::{Value, json};

use super::checker::{Leniency, events, problems, schema_of};
use super::collect::{Told, collect};
use super::*;
use crate::Dialect;
use crate::Usage;
use crate::neutral::carry::split_tool_call_id;
use crate::neutral::{
    Arguments, Block, Citation, Delta, Event, Fault, FaultKind, Finish, OwnedHeading, Part, Profile, Raw,
    Seal, Start,
};
use crate::spec::Spec;

fn heading() -> OwnedHeading {
    OwnedHeading {
        id: "resp_0a1b".to_owned(),
        created_s: 1_760_000_000,
        model: "asked".to_owned(),
    }
}

/// What is written of these events, which the checker and the document have to take.
fn written(events_told: &[Event]) -> Vec<u8> {
    let mut writer = StreamWriter::new(heading());
    let mut out = Vec::new();
    for event in events_told {
        writer.write(event, &mut out);
    }
    assert_eq!(
        problems(&out, Leniency::default()),
        Vec::<String>::new(),
        "{}",
        String::from_utf8_lossy(&out)
    );
    for (kind, data) in events(&out) {
        if let Some(document) = Spec::openai() {
            let found = document.problems(schema_of(&kind.unwrap()), &data);
            assert_eq!(found, Vec::<String>::new(), "{}", String::from_utf8_lossy(&data));
        }
    }
    out
}

fn last(stream: &[u8]) -> Value {
    let (_, data) = events(stream).pop().unwrap();
    serde_json::from_slice(&data).unwrap()
}

fn read(lines: &[Value]) -> Vec<Event> {
    let mut reader = StreamReader::new(&Profile::default());
    let mut out = Vec::new();
    for line in lines {
        reader.read(format!("data: {line}\n\n").as_bytes(), &mut out);
    }
    reader.finish(&mut out);
    out
}

fn told(lines: &[Value]) -> Told {
    collect(&read(lines))
}

fn text(block: u32, text: &str) -> Event {
    Event::Delta {
        block,
        delta: Delta::Text(text.to_owned()),
    }
}

fn arguments(block: u32, text: &str) -> Event {
    Event::Delta {
        block,
        delta: Delta::Arguments(text.to_owned()),
    }
}

fn open(block: u32, kind: Block) -> Event {
    Event::Open { block, kind }
}

fn call(id: &str, name: &str, is_free_text: bool) -> Block {
    Block::ToolCall {
        id: id.to_owned(),
        id_is_ours: false,
        name: name.to_owned(),
        is_free_text,
    }
}

fn start() -> Event {
    Event::Start(Start {
        id: "msg_1".to_owned(),
        model: "told".to_owned(),
        ..Start::default()
    })
}

fn raw(origin: Dialect, json: &str) -> Raw {
    Raw::new(
        origin,
        "",
        serde_json::value::RawValue::from_string(json.to_owned()).unwrap(),
    )
}

fn seal(block: u32, redacted: bool) -> Event {
    let seal = Seal {
        origin: Dialect::AnthropicMessages,
        data: "c2VhbA==".to_owned(),
    };
    Event::Delta {
        block,
        delta: Delta::Seal { seal, redacted },
    }
}

fn ending(finish: Finish) -> [Event; 3] {
    let usage = Usage {
        input_tokens: 3,
        output_tokens: 4,
        reasoning_tokens: 2,
        ..Usage::default()
    };
    [Event::Usage(usage), Event::Finish(finish), Event::End]
}

/// Everything that an answer can hold, in one.
fn everything() -> Vec<Event> {
    let citation = Citation::Url {
        url: "https://example.com/".to_owned(),
        title: None,
        start: Some(0),
        end: Some(2),
    };
    let summary = || Block::Reasoning {
        is_summary: true,
        id: None,
    };
    let mut events = vec![
        start(),
        open(0, summary()),
        text(0, "one"),
        Event::Delta {
            block: 0,
            delta: Delta::NextPiece,
        },
        text(0, "two"),
        seal(0, false),
        Event::Close { block: 0 },
        open(
            1,
            Block::Reasoning {
                is_summary: false,
                id: None,
            },
        ),
        text(1, "plain\u{1f468}\u{200d}"),
        Event::KeepAlive,
        Event::Close { block: 1 },
        open(2, summary()),
        seal(2, true),
        Event::Close { block: 2 },
        open(3, summary()),
        seal(3, false),
        Event::Close { block: 3 },
        open(4, Block::Text),
        text(4, "first"),
        Event::Delta {
            block: 4,
            delta: Delta::Citation(citation),
        },
        Event::Delta {
            block: 4,
            delta: Delta::Citation(Citation::Raw(raw(Dialect::AnthropicMessages, "{\"a\":1}"))),
        },
        Event::Delta {
            block: 4,
            delta: Delta::Logprobs(raw(
                Dialect::OpenaiChat,
                "{\"content\":[{\"token\":\"a\",\"logprob\":-1.0,\n\"bytes\":[97],\"top_logprobs\":[]}]}",
            )),
        },
        Event::Close { block: 4 },
        open(5, Block::Text),
        text(5, "second"),
        Event::Close { block: 5 },
        open(6, call("c1", "f", false)),
        arguments(6, "{\"a\":"),
        open(7, call("c2", "space::g", false)),
        arguments(6, "1}"),
        Event::Close { block: 7 },
        Event::Close { block: 6 },
        open(8, call("c3", "patch", true)),
        arguments(8, "***"),
        Event::Close { block: 8 },
        open(
            9,
            Block::Raw(raw(Dialect::AnthropicMessages, "{\"type\":\"server_tool_use\"}")),
        ),
        Event::Close { block: 9 },
        open(10, Block::Text),
        open(11, Block::Refusal),
        text(10, "late"),
        text(11, "no"),
        Event::Close { block: 11 },
        Event::Close { block: 10 },
    ];
    events.extend(ending(Finish::ToolCall));
    events
}

#[test]
fn p56_every_kind_of_block_is_announced_told_and_done_in_order() {
    let stream = written(&everything());
    let response = &last(&stream)["response"];
    let kinds: Vec<_> = response["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "reasoning",
            "reasoning",
            "reasoning",
            "reasoning",
            "message",
            "function_call",
            "function_call",
            "custom_tool_call",
            "message",
            "message",
        ]
    );
    let output = &response["output"];
    assert_eq!(output[0]["summary"][1]["text"], "two");
    assert_eq!(output[1]["content"][0]["text"], "plain\u{1f468}\u{200d}");
    assert_eq!(output[2]["summary"], json!([]));
    assert_eq!(
        output[3]["summary"],
        json!([{"type": "summary_text", "text": ""}])
    );
    assert_eq!(output[4]["content"].as_array().unwrap().len(), 2);
    assert_eq!(
        output[4]["content"][0]["annotations"].as_array().unwrap().len(),
        1
    );
    assert_eq!(output[4]["content"][0]["logprobs"][0]["token"], "a");
    assert_eq!(
        (
            &output[6]["name"],
            &output[6]["namespace"],
            &output[6]["arguments"]
        ),
        (&json!("g"), &json!("space"), &json!("{}"))
    );
    assert_eq!(output[7]["input"], "***");
    assert_eq!(response["usage"]["total_tokens"], 7);
    assert_eq!(
        (&response["model"], &response["id"]),
        (&json!("told"), &json!("resp_0a1b"))
    );
    // P65: what is as usual is there all the same.
    for member in [
        "error",
        "incomplete_details",
        "instructions",
        "metadata",
        "parallel_tool_calls",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_p",
        "truncation",
        "service_tier",
        "store",
        "previous_response_id",
    ] {
        assert!(response.get(member).is_some(), "{member}");
    }
    // And it is read again as what it was.
    let again = collect(&read_all(&stream));
    let calls: Vec<_> = again
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.id.as_str(), call.name.as_str(), call.arguments.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("c1", "f", Arguments::Json("{\"a\":1}".to_owned())),
            ("c2", "space::g", Arguments::Json("{}".to_owned())),
            ("c3", "patch", Arguments::Text("***".to_owned())),
        ]
    );
    let seals = again.parts.iter().filter_map(|part| match part {
        Part::Reasoning(reasoning) => reasoning.seal.as_ref().map(|seal| seal.origin),
        _ => None,
    });
    assert_eq!(seals.collect::<Vec<_>>(), [Dialect::AnthropicMessages; 3]);
}

fn read_all(stream: &[u8]) -> Vec<Event> {
    let mut reader = StreamReader::new(&Profile::default());
    let mut out = Vec::new();
    for (_, data) in events(stream) {
        let mut event = b"data: ".to_vec();
        event.extend(data);
        event.extend_from_slice(b"\n\n");
        reader.read(&event, &mut out);
    }
    out
}

#[test]
fn the_same_events_are_written_the_same_and_a_whole_answer_says_the_same() {
    assert_eq!(written(&everything()), written(&everything()));
    let told = collect(&everything());
    let reply = crate::neutral::Reply {
        id: told.start.id,
        model: told.start.model,
        created_s: None,
        parts: told.parts,
        finish: told.finish.unwrap(),
        others: Vec::new(),
        usage: told.usage,
        service_tier: None,
        logprobs: Some(raw(
            Dialect::OpenaiChat,
            "{\"content\":[{\"token\":\"a\",\"logprob\":-1.0, \"bytes\":[97],\"top_logprobs\":[]}]}",
        )),
        raw: Vec::new(),
    };
    let whole: Value = serde_json::from_slice(&write_reply(&reply, &heading().as_heading())).unwrap();
    let streamed = last(&written(&everything()))["response"].clone();
    let joined = |response: &Value| {
        let output = response["output"].as_array().unwrap();
        output[..8].to_vec()
    };
    assert_eq!(joined(&whole), joined(&streamed));
    for member in ["id", "model", "status", "usage", "created_at"] {
        assert_eq!(whole[member], streamed[member], "{member}");
    }
    if let Some(document) = Spec::openai() {
        assert_eq!(
            document.problems("Response", whole.to_string().as_bytes()),
            Vec::<String>::new()
        );
    }
}

#[test]
fn p7_the_seal_of_a_call_goes_into_its_id() {
    let seal = Seal {
        origin: Dialect::GeminiGenerate,
        data: "c2VhbA==".to_owned(),
    };
    let mut told = vec![
        start(),
        open(0, call("c1", "f", false)),
        Event::Delta {
            block: 0,
            delta: Delta::Seal {
                seal: seal.clone(),
                redacted: false,
            },
        },
        arguments(0, "{}"),
        Event::Close { block: 0 },
    ];
    told.extend(ending(Finish::ToolCall));
    let response = last(&written(&told))["response"].clone();
    let (id, seals) = split_tool_call_id(response["output"][0]["call_id"].as_str().unwrap());
    assert_eq!((id.as_str(), &seals[0].seal), ("c1", &seal));
}

#[test]
fn each_reason_ends_the_stream_in_its_own_event() {
    let table = [
        (Finish::End, "response.completed", Value::Null),
        (Finish::StopSequence(None), "response.completed", Value::Null),
        (Finish::Paused, "response.completed", Value::Null),
        (Finish::Other("new".to_owned()), "response.completed", Value::Null),
        (
            Finish::MaxTokens,
            "response.incomplete",
            json!("max_output_tokens"),
        ),
        (
            Finish::ContextFull,
            "response.incomplete",
            json!("max_output_tokens"),
        ),
        (
            Finish::Blocked(Some("SAFETY".to_owned())),
            "response.incomplete",
            json!("content_filter"),
        ),
        (
            Finish::Refused(None),
            "response.incomplete",
            json!("content_filter"),
        ),
        (
            Finish::Refused(Some("I cannot.".to_owned())),
            "response.completed",
            Value::Null,
        ),
        (
            Finish::BadToolCall("MALFORMED".to_owned()),
            "response.failed",
            Value::Null,
        ),
    ];
    for (finish, name, reason) in table {
        let mut events = vec![
            start(),
            open(0, Block::Text),
            text(0, "a"),
            Event::Close { block: 0 },
        ];
        events.extend(ending(finish.clone()));
        let end = last(&written(&events));
        assert_eq!(
            (&end["type"], &end["response"]["incomplete_details"]["reason"]),
            (&json!(name), &reason),
            "{finish:?}"
        );
        let status = &end["response"]["output"][0]["status"];
        assert_eq!(
            status == "incomplete",
            name == "response.incomplete",
            "{finish:?}"
        );
        let has_refusal = end.to_string().contains("I cannot.");
        assert_eq!(has_refusal, matches!(finish, Finish::Refused(Some(_))));
    }
    // P6: a call in which the answer was cut is not a whole one.
    let mut events = vec![
        start(),
        open(0, call("c", "f", false)),
        arguments(0, "{\"a"),
        Event::Close { block: 0 },
    ];
    events.extend(ending(Finish::MaxTokens));
    assert_eq!(
        last(&written(&events))["response"]["output"][0]["status"],
        "incomplete"
    );
}

#[test]
fn p53_a_fault_is_an_error_and_a_failed_response_and_nothing_after_it() {
    let fault = Fault {
        kind: FaultKind::RateLimit,
        message: "busy".to_owned(),
        param: None,
        code: None,
        retry_after_ms: None,
    };
    for before in [vec![], vec![start(), open(0, Block::Text), text(0, "half")]] {
        let mut events = before;
        events.push(Event::Fault(fault.clone()));
        events.extend(ending(Finish::End));
        let stream = written(&events);
        let end = last(&stream);
        assert_eq!(
            (&end["type"], &end["response"]["error"]["message"]),
            (&json!("response.failed"), &json!("busy"))
        );
        let again = collect(&read_all(&stream));
        assert_eq!(
            again.fault.map(|fault| (fault.kind, fault.message)),
            Some((FaultKind::RateLimit, "busy".to_owned()))
        );
        assert!(!again.has_ended);
    }
    let (_, data) = events(&write_fault_event(&fault)).pop().unwrap();
    if let Some(document) = Spec::openai() {
        assert_eq!(
            document.problems("ResponseErrorEvent", &data),
            Vec::<String>::new()
        );
    }
    let refusal = crate::refusal::Refusal::new(crate::refusal::Code::ShuttingDown, "later");
    let event: Value = serde_json::from_slice(&events(&write_refusal_event(&refusal, 7))[0].1).unwrap();
    assert_eq!(
        (&event["type"], &event["sequence_number"], &event["error"]["code"]),
        (&json!("error"), &json!(7), &json!("shutting_down"))
    );
}

#[test]
fn an_answer_without_anything_is_an_answer() {
    let response = last(&written(&[Event::Finish(Finish::End), Event::End]))["response"].clone();
    assert_eq!(
        (&response["output"], &response["model"]),
        (&json!([]), &json!("asked"))
    );
    let told =
        told(&[json!({"type": "response.completed", "response": {"output": [], "status": "completed"}})]);
    assert!(told.has_ended && told.parts.is_empty());
}

#[test]
fn p56_what_came_only_at_the_end_is_told_and_nothing_twice() {
    let message = |id: &str, text: &str| {
        json!({"type": "message", "id": id, "role": "assistant", "content":
        [{"type": "output_text", "text": text, "annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}]}]})
    };
    let end = |output: Value| json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": output}});
    let one = |parts: &[Part]| match parts {
        [Part::Text(text)] => (text.text.clone(), text.citations.len()),
        other => panic!("{other:?}"),
    };
    let created = json!({"type": "response.created", "response": {"id": "r", "model": "m"}});
    let delta = |text: &str| json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "x", "delta": text});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": message("b", "abc")});
    let cases = [
        vec![created.clone(), end(json!([message("a", "abc")]))],
        vec![created.clone(), done.clone(), end(json!([]))],
        vec![
            created.clone(),
            delta("ab"),
            done.clone(),
            end(json!([message("c", "abc")])),
        ],
        vec![delta("abc"), done.clone(), done, end(Value::Null)],
    ];
    for lines in cases {
        let told = told(&lines);
        assert_eq!(one(&told.parts), ("abc".to_owned(), 1), "{lines:?}");
        assert!(told.has_ended);
    }
}

#[test]
fn p56_items_may_end_out_of_order_and_a_seal_is_the_last_one_told() {
    let added = |index: u64, item: Value| json!({"type": "response.output_item.added", "output_index": index, "item": item});
    let done = |index: u64, item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    let call = |arguments: &str| json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments});
    let reasoning =
        |seal: &str| json!({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": seal});
    let told = told(&[
        added(0, reasoning("early")),
        added(1, call("")),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"a\""}),
        done(1, call("{\"a\":1}")),
        done(0, reasoning("final")),
        json!({"type": "response.completed", "response": {"status": "completed", "output": []}}),
    ]);
    assert_eq!(told.finish, Some(Finish::ToolCall));
    let Part::ToolCall(call) = &told.parts[0] else {
        panic!("{:?}", told.parts);
    };
    assert_eq!(call.arguments, Arguments::Json("{\"a\":1}".to_owned()));
    let Part::Reasoning(reasoning) = &told.parts[1] else {
        panic!("{:?}", told.parts);
    };
    assert_eq!(reasoning.seal.as_ref().unwrap().data, "final");
}

#[test]
fn p49_lines_may_name_no_type_and_done_is_no_end() {
    let mut reader = StreamReader::new(&Profile::default());
    let mut out = Vec::new();
    reader.read(b": OPENROUTER PROCESSING\n\n", &mut out);
    reader.read(b"data: [DONE]\n\n", &mut out);
    assert_eq!(out, [Event::KeepAlive]);
}

#[test]
fn errors_are_read_flat_and_nested_and_what_is_no_event_is_one() {
    for event in [
        json!({"type": "error", "code": "rate_limit_exceeded", "message": "Please try again in 1.5s.", "param": null}),
        json!({"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Please try again in 1.5s."}}),
        json!({"error": {"code": 429, "message": "Please try again in 1.5s."}}),
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "Please try again in 1.5s."}}}),
    ] {
        let fault = told(std::slice::from_ref(&event)).fault.unwrap();
        assert_eq!(
            (fault.kind, fault.retry_after_ms),
            (FaultKind::RateLimit, Some(1_500)),
            "{event}"
        );
    }
    let mut out = Vec::new();
    StreamReader::new(&Profile::default()).read(b"data: <html>\n\n", &mut out);
    assert!(matches!(out.as_slice(), [Event::Fault(_)]));
}

#[test]
fn p62_error_answers_are_read_whatever_they_are() {
    let kind = |status, body: &str| read_fault(status, body.as_bytes()).kind;
    for (status, body, expected) in [
        (502, "<html>bad gateway</html>", FaultKind::Internal),
        (503, "", FaultKind::Overloaded),
        (
            429,
            r#"{"error":{"code":"insufficient_quota","message":"x"}}"#,
            FaultKind::Billing,
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
            FaultKind::ContextTooLong,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 5"}}"#,
            FaultKind::ContextTooLong,
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            FaultKind::Overloaded,
        ),
        (
            403,
            r#"[{"error":{"code":403,"status":"PERMISSION_DENIED","message":"x"}}]"#,
            FaultKind::Permission,
        ),
        (401, r#"{"error":"no"}"#, FaultKind::Auth),
        (404, r#"{"detail":"Not Found"}"#, FaultKind::NotFound),
        (500, r#"{"error":{"message":null}}"#, FaultKind::Internal),
    ] {
        assert_eq!(kind(status, body), expected, "{body}");
    }
    let fault = read_fault(
        429,
        br#"{"error":{"message":"Please try again in 6m0s.","type":"requests"}}"#,
    );
    assert_eq!(fault.retry_after_ms, Some(360_000));
    let long = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "\u{e9}".repeat(5_000));
    assert!(read_fault(500, long.as_bytes()).message.len() <= 2_048);
}

/// Clients hold events to their numbers, also the one by which the gateway says that a passing stream has broken.
#[test]
fn p56_a_passing_stream_is_broken_off_with_the_next_number() {
    use crate::StreamMeter;
    use crate::openai_responses::StreamRelay;
    let mut relay = StreamRelay::new(StreamLimits::default());
    assert_eq!(relay.meter().next_number(), 0);
    for (event, next) in [
        (r#"{"type":"response.created","sequence_number":0}"#, 1),
        (r#"{"sequence_number" : 1,"type":"x"}"#, 1),
        (
            r#"{"type":"response.output_text.delta","delta":"\"sequence_number\":70","sequence_number": 41}"#,
            42,
        ),
        (r#"{"type":"response.output_text.delta","delta":"a"}"#, 42),
    ] {
        let event = format!("data: {event}\n\n");
        relay.push(event.into(), &mut Vec::new()).unwrap();
        assert_eq!(relay.meter().next_number(), next);
    }
}
