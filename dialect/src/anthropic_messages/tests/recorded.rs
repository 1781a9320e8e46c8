//! What Anthropic's API was seen to say, where that is at hand.

use serde_json::{Value, json};

use super::checker::{Ending, check};
use crate::anthropic_messages::*;
use crate::neutral::{
    BadAnswer, Event, Finish, Heading, Losses, OwnedHeading, Part, Profile, Raw, Target, ThinkingStyle,
};
use crate::spec::recorded;
use crate::sse::{Events, StreamLimits};
use crate::{StreamEnd, StreamMeter, Usage};

/// Streams that break the rules: two of them on purpose, and one the vendor would not send.
const BROKEN: [&str; 2] = [
    "thinking-tools-spliced-message-start",
    "text-duplicate-message-start",
];

fn streams() -> Vec<(String, Vec<u8>)> {
    recorded("anthropic", ".stream.sse")
}

fn is_one_of(name: &str, list: &[&str]) -> bool {
    list.iter().any(|known| name.starts_with(known))
}

pub(super) fn read(stream: &[u8], chunks: &[usize]) -> Vec<Event> {
    let mut reader = StreamReader::new(&Profile::default());
    let mut events = Events::new(StreamLimits::default());
    let mut out = Vec::new();
    let mut rest = stream;
    for size in chunks.iter().copied().chain([stream.len()]) {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        events.push(chunk).unwrap();
        while let Some(event) = events.next_event() {
            reader.read(event, &mut out);
        }
    }
    reader.read(events.rest(), &mut out);
    reader.finish(&mut out);
    out
}

