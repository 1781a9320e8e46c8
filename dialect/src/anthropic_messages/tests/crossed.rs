//! Recordings of other dialects, written in this one.

use serde_json::{Value, json};

use super::checker::{Ending, check};
use super::recorded::written;
use crate::anthropic_messages::{read_request, write_reply, write_request};
use crate::neutral::{Event, Heading, Losses, Profile, Reply, Request, Target};
use crate::refusal::{Code, Refusal};
use crate::spec::{Spec, recorded};
use crate::{gemini_generate, openai_chat, openai_responses, sse};

/// Whole events of a stream, each read by `read`.
fn each_event(stream: &[u8], mut read: impl FnMut(&[u8], &mut Vec<Event>)) -> Vec<Event> {
    let mut events = sse::Events::new(sse::StreamLimits::default());
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
    for (name, stream) in recorded("openai-chat", ".stream.sse") {
        let mut reader = openai_chat::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    for (name, stream) in recorded("openai-responses", ".stream.sse") {
        let mut reader = openai_responses::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    for (name, stream) in recorded("gemini", ".stream.sse") {
        let mut reader = gemini_generate::StreamReader::new(&profile);
        let mut told = each_event(&stream, |event, out| reader.read(event, out));
        reader.finish(&mut told);
        found.push((name, told));
    }
    found
}

fn replies() -> Vec<(String, Reply)> {
    let profile = Profile::default();
    let mut found = Vec::new();
    for (name, body) in recorded("openai-chat", ".response.json") {
        found.extend(
            openai_chat::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    for (name, body) in recorded("openai-responses", ".response.json") {
        found.extend(
            openai_responses::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    for (name, body) in recorded("gemini", ".response.json") {
        found.extend(
            gemini_generate::read_reply(&body, &profile)
                .ok()
                .map(|reply| (name, reply)),
        );
    }
    found
}

fn requests() -> Vec<(String, Result<Request, Refusal>)> {
    let mut found = Vec::new();
    for (name, body) in recorded("openai-chat", ".request.json") {
        found.push((name, openai_chat::read_request(&body)));
    }
    for (name, body) in recorded("openai-responses", ".request.json") {
        found.push((name, openai_responses::read_request(&body)));
    }
    for (name, body) in recorded("gemini", ".request.json") {
        found.push((name, gemini_generate::read_request(&body, "gemini", false)));
    }
    found
}

#[test]
fn every_recorded_stream_becomes_a_right_one() {
    let (mut good, mut failed, mut cut) = (0, 0, 0);
    for (name, told) in streams() {
        let stream = written(&told);
        let ends = told.iter().find_map(|event| match event {
            Event::Fault(_) => Some(Ending::Error),
            Event::Finish(finish) if finish.fault().is_some() => Some(Ending::Error),
            Event::End => Some(Ending::Good),
            _ => None,
        });
        let ends = ends.unwrap_or(Ending::Cut);
        match ends {
            Ending::Good => good += 1,
            Ending::Error => failed += 1,
            Ending::Cut => cut += 1,
        }
        assert_eq!(check(&stream), Ok(ends), "{name}");
        if let Some(document) = Spec::anthropic() {
            each_event(&stream, |event, _| {
                let data = sse::data(event);
                let text = String::from_utf8_lossy(&data);
                if text.is_empty() || text.contains("\"error\"") || text.contains("\"ping\"") {
                    return;
                }
                let found = document.problems("MessageStreamEvent", &data);
                assert_eq!(found, Vec::<String>::new(), "{name}: {text}");
            });
        }
    }
    println!("{good} streams end well, {failed} in an error, {cut} are cut");
}

#[test]
fn every_recorded_answer_is_a_message_by_the_document() {
    let replies = replies();
    let heading = Heading {
        id: "msg_1",
        created_s: 0,
        model: "asked",
    };
    for (name, reply) in &replies {
        let body = write_reply(reply, &heading);
        if let Some(document) = Spec::anthropic() {
            let found = document.problems("Message", &body);
            // The document is older than the word for a full context, and a call without sense is no answer.
            let is_old = |problem: &String| problem.contains("stop_reason") && reply.finish.fault().is_some();
            let found: Vec<_> = found.into_iter().filter(|problem| !is_old(problem)).collect();
            assert_eq!(
                found,
                Vec::<String>::new(),
                "{name}: {}",
                String::from_utf8_lossy(&body)
            );
        }
    }
    println!("{} answers", replies.len());
}

/// A request as the document, which is older than the API, knows it: without effort, freely chosen thinking and
/// instructions among the messages.
fn of_its_day(mut request: Value) -> Value {
    let members = request.as_object_mut().unwrap();
    members.remove("output_config");
    members.remove("thinking");
    for message in members["messages"].as_array_mut().unwrap() {
        if message["role"] == "system" {
            message["role"] = json!("user");
        }
    }
    request
}

#[test]
fn every_recorded_request_is_one_by_the_document_or_refused_by_name() {
    let (mut count, mut lost, mut refused) = (0, std::collections::BTreeSet::new(), Vec::new());
    for (name, request) in requests() {
        let Some(request) = request.ok().filter(|_| !name.starts_with("error-400")) else {
            continue;
        };
        let target = Target {
            model: "claude",
            profile: &Profile::default(),
        };
        let mut losses = Losses::new(false);
        match write_request(&request, &target, &mut losses) {
            Ok(written) => {
                count += 1;
                lost.extend(losses.lost().iter().map(|loss| loss.member.to_string()));
                read_request(&written.body).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
                if let Some(document) = Spec::anthropic() {
                    let body = of_its_day(serde_json::from_slice(&written.body).unwrap()).to_string();
                    let found = document.problems("BetaCreateMessageParams", body.as_bytes());
                    assert_eq!(found, Vec::<String>::new(), "{name}: {body}");
                }
            }
            Err(refusal) => {
                let is_named = matches!(refusal.code, Code::CannotTranslate | Code::InvalidValue);
                assert!(is_named, "{name}: {refusal:?}");
                refused.push(format!("{name}: {:?} {}", refusal.named(), refusal.message));
            }
        }
    }
    println!(
        "{count} written, lost of them: {lost:?}; {} refused: {refused:#?}",
        refused.len()
    );
}
