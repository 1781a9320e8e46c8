//! Streams: what is read of Anthropic's, and what is written for its clients from whatever a provider mixes.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::checker::{Ending, check};
use super::recorded::{read, written};
use crate::neutral::*;
use crate::spec::Spec;
use crate::sse::{self, Events, StreamLimits};
use crate::{Dialect, Usage};

const OWN: Dialect = Dialect::AnthropicMessages;

fn streamed(events: &[Value]) -> Vec<u8> {
    let mut stream = Vec::new();
    for event in events {
        sse::write_event(event["type"].as_str(), event.to_string().as_bytes(), &mut stream);
    }
    stream
}

fn start() -> Value {
    json!({"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],
        "stop_reason":null,"usage":{"input_tokens":3,"cache_read_input_tokens":2,"output_tokens":1}}})
}

fn opening(index: u32, block: Value) -> Value {
    json!({"type":"content_block_start","index":index,"content_block":block})
}

fn adding(index: u32, delta: Value) -> Value {
    json!({"type":"content_block_delta","index":index,"delta":delta})
}

fn closing(index: u32) -> Value {
    json!({"type":"content_block_stop","index":index})
}

fn ending(reason: &str) -> [Value; 2] {
    [
        json!({"type":"message_delta","delta":{"stop_reason":reason},"usage":{"output_tokens":9}}),
        json!({"type":"message_stop"}),
    ]
}

/// The data of what was written.
fn parsed(stream: &[u8]) -> Vec<Value> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut found = Vec::new();
    while let Some(event) = events.next_event() {
        found.push(serde_json::from_slice(&sse::data(event)).unwrap());
    }
    found
}

fn open(block: u32, kind: Block) -> Event {
    Event::Open { block, kind }
}

fn tool(block: u32, id: &str) -> Event {
    open(
        block,
        Block::ToolCall {
            id: id.to_owned(),
            id_is_ours: false,
            name: "look".to_owned(),
            is_free_text: false,
        },
    )
}