pub(super) fn written(events: &[Event]) -> Vec<u8> {
    let heading = OwnedHeading {
        id: "msg_1".to_owned(),
        created_s: 0,
        model: "claude".to_owned(),
    };
    let mut writer = StreamWriter::new(heading, None);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

/// The same events without ids, which are not the provider's, and without the codes of errors.
fn without_id(events: Vec<Event>) -> Vec<Event> {
    let named = |event| match event {
        Event::Start(mut start) => {
            start.id.clear();
            Event::Start(start)
        }
        Event::Fault(mut fault) => {
            fault.code = None;
            Event::Fault(fault)
        }
        other => other,
    };
    events.into_iter().map(named).collect()
}

#[test]
fn recorded_streams_keep_the_rules() {
    let streams = streams();
    for (name, stream) in &streams {
        if is_one_of(name, &BROKEN) {
            assert!(check(stream).is_err(), "{name}");
            continue;
        }
        let expected = match name.as_str() {
            name if name.starts_with("made-stream-cut") => Ending::Cut,
            name if name.starts_with("made-stream-midway") => Ending::Error,
            _ => Ending::Good,
        };
        assert_eq!(check(stream), Ok(expected), "{name}");
    }
    println!("{} streams keep the rules", streams.len());
}

#[test]
fn recorded_streams_come_out_as_they_went_in() {
    let mut ran = 0;
    for (name, stream) in streams() {
        let events = read(&stream, &[]);
        let again = written(&events);
        let expected = match events.last() {
            Some(Event::End) => Ending::Good,
            Some(Event::Fault(_)) => Ending::Error,
            _ => Ending::Cut,
        };
        assert_eq!(check(&again), Ok(expected), "{name}");
        let once_more = read(&again, &[]);
        let telling = |events: Vec<Event>| {
            let mut events = without_id(events);
            // What is told again at the end was told with the beginning.
            events.retain(|event| !matches!(event, Event::Usage(_) | Event::KeepAlive));
            if let Some(Event::Start(start)) = events.first_mut() {
                start.usage = None;
                start.service_tier = None;
            }
            events
        };
        let (told, expected) = (telling(merged(once_more)), telling(merged(events)));
        assert_eq!(told, expected, "{name}");
        ran += 1;
    }
    println!("{ran} streams come out as they went in");
}

/// With neighbouring fragments of a block in one, numbers of blocks in the order of opening, and without the blocks that
/// were opened and never filled.
fn merged(events: Vec<Event>) -> Vec<Event> {
    use crate::neutral::{Block, Delta};
    let mut kept: Vec<Event> = Vec::new();
    for event in events {
        match (kept.last_mut(), event) {
            (
                Some(Event::Delta {
                    block,
                    delta: Delta::Text(text),
                }),
                Event::Delta {
                    block: same,
                    delta: Delta::Text(more),
                },
            ) if *block == same => text.push_str(&more),
            (
                Some(Event::Delta {
                    block,
                    delta: Delta::Arguments(text),
                }),
                Event::Delta {
                    block: same,
                    delta: Delta::Arguments(more),
                },
            ) if *block == same => text.push_str(&more),
            (
                Some(Event::Open {
                    kind: Block::Text, ..
                }),
                Event::Close { .. },
            ) => {
                kept.pop();
            }
            (_, event) => kept.push(event),
        }
    }
    let mut numbers = Vec::new();
    for event in &mut kept {
        match event {
            Event::Open { block, .. } => {
                numbers.push(*block);
                *block = numbers.len() as u32;
            }
            Event::Delta { block, .. } | Event::Close { block } => {
                *block = numbers.iter().position(|known| known == block).unwrap() as u32 + 1;
            }
            _ => {}
        }
    }
    kept
}

#[test]
fn recorded_streams_are_the_same_wherever_they_are_cut() {
    for (name, stream) in streams() {
        let whole = read(&stream, &[]);
        for size in [1, 2, 3, 7, 4096] {
            let chunks = vec![size; stream.len() / size];
            assert_eq!(read(&stream, &chunks), whole, "{name}, in pieces of {size}");
        }
        let step = (stream.len() / 300).max(1);
        for at in (0..stream.len()).step_by(step) {
            assert_eq!(read(&stream, &[at]), whole, "{name}, cut at {at}");
        }
    }
}

#[test]
fn recorded_streams_are_metered_and_read_alike() {
    for (name, stream) in streams() {
        if is_one_of(&name, &BROKEN) {
            continue;
        }
        let events = read(&stream, &[]);
        let mut meter = EventMeter::default();
        let mut pieces = Events::new(StreamLimits::default());
        pieces.push(&stream).unwrap();
        while let Some(event) = pieces.next_event() {
            assert!(meter.read(event));
        }
        assert!(meter.read(pieces.rest()));
        let told: Option<Usage> = events
            .iter()
            .filter_map(|event| match event {
                Event::Usage(usage) => Some(*usage),
                Event::Start(start) => start.usage,
                _ => None,
            })
            .next_back();
        assert_eq!(meter.usage(), told, "{name}");
        let end = match events.last() {
            Some(Event::End) => StreamEnd::Complete,
            // Half an event at the end is no error of the provider's.
            Some(Event::Fault(_)) if !name.starts_with("made-stream-cut") => StreamEnd::ProviderError,
            _ => StreamEnd::Cut,
        };
        assert_eq!(meter.end(), end, "{name}");
        if let Some(word) = last_word(&stream) {
            let finish = events.iter().find_map(|event| match event {
                Event::Finish(finish) => Some(finish.clone()),
                _ => None,
            });
            assert_eq!(spelled(&finish.unwrap()), word, "{name}");
        }
    }
}

fn last_word(stream: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stream);
    let (_, after) = text.rsplit_once(r#""stop_reason":""#)?;
    Some(after.split('"').next()?.to_owned())
}

fn spelled(finish: &Finish) -> String {
    match finish {
        Finish::End => "end_turn",
        Finish::MaxTokens => "max_tokens",
        Finish::ToolCall => "tool_use",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Paused => "pause_turn",
        Finish::Refused(_) => "refusal",
        other => panic!("{other:?}"),
    }
    .to_owned()
}

#[test]
fn recorded_answers_can_be_written_again() {
    let mut ran = 0;
    for (name, body) in recorded("anthropic", ".response.json") {
        let original: Value = serde_json::from_slice(&body).unwrap();
        if name.contains("err") && original["type"] == "error" {
            continue;
        }
        let reply = read_reply(&body, &Profile::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut original = original;
        if name.contains("programmatic-tool-calling") {
            // Its authors put several answers together; a call in it counts more than the word.
            original["stop_reason"] = json!("tool_use");
        }
        assert_eq!(spelled(&reply.finish), original["stop_reason"], "{name}");
        assert_eq!(reply.usage, Metered::look(&body).unwrap().usage, "{name}");
        let heading = Heading {
            id: &reply.id,
            created_s: 0,
            model: "",
        };
        let again: Value = serde_json::from_slice(&write_reply(&reply, &heading)).unwrap();
        assert_eq!(normal_reply(again), normal_reply(original), "{name}");
        ran += 1;
    }
    println!("{ran} answers can be written again");
}

/// An answer without what may be spelled in two ways: counts beside those that all have, nulls, and a refusal's details.
fn normal_reply(mut reply: Value) -> Value {
    for name in [
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "service_tier",
    ] {
        let count = reply["usage"][name].clone();
        reply[format!("usage.{name}")] = if count == json!(0) { Value::Null } else { count };
    }
    reply.as_object_mut().unwrap().remove("usage");
    if reply["stop_details"].is_object() {
        reply["stop_details"] = json!(reply["stop_details"]["explanation"]);
    }
    without_nulls(&mut reply);
    reply
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[test]
fn recorded_errors_are_of_the_right_kind() {
    use crate::neutral::FaultKind::*;
    let expected = [
        ("error-400", BadRequest),
        ("made-err-400-credit-balance", Billing),
        ("made-err-400-prompt-too-long", ContextTooLong),
        ("made-err-400-tool-use", BadRequest),
        ("made-err-401", Auth),
        ("made-err-413", TooLarge),
        ("made-err-429", RateLimit),
        ("made-err-500", Internal),
        ("made-err-529", Overloaded),
    ];
    let errors = recorded("anthropic", ".response.json");
    let errors: Vec<_> = errors
        .into_iter()
        .filter(|(name, _)| name.contains("err"))
        .collect();
    for (name, body) in errors {
        let Some((_, kind)) = expected.iter().find(|(start, _)| name.starts_with(start)) else {
            continue;
        };
        let status = name.split('-').find_map(|word| word.parse().ok()).unwrap();
        let fault = read_fault(status, &body);
        assert_eq!(fault.kind, *kind, "{name}");
        assert!(matches!(
            read_reply(&body, &Profile::default()),
            Err(BadAnswer::Fault(_))
        ));
        let (again, written) = write_fault(&fault);
        let original: Value = serde_json::from_slice(&body).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(
            written["error"]["message"], original["error"]["message"],
            "{name}"
        );
        if *kind != Billing {
            assert_eq!(again, status, "{name}");
            assert_eq!(written["error"]["type"], original["error"]["type"], "{name}");
        }
    }
}

/// A model that takes all that was asked of the models in the recordings.
fn profile_for(request: &Value) -> Profile {
    let by_budget = request["thinking"]["type"] == "enabled";
    Profile {
        prefill: true,
        thinking: if by_budget {
            ThinkingStyle::Budget {
                min: 1_024,
                max: 64_000,
                can_be_off: true,
            }
        } else {
            ThinkingStyle::Effort
        },
        ..Profile::default()
    }
}

#[test]
fn recorded_requests_can_be_written_again() {
    let mut ran = 0;
    for (name, body) in recorded("anthropic", ".request.json") {
        let original: Value = serde_json::from_slice(&body).unwrap();
        let mut named = original.clone();
        // Bedrock has the model in the path.
        named["model"] = json!(original["model"].as_str().unwrap_or("claude"));
        let request = read_request(&serde_json::to_vec(&named).unwrap())
            .unwrap_or_else(|refusal| panic!("{name}: {}", refusal.message));
        let profile = profile_for(&original);
        let mut losses = Losses::new(false);
        let target = Target {
            model: &request.model,
            profile: &profile,
        };
        let written = write_request(&request, &target, &mut losses)
            .unwrap_or_else(|refusal| panic!("{name}: {}", refusal.message));
        let again: Value = serde_json::from_slice(&written.body).unwrap();
        // It has a temperature too, and newer models do not take both.
        let has_both = name.starts_with("bedrock-invoke-bedrock-prompt-cache");
        let expected_loss = has_both.then(|| "top_p".to_owned());
        assert_eq!(losses.header(), expected_loss, "{name}");
        assert_eq!(normal_request(again), normal_request(named), "{name}");
        assert!(written.undo.is_empty(), "{name}");
        ran += 1;
    }
    println!("{ran} requests can be written again");
}

/// A request without what may be said in two ways: a text alone is a block of text, neighbours of one speaker are one,
/// `stream: false` is nothing.
fn normal_request(mut request: Value) -> Value {
    if request["stream"] == false {
        request["stream"] = Value::Null;
    }
    request["top_p"] = Value::Null;
    // A word of effort without the switch is written with it.
    if request["thinking"]["type"] == "adaptive" {
        request["thinking"] = Value::Null;
    }
    let blocks = |content: &mut Value| {
        if let Value::String(text) = content {
            *content = json!([{ "type": "text", "text": text }]);
        }
    };
    blocks(&mut request["system"]);
    let is_blank = |block: &Value| block["text"].as_str().is_some_and(|text| text.trim().is_empty());
    let mut messages: Vec<Value> = Vec::new();
    for mut message in request["messages"].as_array().unwrap().clone() {
        blocks(&mut message["content"]);
        let content = message["content"].as_array_mut().unwrap();
        content.retain(|block| !is_blank(block));
        for block in content {
            if block["type"] == "tool_result" {
                blocks(&mut block["content"]);
                if block["is_error"] == false {
                    block["is_error"] = Value::Null;
                }
            }
        }
        match messages.last_mut() {
            Some(last) if last["role"] == message["role"] => {
                let more = message["content"].as_array().unwrap().clone();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            _ => messages.push(message),
        }
    }
    request["messages"] = json!(messages);
    without_nulls(&mut request);
    request
}

#[test]
fn recorded_requests_are_looked_at() {
    use crate::json::Limits;
    for (name, body) in recorded("anthropic", ".request.json") {
        if name.starts_with("bedrock") {
            continue;
        }
        let envelope = look(&body, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let original: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(envelope.model, original["model"], "{name}");
        assert_eq!(envelope.max_tokens, original["max_tokens"].as_u64(), "{name}");
        assert_eq!(envelope.stream, original["stream"] == true, "{name}");
    }
    for (name, body) in recorded("anthropic-count-tokens", ".request.json") {
        assert!(look_count(&body, &Limits::default()).is_ok(), "{name}");
        assert!(read_request(&body).is_ok(), "{name}");
    }
    for (name, body) in recorded("anthropic-count-tokens", ".response.json") {
        if name.starts_with("count") {
            let count = read_count(&body).unwrap();
            assert_eq!(read_count(&write_count(count)), Ok(count));
        }
    }
}

#[test]
fn p19_what_only_anthropic_understands_stays_whole() {
    let mut kinds = std::collections::BTreeSet::new();
    for (name, body) in recorded("anthropic", ".response.json") {
        let Ok(reply) = read_reply(&body, &Profile::default()) else {
            continue;
        };
        for part in reply.parts {
            if let Part::Raw(Raw { json, .. }) = part {
                let block: Value = serde_json::from_str(json.get()).unwrap();
                kinds.insert(block["type"].as_str().unwrap().to_owned());
            } else if let Part::ToolCall(call) = part {
                assert!(!call.id.starts_with("srvtoolu_"), "{name}");
            }
        }
    }
    if crate::spec::shared().is_some() {
        for kind in [
            "server_tool_use",
            "web_search_tool_result",
            "mcp_tool_use",
            "compaction",
        ] {
            assert!(kinds.contains(kind), "{kind} of {kinds:?}");
        }
    }
}
