//! Recordings of other dialects, written in this one.

use serde_json::Value;

use super::checker::{Leniency, events, problems, schema_of};
use super::collect::collect;
use super::*;
use crate::Dialect;
use crate::neutral::{Event, Losses, OwnedHeading, Part, Profile, Request, Seal, Target};
use crate::pairs::{replies_of_others, requests_of_others, streams_of_others};
use crate::refusal::Code;
use crate::spec::Spec;

fn heading() -> OwnedHeading {
    OwnedHeading {
        id: "resp_0a1b".to_owned(),
        created_s: 1_760_000_000,
        model: "asked".to_owned(),
    }
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
    for (name, told) in streams_of_others(Dialect::OpenaiResponses) {
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
    for (name, told) in streams_of_others(Dialect::OpenaiResponses) {
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
    let replies = replies_of_others(Dialect::OpenaiResponses);
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
    let (mut written_count, mut refused) = (0, Vec::new());
    for (name, request) in requests_of_others(Dialect::OpenaiResponses) {
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
