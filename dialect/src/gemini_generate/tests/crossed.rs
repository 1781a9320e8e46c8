//! Recordings of other dialects, written in this one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::Dialect;
use crate::neutral::{Event, OwnedHeading};
use crate::pairs::{replies_of_others, requests_of_others, streams_of_others};
use crate::refusal::Code;
use crate::spec::Spec;

fn heading() -> OwnedHeading {
    OwnedHeading {
        id: "id".to_owned(),
        created_s: 1,
        model: "asked".to_owned(),
    }
}

#[test]
fn every_recorded_stream_becomes_one_that_googles_clients_take() {
    let mut count = 0;
    for (name, told) in streams_of_others(Dialect::GeminiGenerate) {
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
                // A call that was cut is not handed out.
                let is_cut = told
                    .iter()
                    .any(|event| matches!(event, Event::Finish(finish) if finish.is_cut()));
                assert!(
                    calls(&again) == calls(&told) || is_cut && calls(&again) + 1 == calls(&told),
                    "{name}"
                );
            }
        }
    }
    println!("{count} streams");
}

#[test]
fn every_recorded_answer_is_one_by_googles_document() {
    let replies = replies_of_others(Dialect::GeminiGenerate);
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
    let (mut count, mut refused) = (0, BTreeMap::new());
    for (name, request) in requests_of_others(Dialect::GeminiGenerate) {
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
