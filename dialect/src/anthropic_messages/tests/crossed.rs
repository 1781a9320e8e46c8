//! Recordings of other dialects, written in this one.

use serde_json::{Value, json};

use super::checker::{Ending, check};
use super::recorded::written;
use crate::anthropic_messages::{read_request, write_reply, write_request};
use crate::neutral::{Event, Heading, Losses, Profile, Target};
use crate::pairs::{replies_of_others, requests_of_others, streams_of_others};
use crate::refusal::Code;
use crate::spec::Spec;
use crate::{Dialect, sse};

/// What each event of a stream says.
fn said(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut events = sse::Events::new(sse::StreamLimits::default());
    events.push(stream).unwrap();
    let mut found = Vec::new();
    while let Some(event) = events.next_event() {
        found.push(sse::data(event).into_owned());
    }
    found
}

#[test]
fn every_recorded_stream_becomes_a_right_one() {
    let (mut good, mut failed, mut cut) = (0, 0, 0);
    for (name, told) in streams_of_others(Dialect::AnthropicMessages) {
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
            for data in said(&stream) {
                let text = String::from_utf8_lossy(&data);
                if text.is_empty() || text.contains("\"error\"") || text.contains("\"ping\"") {
                    continue;
                }
                let found = document.problems("MessageStreamEvent", &data);
                assert_eq!(found, Vec::<String>::new(), "{name}: {text}");
            }
        }
    }
    println!("{good} streams end well, {failed} in an error, {cut} are cut");
}

#[test]
fn every_recorded_answer_is_a_message_by_the_document() {
    let replies = replies_of_others(Dialect::AnthropicMessages);
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
    for (name, request) in requests_of_others(Dialect::AnthropicMessages) {
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
