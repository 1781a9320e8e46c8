//! Recordings of other dialects, written in this one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::neutral::{Event, OwnedHeading, Profile};
use crate::refusal::Code;
use crate::spec::{Spec, recorded};
use crate::sse::{Events, StreamLimits};
use crate::{anthropic_messages, openai_chat, openai_responses};

fn heading() -> OwnedHeading {
    OwnedHeading {
        id: "id".to_owned(),
        created_s: 1,
        model: "asked".to_owned(),
    }
}

/// The events of a stream, each read by `read`.
fn each_event(stream: &[u8], mut read: impl FnMut(&[u8], &mut Vec<Event>)) -> Vec<Event> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut found = Vec::new();
    while let Some(event) = events.next_event() {
        read(event, &mut found);
    }
    read(events.rest(), &mut found);
    found
}

fn streams() -> Vec<(String, Vec<Event>)> {
    let profile = Profile::default();
    let mut found = Vec::new();
    for (name, stream) in recorded("openai-chat", ".sse") {
        let mut reader = openai_chat::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    for (name, stream) in recorded("openai-responses", ".sse") {
        let mut reader = openai_responses::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    for (name, stream) in recorded("anthropic", ".sse") {
        let mut reader = anthropic_messages::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    found
}

#[test]
fn every_recorded_stream_becomes_one_that_googles_clients_take() {
    let mut count = 0;
    for (name, told) in streams() {
        let has_end = |event: &Event| matches!(event, Event::End | Event::Fault(_));
        if !told.iter().any(has_end) {
            continue;
        }
        count += 1;
        for framing in [Framing::Events, Framing::Array] {
            let mut writer = StreamWriter::new(heading(), framing);
            let mut out = Vec::new();
            for event in &told {
                writer.write(event, &mut out);
            }
            let is_array = framing == Framing::Array;
            checker::check(&out, is_array).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            checker::check_complete_calls(&out, is_array)
                .unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let again = super::recorded::events([out.as_slice()].into_iter(), is_array);
            let calls = |events: &[Event]| events.iter().filter(|event| checker::opens_call(event)).count();
            if again.last() == Some(&Event::End) {
                assert_eq!(calls(&again), calls(&told), "{name}");
            }
        }
    }
    println!("{count} streams");
}

#[test]
fn every_recorded_answer_is_one_by_googles_document() {
    let profile = Profile::default();
    let mut replies: Vec<(String, Reply)> = Vec::new();
    for (name, body) in recorded("openai-chat", ".response.json") {
        replies.extend(
            openai_chat::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    for (name, body) in recorded("openai-responses", ".response.json") {
        replies.extend(
            openai_responses::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    for (name, body) in recorded("anthropic", ".response.json") {
        replies.extend(
            anthropic_messages::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    println!("{} answers", replies.len());
    for (name, reply) in replies {
        let written = write_reply(&reply, &heading().as_heading());
        if let Some(google) = Spec::google() {
            let found = google.problems("GenerateContentResponse", &written);
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
        let again = read_reply(&written, &third()).unwrap();
        // Whether a prompt cache was written to is no word of Google's.
        let known = reply.usage.map(|usage| crate::Usage {
            cache_write_tokens: 0,
            cache_write_1h_tokens: 0,
            tier: again.usage.and_then(|usage| usage.tier),
            ..usage
        });
        // Some compatible servers tell more thoughts than output.
        if known.is_none_or(|usage| usage.reasoning_tokens <= usage.output_tokens) {
            assert_eq!(again.usage, known, "{name}");
        }
    }
}

#[test]
fn every_recorded_request_is_one_by_googles_document_or_refused_by_name() {
    let mut requests: Vec<(String, Result<Request, Refusal>)> = Vec::new();
    for (name, body) in recorded("openai-chat", ".request.json") {
        requests.push((name, openai_chat::read_request(&body)));
    }
    for (name, body) in recorded("openai-responses", ".request.json") {
        requests.push((name, openai_responses::read_request(&body)));
    }
    for (name, body) in recorded("anthropic", ".request.json") {
        requests.push((name, anthropic_messages::read_request(&body)));
    }
    let (mut count, mut refused) = (0, BTreeMap::new());
    for (name, request) in requests {
        let Ok(request) = request else { continue };
        for profile in [third(), second()] {
            match written(&request, &profile) {
                Ok((written, _)) => {
                    count += 1;
                    assert_right(&written.body, &name);
                }
                Err(refusal) => {
                    let is_told = refusal.code != Code::CannotTranslate || refusal.named().is_some();
                    assert!(is_told, "{name}: {refusal:?}");
                    *refused.entry(refusal.named().unwrap_or("-")).or_insert(0) += 1;
                }
            }
        }
    }
    println!("{count} requests written, refused: {refused:?}");
}

/// Holds a request against Google's document, and what the document does not say against what Google answers.
fn assert_right(body: &[u8], name: &str) {
    let value: Value = serde_json::from_slice(body).unwrap();
    let contents = value["contents"].as_array().unwrap();
    assert!(!contents.is_empty(), "{name}");
    for pair in contents.windows(2) {
        let count = |content: &Value, kind: &str| {
            content["parts"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|part| part.get(kind).is_some())
                .count()
        };
        assert_eq!(
            count(&pair[0], "functionCall"),
            count(&pair[1], "functionResponse"),
            "{name}"
        );
    }
    let Some(google) = Spec::google() else { return };
    let mut value = value;
    value["model"] = Value::from("models/gemini-x");
    let mut problems = google.problems("GenerateContentRequest", value.to_string().as_bytes());
    // The document wants a type in each schema; Google itself takes those that have `anyOf` in its place.
    problems.retain(|problem| !problem.ends_with("\"type\" is a required property"));
    assert_eq!(problems, Vec::<String>::new(), "{name}");
}
