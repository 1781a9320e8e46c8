//! Recordings of other dialects, written in this one.

use super::checker::check;
use super::streams::written;
use super::*;
use crate::Dialect;
use crate::neutral::{Event, Heading, Losses, Profile, Target};
use crate::pairs::{replies_of_others, requests_of_others, streams_of_others};
use crate::refusal::Code;
use crate::spec::Spec;

#[test]
fn every_recorded_stream_becomes_a_right_one() {
    let spec = Spec::openai();
    let mut count = 0;
    for (name, events) in streams_of_others(Dialect::OpenaiChat) {
        // What was cut has no end of its own; whoever sees it cut writes one.
        if !events
            .iter()
            .any(|event| matches!(event, Event::End | Event::Fault(_)))
        {
            continue;
        }
        let stream = written(&events, true);
        assert_eq!(check(&stream), [], "{name}: {}", String::from_utf8_lossy(&stream));
        super::recordings::assert_chunks_are_valid(&name, &stream, spec);
        count += 1;
    }
    println!("{count} streams");
}

#[test]
fn every_recorded_answer_becomes_a_right_one() {
    let replies = replies_of_others(Dialect::OpenaiChat);
    println!("{} answers", replies.len());
    for (name, reply) in replies {
        let heading = Heading {
            id: "chatcmpl-1",
            created_s: 7,
            model: "asked",
        };
        let body = write_reply(&reply, &heading);
        if let Some(spec) = Spec::openai() {
            let problems = spec.problems("CreateChatCompletionResponse", &body);
            assert_eq!(
                problems,
                Vec::<String>::new(),
                "{name}: {}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}

#[test]
fn every_recorded_request_becomes_a_right_one_or_is_refused_by_name() {
    let (mut count, mut refused) = (0, Vec::new());
    for (name, request) in requests_of_others(Dialect::OpenaiChat) {
        // Some were recorded to see how they are refused.
        let Some(request) = request.ok().filter(|_| !name.starts_with("error-400")) else {
            continue;
        };
        let target = Target {
            model: "gpt",
            profile: &Profile::default(),
        };
        match write_request(&request, &target, &mut Losses::new(false)) {
            Ok(written) => {
                count += 1;
                if let Some(spec) = Spec::openai() {
                    let problems = spec.problems("CreateChatCompletionRequest", &written.body);
                    let text = String::from_utf8_lossy(&written.body);
                    assert_eq!(problems, Vec::<String>::new(), "{name}: {:.2000}", text);
                }
            }
            Err(refusal) => {
                let is_named = refusal.named().is_some() || refusal.code != Code::CannotTranslate;
                assert!(is_named, "{name}: {refusal:?}");
                refused.push((name, refusal.named()));
            }
        }
    }
    println!("{count} requests, refused: {refused:#?}");
}
