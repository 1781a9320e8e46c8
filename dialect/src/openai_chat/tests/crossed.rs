//! Recordings of other dialects, written in this one.

use super::checker::check;
use super::streams::written;
use super::*;
use crate::neutral::{Event, Heading, Losses, Profile, Reply, Request, Target};
use crate::refusal::{Code, Refusal};
use crate::spec::{Spec, recorded};
use crate::sse::{Events, StreamLimits};
use crate::{anthropic_messages, gemini_generate, openai_responses};

/// What is read of each event of a stream.
fn told(stream: &[u8], mut read: impl FnMut(&[u8], &mut Vec<Event>)) -> Vec<Event> {
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
    for (name, stream) in recorded("openai-responses", ".sse") {
        let mut reader = openai_responses::StreamReader::new(&profile);
        let mut events = told(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut events);
        found.push((name, events));
    }
    for (name, stream) in recorded("anthropic", ".sse") {
        let mut reader = anthropic_messages::StreamReader::new(&profile);
        let mut events = told(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut events);
        found.push((name, events));
    }
    for (name, stream) in recorded("gemini", ".sse") {
        let mut reader = gemini_generate::StreamReader::new(&profile);
        let mut events = told(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut events);
        found.push((name, events));
    }
    found
}

#[test]
fn every_recorded_stream_becomes_a_right_one() {
    let spec = Spec::openai();
    let mut count = 0;
    for (name, events) in streams() {
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
    let profile = Profile::default();
    let mut replies: Vec<(String, Reply)> = Vec::new();
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
    for (name, body) in recorded("gemini", ".response.json") {
        replies.extend(
            gemini_generate::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
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
    let mut requests: Vec<(String, Result<Request, Refusal>)> = Vec::new();
    for (name, body) in recorded("openai-responses", ".request.json") {
        requests.push((name, openai_responses::read_request(&body)));
    }
    for (name, body) in recorded("anthropic", ".request.json") {
        requests.push((name, anthropic_messages::read_request(&body)));
    }
    for (name, body) in recorded("gemini", ".request.json") {
        requests.push((name, gemini_generate::read_request(&body, "gemini", false)));
    }
    let (mut count, mut refused) = (0, Vec::new());
    for (name, request) in requests {
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
