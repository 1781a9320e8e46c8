//! Recordings of other dialects, written in this one.

use serde_json::Value;

use super::checker::{Leniency, events, problems, schema_of};
use super::collect::collect;
use super::*;
use crate::neutral::{Event, Losses, OwnedHeading, Part, Profile, Reply, Request, Seal, Target};
use crate::refusal::{Code, Refusal};
use crate::spec::{self, Spec};
use crate::{anthropic_messages, gemini_generate, openai_chat, sse};

fn heading() -> OwnedHeading {
    OwnedHeading {
        id: "resp_0a1b".to_owned(),
        created_s: 1_760_000_000,
        model: "asked".to_owned(),
    }
}

/// Whole events of a stream, each read by `read`.
fn each_event(stream: &[u8], mut read: impl FnMut(&[u8], &mut Vec<Event>)) -> Vec<Event> {
    let mut buffer = sse::Events::new(StreamLimits::default());
    buffer.push(stream).unwrap();
    let mut found = Vec::new();
    while let Some(event) = buffer.next_event() {
        read(event, &mut found);
    }
    read(buffer.rest(), &mut found);
    found
}

fn streams() -> Vec<(String, Vec<Event>)> {
    let profile = Profile::default();
    let mut found = Vec::new();
    for (name, stream) in spec::recorded("openai-chat", ".sse") {
        let mut reader = openai_chat::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    for (name, stream) in spec::recorded("anthropic", ".sse") {
        let mut reader = anthropic_messages::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    for (name, stream) in spec::recorded("gemini", ".sse") {
        let mut reader = gemini_generate::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    found
}

/// The seals of an answer, by what they are of. Those of texts, which only Gemini has and can do without, have no place
/// here.
fn seals(parts: &[Part]) -> Vec<(bool, Seal)> {
    let seal = |part: &Part| match part {
        Part::Reasoning(reasoning) => Some((true, reasoning.seal.clone()?)),
        Part::ToolCall(call) => Some((false, call.seal.clone()?)),
        _ => None,
    };
    parts.iter().filter_map(seal).collect()
}

/// What a client sends back of an answer that it got.
fn sent_back(response: &Value) -> Request {
    let request = serde_json::json!({ "model": "m", "input": response["output"] });
    read_request(request.to_string().as_bytes()).unwrap()
}

#[test]
fn p7_seals_survive_a_client_of_this_dialect() {
    let mut count = 0;
    for (name, told) in streams() {
        if !told.contains(&Event::End) {
            continue;
        }
        let before = seals(&collect(&told).parts);
        let mut writer = StreamWriter::new(heading());
        let mut out = Vec::new();
        for event in &told {
            writer.write(event, &mut out);
        }
        let end: Value = serde_json::from_slice(&events(&out).pop().unwrap().1).unwrap();
        if end["type"] == "response.failed" {
            continue;
        }
        let request = sent_back(&end["response"]);
        let after: Vec<_> = request.turns.iter().flat_map(|turn| seals(&turn.parts)).collect();
        assert_eq!(after, before, "{name}");
        count += before.len();
    }
    println!("{count} seals");
}

#[test]
fn every_recorded_stream_is_one_that_exacting_clients_take() {
    let document = Spec::openai();
    let mut count = 0;
    for (name, told) in streams() {
        let has_end = told
            .iter()
            .any(|event| matches!(event, Event::End | Event::Fault(_)));
        if !has_end {
            continue;
        }
        count += 1;
        let mut writer = StreamWriter::new(heading());
        let mut out = Vec::new();
        for event in &told {
            writer.write(event, &mut out);
        }
        assert_eq!(
            problems(&out, Leniency::default()),
            Vec::<String>::new(),
            "{name}"
        );
        let (first, last) = (events(&out).remove(0), events(&out).pop().unwrap());
        for (kind, data) in [first, last] {
            let text = String::from_utf8_lossy(&data).into_owned();
            if let Some(document) = document.filter(|_| !text.contains("\"failed\"")) {
                let found = document.problems(schema_of(&kind.unwrap()), &data);
                assert_eq!(found, Vec::<String>::new(), "{name}: {text}");
            }
        }
    }
    println!("{count} streams");
}

#[test]
fn every_recorded_answer_is_a_response_by_the_document() {
    let profile = Profile::default();
    let mut replies: Vec<(String, Reply)> = Vec::new();
    for (name, body) in spec::recorded("openai-chat", ".response.json") {
        replies.extend(
            openai_chat::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    for (name, body) in spec::recorded("anthropic", ".response.json") {
        replies.extend(
            anthropic_messages::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    for (name, body) in spec::recorded("gemini", ".response.json") {
        replies.extend(
            gemini_generate::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    println!("{} answers", replies.len());
    for (name, reply) in replies {
        let written = write_reply(&reply, &heading().as_heading());
        if let Some(document) = Spec::openai() {
            let found = document.problems("Response", &written);
            assert_eq!(
                found,
                Vec::<String>::new(),
                "{name}: {}",
                String::from_utf8_lossy(&written)
            );
        }
    }
}

#[test]
fn every_recorded_request_is_one_by_the_document_or_refused_by_name() {
    let mut requests: Vec<(String, Result<Request, Refusal>)> = Vec::new();
    for (name, body) in spec::recorded("openai-chat", ".request.json") {
        requests.push((name, openai_chat::read_request(&body)));
    }
    for (name, body) in spec::recorded("anthropic", ".request.json") {
        requests.push((name, anthropic_messages::read_request(&body)));
    }
    for (name, body) in spec::recorded("gemini", ".request.json") {
        requests.push((name, gemini_generate::read_request(&body, "gemini", false)));
    }
    let (mut written_count, mut refused) = (0, Vec::new());
    for (name, request) in requests {
        let Some(request) = request.ok().filter(|_| !name.starts_with("error-400")) else {
            continue;
        };
        let target = Target {
            model: "gpt",
            profile: &Profile::default(),
        };
        match write_request(&request, &target, &mut Losses::new(false)) {
            Ok(written) => {
                written_count += 1;
                let mut value: Value = serde_json::from_slice(&written.body).unwrap();
                assert_eq!(value["store"], false, "{name}");
                for item in value["input"].as_array_mut().into_iter().flatten() {
                    if item["type"] == "reasoning" {
                        item["id"] = "rs_0".into();
                    }
                }
                if let Some(document) = Spec::openai() {
                    let found = document.problems("CreateResponse", value.to_string().as_bytes());
                    assert_eq!(found, Vec::<String>::new(), "{name}: {value:#}");
                }
            }
            Err(refusal) => {
                assert!(
                    matches!(refusal.code, Code::CannotTranslate | Code::InvalidValue),
                    "{name}: {refusal:?}"
                );
                refused.push((name, refusal.named(), refusal.message));
            }
        }
    }
    println!("{written_count} written, {} refused", refused.len());
    for (name, param, message) in refused {
        println!("{name}: {param:?}: {message}");
    }
}