fn thinking(block: u32) -> Event {
    open(
        block,
        Block::Reasoning {
            is_summary: true,
            id: None,
        },
    )
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

fn seal(block: u32, origin: Dialect, redacted: bool) -> Event {
    Event::Delta {
        block,
        delta: Delta::Seal {
            seal: Seal {
                origin,
                data: "c2VhbA==".to_owned(),
            },
            redacted,
        },
    }
}

fn close(block: u32) -> Event {
    Event::Close { block }
}

fn whole(mut events: Vec<Event>, finish: Finish) -> Vec<Event> {
    events.insert(0, Event::Start(Start::default()));
    events.push(Event::Finish(finish));
    events.push(Event::End);
    events
}

#[test]
fn p3_p4_arguments_are_what_was_added_and_never_the_placeholder() {
    let told = |added: &[&str], input: Value| {
        let block = json!({"type":"tool_use","id":"t","name":"n","input":input});
        let mut events = vec![start(), opening(0, block)];
        events.extend(
            added
                .iter()
                .map(|text| adding(0, json!({"type":"input_json_delta","partial_json":text}))),
        );
        events.push(closing(0));
        events.extend(ending("tool_use"));
        let arguments = read(&streamed(&events), &[])
            .into_iter()
            .filter_map(|event| match event {
                Event::Delta {
                    delta: Delta::Arguments(text),
                    ..
                } => Some(text),
                _ => None,
            });
        arguments.collect::<String>()
    };
    assert_eq!(told(&["", "{\"a\"", ":1}"], json!({})), "{\"a\":1}");
    assert_eq!(told(&[""], json!({})), "{}");
    assert_eq!(told(&[], json!({})), "{}");
    assert_eq!(
        told(&[], json!({"a":1})),
        "{\"a\":1}",
        "some tell all in the beginning"
    );
}

#[test]
fn p6_a_call_that_the_cap_has_cut_is_closed_before_the_reason() {
    let block = json!({"type":"tool_use","id":"t","name":"n","input":{}});
    let mut events = vec![
        start(),
        opening(0, block),
        adding(0, json!({"type":"input_json_delta","partial_json":"{\"a"})),
    ];
    events.extend(ending("max_tokens"));
    let read = read(&streamed(&events), &[]);
    let closed = read.iter().position(|event| *event == close(0)).unwrap();
    let finished = read
        .iter()
        .position(|event| *event == Event::Finish(Finish::MaxTokens))
        .unwrap();
    assert!(closed < finished);
    assert_eq!(read.last(), Some(&Event::End));
}

#[test]
fn p52_a_second_beginning_is_a_slip_or_an_error() {
    let mut other = start();
    other["message"]["id"] = json!("another");
    let mut events = vec![start(), start()];
    events.extend(ending("end_turn"));
    assert_eq!(read(&streamed(&events), &[]).last(), Some(&Event::End));
    events.insert(2, other);
    let read = read(&streamed(&events), &[]);
    assert!(matches!(read.last(), Some(Event::Fault(_))), "{read:?}");
}

#[test]
fn p53_an_error_ends_a_stream_even_as_its_first_event() {
    let error = json!({"type":"error","error":{"type":"overloaded_error","message":"later"}});
    for events in [
        vec![error.clone()],
        vec![start(), error, json!({"type":"message_stop"})],
    ] {
        let read = read(&streamed(&events), &[]);
        assert!(matches!(read.last(), Some(Event::Fault(fault)) if fault.kind == FaultKind::Overloaded));
        assert_eq!(check(&written(&read)), Ok(Ending::Error));
    }
}

#[test]
fn later_counts_replace_earlier_ones() {
    let mut events = vec![start()];
    events.extend(ending("end_turn"));
    let read = read(&streamed(&events), &[]);
    let expected = Usage {
        input_tokens: 5,
        cached_input_tokens: 2,
        output_tokens: 9,
        ..Usage::default()
    };
    assert!(read.contains(&Event::Usage(expected)), "{read:?}");
}

#[test]
fn p19_blocks_of_the_vendors_own_are_told_when_they_are_complete() {
    let block = json!({"type":"server_tool_use","id":"s","name":"web_search","input":{}});
    let mut events = vec![
        start(),
        opening(0, block),
        adding(0, json!({"type":"input_json_delta","partial_json":"{\"query\":"})),
        adding(0, json!({"type":"input_json_delta","partial_json":"\"x\"}"})),
        closing(0),
        opening(1, json!({"type":"hologram","depth":3})),
        adding(1, json!({"type":"hologram_delta","voxels":"A"})),
        closing(1),
        json!({"type":"weather","sky":"clear"}),
    ];
    events.extend(ending("end_turn"));
    let read = read(&streamed(&events), &[]);
    let raws: Vec<Value> = read
        .iter()
        .filter_map(|event| match event {
            Event::Open {
                kind: Block::Raw(raw),
                ..
            }
            | Event::Raw(raw) => serde_json::from_str(raw.json.get()).ok(),
            _ => None,
        })
        .collect();
    assert_eq!(raws[0]["input"], json!({"query":"x"}));
    assert_eq!(raws[1], json!({"type":"hologram","depth":3}));
    assert_eq!(raws[2]["sky"], "clear");
    assert!(
        read.contains(&Event::Finish(Finish::End)),
        "no call of the client's"
    );
    assert_eq!(check(&written(&read)), Ok(Ending::Good));
}

#[test]
fn p2_blocks_that_interleave_are_told_one_after_the_other() {
    let events = whole(
        vec![
            thinking(0),
            text(0, "hm"),
            seal(0, OWN, false),
            close(0),
            tool(1, "a"),
            arguments(1, "{\"x\":"),
            tool(2, "b"),
            arguments(2, "{"),
            arguments(1, "1"),
            arguments(2, "}"),
            open(3, Block::Text),
            text(3, "later"),
            close(2),
            arguments(1, "}"),
            close(1),
            close(3),
        ],
        Finish::End,
    );
    let stream = written(&events);
    assert_eq!(check(&stream), Ok(Ending::Good));
    let events = parsed(&stream);
    if let Some(spec) = Spec::anthropic() {
        for event in &events {
            let problems = spec.problems("MessageStreamEvent", event.to_string().as_bytes());
            assert_eq!(problems, Vec::<String>::new(), "{event}");
        }
    }
    let told = |index: u32, name: &str| {
        let added = events.iter().filter(|event| event["index"] == index);
        added
            .filter_map(|event| event["delta"][name].as_str())
            .collect::<String>()
    };
    assert_eq!(told(0, "thinking"), "hm");
    assert_eq!(told(0, "signature"), "c2VhbA==");
    assert_eq!(told(1, "partial_json"), "{\"x\":1}");
    assert_eq!(told(2, "partial_json"), "{}");
    assert_eq!(told(3, "text"), "later");
    assert_eq!(
        events[events.len() - 2]["delta"]["stop_reason"],
        "tool_use",
        "what was called decides"
    );
}

#[test]
fn p2_what_can_be_told_at_once_is() {
    let mut writer = crate::anthropic_messages::StreamWriter::new(OwnedHeading::default(), Some(7));
    let mut told = |event: Event| {
        let mut out = Vec::new();
        writer.write(&event, &mut out);
        parsed(&out)
    };
    let started = told(Event::Start(Start::default()));
    assert_eq!(started[0]["message"]["usage"]["input_tokens"], 7);
    assert_eq!(told(Event::KeepAlive), [json!({"type":"ping"})]);
    assert!(
        told(open(0, Block::Text)).is_empty(),
        "an empty block may never be filled"
    );
    assert_eq!(told(text(0, "a")).len(), 2);
    assert_eq!(told(text(0, "b")).len(), 1);
    assert!(told(tool(1, "t")).is_empty());
    assert_eq!(told(close(0)), [closing(0)]);
    assert_eq!(told(arguments(1, "{}")).len(), 2);
}

#[test]
fn empty_blocks_are_not_told_and_open_ones_are_closed() {
    let events = whole(
        vec![
            open(0, Block::Text),
            close(0),
            thinking(1),
            close(1),
            tool(2, "t"),
            open(3, Block::Text),
            text(3, "x"),
        ],
        Finish::MaxTokens,
    );
    let stream = written(&events);
    assert_eq!(check(&stream), Ok(Ending::Good));
    let kinds: Vec<_> = parsed(&stream)
        .iter()
        .filter_map(|event| event["content_block"]["type"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(kinds, ["tool_use", "text"]);
}

#[test]
fn p7_p8_seals_are_told_where_a_client_gives_them_back() {
    let events = whole(
        vec![
            thinking(0),
            seal(0, Dialect::OpenaiResponses, true),
            close(0),
            thinking(1),
            seal(1, Dialect::OpenaiResponses, false),
            close(1),
            tool(2, "call_1"),
            seal(2, Dialect::GeminiGenerate, false),
            arguments(2, "{}"),
            close(2),
        ],
        Finish::ToolCall,
    );
    let stream = written(&events);
    assert_eq!(check(&stream), Ok(Ending::Good));
    let told = parsed(&stream);
    let block = |index: u32| {
        let found = told
            .iter()
            .find(|event| event["index"] == index && event["content_block"].is_object());
        found.unwrap()["content_block"].clone()
    };
    let theirs = |origin| Seal {
        origin,
        data: "c2VhbA==".to_owned(),
    };
    let redacted = block(0);
    assert_eq!(redacted["type"], "redacted_thinking");
    assert_eq!(
        carry::read_opaque(redacted["data"].as_str().unwrap(), OWN),
        theirs(Dialect::OpenaiResponses)
    );
    let signed = told
        .iter()
        .find(|event| event["delta"]["type"] == "signature_delta")
        .unwrap();
    assert_eq!(
        carry::read_opaque(signed["delta"]["signature"].as_str().unwrap(), OWN),
        theirs(Dialect::OpenaiResponses)
    );
    let (id, seals) = carry::split_tool_call_id(block(2)["id"].as_str().unwrap());
    assert_eq!(
        (id.as_str(), seals[0].seal.clone()),
        ("call_1", theirs(Dialect::GeminiGenerate))
    );
}

#[test]
fn a_stream_that_breaks_never_ends_well() {
    let fault = Fault {
        kind: FaultKind::RateLimit,
        message: "slow".to_owned(),
        param: None,
        code: None,
        retry_after_ms: None,
    };
    let events = [
        open(0, Block::Text),
        text(0, "a"),
        Event::Fault(fault),
        Event::Finish(Finish::End),
        Event::End,
    ];
    let stream = written(&events);
    assert_eq!(check(&stream), Ok(Ending::Error));
    assert_eq!(
        parsed(&stream).last().unwrap()["error"]["type"],
        "rate_limit_error"
    );
    let senseless = whole(
        Vec::new(),
        Finish::BadToolCall("MALFORMED_FUNCTION_CALL".to_owned()),
    );
    assert_eq!(check(&written(&senseless)), Ok(Ending::Error));
    assert_eq!(check(&written(&senseless[..1])), Ok(Ending::Cut));
}

#[test]
fn usage_that_comes_late_is_told_at_the_end() {
    let usage = |input_tokens| Usage {
        input_tokens,
        output_tokens: 4,
        ..Usage::default()
    };
    let events = [
        Event::Start(Start::default()),
        Event::Usage(usage(8)),
        Event::Finish(Finish::StopSequence(Some("X".to_owned()))),
        Event::Usage(usage(9)),
        Event::End,
    ];
    let told = parsed(&written(&events));
    let delta = told
        .iter()
        .find(|event| event["type"] == "message_delta")
        .unwrap();
    assert_eq!(delta["usage"]["input_tokens"], 9);
    assert_eq!(
        delta["delta"],
        json!({"stop_reason":"stop_sequence","stop_sequence":"X"})
    );
}

#[test]
fn p45_citations_are_told_with_the_text_that_they_stand_for() {
    let page = json!({"type":"web_search_result_location","url":"https://x","title":"X","encrypted_index":"e","cited_text":"c"});
    let mut events = vec![
        start(),
        opening(0, json!({"type":"text","text":"","citations":[]})),
        adding(0, json!({"type":"citations_delta","citation":page})),
        adding(0, json!({"type":"text_delta","text":"sch"})),
        adding(0, json!({"type":"text_delta","text":"\u{f6}n"})),
        closing(0),
    ];
    events.extend(ending("end_turn"));
    let read = read(&streamed(&events), &[]);
    let url = Event::Delta {
        block: 0,
        delta: Delta::Citation(Citation::Url {
            url: "https://x".to_owned(),
            title: Some("X".to_owned()),
            start: Some(0),
            end: Some(5),
        }),
    };
    assert!(read.contains(&url), "{read:?}");
    let told = parsed(&written(&read));
    let cited: Vec<_> = told
        .iter()
        .filter(|event| event["delta"]["type"] == "citations_delta")
        .collect();
    assert_eq!(cited.len(), 1);
    assert_eq!(cited[0]["delta"]["citation"], page);
}

#[test]
fn free_text_for_a_tool_is_told_as_an_object() {
    let patch = open(
        0,
        Block::ToolCall {
            id: "t".to_owned(),
            id_is_ours: false,
            name: "patch".to_owned(),
            is_free_text: true,
        },
    );
    let told = parsed(&written(&whole(
        vec![patch, arguments(0, "a\"b"), close(0)],
        Finish::ToolCall,
    )));
    let text: String = told
        .iter()
        .filter_map(|event| event["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(text, r#"{"input":"a\"b"}"#);
}

#[test]
fn what_another_dialect_alone_understands_is_not_told() {
    let raw = |origin, name: &str, json: &str| {
        Raw::new(origin, name, RawValue::from_string(json.to_owned()).unwrap())
    };
    let theirs = raw(Dialect::OpenaiResponses, "", "{\"type\":\"web_search_call\"}");
    let ours = raw(
        OWN,
        "",
        "{\"type\":\"server_tool_use\",\n\"id\":\"s\",\"name\":\"n\",\"input\":{}}",
    );
    let member = raw(OWN, "container", "{\"id\":\"c\"}");
    let events = whole(
        vec![
            open(0, Block::Raw(theirs.clone())),
            close(0),
            open(1, Block::Raw(ours)),
            close(1),
            Event::Raw(theirs),
            Event::Raw(member),
        ],
        Finish::End,
    );
    let stream = written(&events);
    assert_eq!(check(&stream), Ok(Ending::Good));
    assert_eq!(parsed(&stream).len(), 5);
}
