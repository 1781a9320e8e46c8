//! Every recording of this dialect.

use super::checker::{Leniency, events, problems};
use super::collect::collect;
use super::*;
use crate::neutral::names::{CALL_ID, fit};
use crate::neutral::{
    CacheMarks, Citation, Event, Losses, OwnedHeading, Part, Profile, Raw, ReasoningField, Reply, Target,
};
use crate::relay::StreamMeter;
use crate::spec::{self, Spec};

/// Recordings that an exacting client would not take, and why.
fn leniency(name: &str) -> Leniency {
    let known = [
        // The recorder shortened it.
        (
            "prompt-caching-openai-phase-1",
            Leniency {
                numbers: true,
                fragments: true,
                ..Leniency::default()
            },
        ),
        // Each event has another id.
        (
            "reasoning-github-copilot-id-rotation-1",
            Leniency {
                ids: true,
                ..Leniency::default()
            },
        ),
        // Older than the numbers.
        (
            "text-openai-custom-tool-1",
            Leniency {
                numbers: true,
                ..Leniency::default()
            },
        ),
        (
            "tool-call-openai-responses-stream-t0",
            Leniency {
                numbers: true,
                ..Leniency::default()
            },
        ),
        (
            "tool-result-openai-responses-stream-t1",
            Leniency {
                numbers: true,
                ..Leniency::default()
            },
        ),
        // No fragments at all.
        (
            "logprobs-lmstudio",
            Leniency {
                fragments: true,
                ..Leniency::default()
            },
        ),
        // A list of tools was asked for and never came.
        (
            "mcp-openai-responses-model-mcp-list-tools",
            Leniency {
                ends: true,
                ..Leniency::default()
            },
        ),
    ];
    let found = known.into_iter().find(|(start, _)| name.starts_with(start));
    Leniency {
        seals: true,
        ..found.map_or_else(Leniency::default, |(_, how)| how)
    }
}

fn read_stream(stream: &[u8], chunk: usize) -> Vec<Event> {
    let mut buffer = crate::sse::Events::new(StreamLimits::default());
    let mut reader = StreamReader::new(&Profile::default());
    let mut found = Vec::new();
    for piece in stream.chunks(chunk) {
        buffer.push(piece).unwrap();
        while let Some(event) = buffer.next_event() {
            reader.read(event, &mut found);
        }
    }
    if !buffer.rest().is_empty() {
        reader.read(buffer.rest(), &mut found);
    }
    reader.finish(&mut found);
    found
}

/// The response that ends a stream.
fn final_response(stream: &[u8]) -> Option<Vec<u8>> {
    let (_, data) = events(stream).pop()?;
    let event: serde_json::Value = serde_json::from_slice(&data).unwrap();
    Some(event["response"].to_string().into_bytes())
}

/// Without what differs between two tellings of one answer: ids, seals that are made anew, and what only this dialect
/// understands, which tells how it stands.
fn comparable(mut parts: Vec<Part>) -> Vec<Part> {
    parts.retain(|part| !matches!(part, Part::Raw(_)));
    for part in &mut parts {
        if let Part::Reasoning(reasoning) = part {
            reasoning.id = None;
            reasoning.is_summary |= reasoning.texts.is_empty();
            if let Some(seal) = &mut reasoning.seal {
                seal.data.clear();
            }
        }
        match part {
            Part::ToolCall(call) => call.raw.clear(),
            Part::Text(text) => text.citations.iter_mut().for_each(compact),
            _ => {}
        }
    }
    parts
}

/// Carried JSON, as it looks without white space.
fn compacted(mut raw: Raw) -> Raw {
    let value: serde_json::Value = serde_json::from_str(raw.json.get()).unwrap();
    raw.json = serde_json::value::to_raw_value(&value).unwrap();
    raw
}

fn compact(citation: &mut Citation) {
    if let Citation::Raw(raw) = citation {
        *raw = compacted(raw.clone());
    }
}

#[test]
fn the_checker_takes_every_recording() {
    for (name, stream) in spec::recorded("openai-responses", ".sse") {
        assert_eq!(problems(&stream, leniency(&name)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_recorded_stream_says_what_its_final_response_says() {
    for (name, stream) in spec::recorded("openai-responses", ".sse") {
        let how = leniency(&name);
        let told = collect(&read_stream(&stream, stream.len()));
        let response = final_response(&stream).unwrap();
        match read_reply(&response, &Profile::default()) {
            Ok(reply) => {
                assert!(told.has_ended, "{name}");
                assert_eq!(told.finish, Some(reply.finish), "{name}");
                assert_eq!(told.usage, reply.usage, "{name}");
                assert_eq!(told.start.model, reply.model, "{name}");
                assert!(how.ids || told.start.id == reply.id, "{name}");
                if !how.ends && !how.fragments {
                    assert_eq!(comparable(told.parts), comparable(reply.parts), "{name}");
                }
            }
            Err(_) => assert!(told.fault.is_some() && !told.has_ended, "{name}"),
        }
    }
}

#[test]
fn a_recorded_stream_is_the_same_wherever_it_is_cut() {
    for (name, stream) in spec::recorded("openai-responses", ".sse") {
        let whole = read_stream(&stream, stream.len());
        let sizes: &[usize] = if stream.len() < 20_000 {
            &[1, 2, 3, 7, 4_096]
        } else {
            &[13, 4_096]
        };
        for size in sizes {
            assert_eq!(read_stream(&stream, *size), whole, "{name} in pieces of {size}");
        }
        // Cut off anywhere, it has no end.
        for at in (0..stream.len().saturating_sub(64)).step_by(stream.len() / 50 + 1) {
            let cut = read_stream(&stream[..at], 4_096);
            assert!(!cut.contains(&Event::End), "{name} cut off at {at}");
        }
    }
}

#[test]
fn what_is_written_of_a_recorded_stream_is_right_by_the_checker_and_the_document() {
    let document = Spec::openai();
    for (name, stream) in spec::recorded("openai-responses", ".sse") {
        let read = read_stream(&stream, stream.len());
        let mut writer = StreamWriter::new(OwnedHeading {
            id: "resp_0a1b".to_owned(),
            created_s: 1_760_000_000,
            model: "asked".to_owned(),
        });
        let mut written = Vec::new();
        for event in &read {
            writer.write(event, &mut written);
        }
        assert_eq!(
            problems(&written, Leniency::default()),
            Vec::<String>::new(),
            "{name}"
        );
        let (before, after) = (collect(&read), collect(&read_stream(&written, 4_096)));
        assert_eq!(comparable(after.parts), comparable(before.parts), "{name}");
        assert_eq!(after.finish, before.finish, "{name}");
        assert_eq!(untiered(after.usage), untiered(before.usage), "{name}");
        assert_eq!(
            after.fault.map(|fault| fault.kind),
            before.fault.map(|fault| fault.kind),
            "{name}"
        );
        for (kind, data) in events(&written) {
            let Some(document) = document.as_ref().filter(|_| !is_carried(&data)) else {
                continue;
            };
            let kind = kind.unwrap();
            let found = document.problems(super::checker::schema_of(&kind), &data);
            assert_eq!(
                found,
                Vec::<String>::new(),
                "{name}: {}",
                String::from_utf8_lossy(&data)
            );
        }
    }
}

/// Whether an event has something in it that is passed on as its vendor wrote it.
fn is_carried(data: &[u8]) -> bool {
    [
        &b"_call\""[..],
        b"mcp_",
        b"compaction",
        b"program",
        b"tool_search",
        b"insufficient_quota",
    ]
    .iter()
    .any(|word| memchr::memmem::find(data, word).is_some())
}

#[test]
fn a_recorded_answer_is_read_whole_and_written_as_the_document_says() {
    let document = Spec::openai();
    for (name, body) in spec::recorded("openai-responses", ".response.json") {
        let reply = match read_reply(&body, &Profile::default()) {
            Ok(reply) => reply,
            Err(error) => {
                assert!(name.contains("err"), "{name}: {error}");
                continue;
            }
        };
        let original: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(
            reply.parts.len() >= original["output"].as_array().unwrap().len(),
            "{name}"
        );
        assert_eq!(Metered::look(&body).unwrap().usage, reply.usage, "{name}");
        let heading = OwnedHeading {
            id: "resp_0a1b".to_owned(),
            created_s: 1_760_000_000,
            model: "asked".to_owned(),
        };
        let written = write_reply(&reply, &heading.as_heading());
        let again = read_reply(&written, &Profile::default()).unwrap();
        let plain = |reply: Reply| Reply {
            id: String::new(),
            service_tier: None,
            parts: comparable(reply.parts),
            logprobs: reply.logprobs.map(compacted),
            usage: untiered(reply.usage),
            ..reply
        };
        assert_eq!(plain(again), plain(reply), "{name}");
        if let Some(document) = document.as_ref().filter(|_| !is_carried(&body)) {
            assert_eq!(
                document.problems("Response", &written),
                Vec::<String>::new(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_recorded_request_is_read_and_written_again() {
    let mut count = 0;
    let document = Spec::openai();
    for (name, body) in spec::recorded("openai-responses", ".request.json") {
        look(&body, &crate::json::Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let request = read_request(&body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let shows_thoughts = name.contains("deepseek");
        let target = Target {
            model: &request.model,
            profile: &Profile {
                prefill: true,
                cache_marks: CacheMarks::Breakpoint,
                reasoning: if shows_thoughts {
                    ReasoningField::ReasoningContent
                } else {
                    ReasoningField::None
                },
                ..Profile::default()
            },
        };
        let mut losses = Losses::new(false);
        let written = match write_request(&request, &target, &mut losses) {
            Ok(written) => written.body,
            Err(refusal) => {
                // What is stored with the vendor has the calls of these results.
                assert!(
                    refusal.message.contains("no call with the id"),
                    "{name}: {refusal:?}"
                );
                continue;
            }
        };
        count += 1;
        assert_eq!(losses.lost().len(), 0, "{name}: {losses:?}");
        let again = read_request(&written).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let plain = |mut request: crate::neutral::Request| {
            for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
                match part {
                    Part::Reasoning(reasoning) => reasoning.id = None,
                    Part::Text(text) => text.citations.clear(),
                    Part::Media(media) => media.name = None,
                    // Some vendors' ids are longer than OpenAI takes them.
                    Part::ToolCall(call) => call.id = fit(&call.id, &CALL_ID).into_owned(),
                    Part::ToolResult(result) => result.call_id = fit(&result.call_id, &CALL_ID).into_owned(),
                    _ => {}
                }
            }
            for tool in &mut request.tools {
                if let crate::neutral::ToolKind::Function { strict, .. } = &mut tool.kind {
                    strict.get_or_insert(false);
                }
            }
            request.raw.retain(|raw| raw.name != "store");
            request.raw.sort_by(|one, other| one.name.cmp(&other.name));
            request
        };
        // Namespaces are taken apart on the way.
        if !name.contains("tool-search") {
            assert_eq!(plain(again), plain(request), "{name}");
        }
        if let Some(document) = document.as_ref().filter(|_| !name.contains("model-http-error")) {
            // The document wants ids of reasoning, by which nothing is stored.
            let mut other: serde_json::Value = serde_json::from_slice(&written).unwrap();
            for item in other["input"].as_array_mut().into_iter().flatten() {
                if item["type"] == "reasoning" {
                    item["id"] = "rs_0".into();
                }
            }
            let found = document.problems("CreateResponse", other.to_string().as_bytes());
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
    }
    println!("{count} requests");
}

#[test]
fn recorded_errors_are_of_their_kinds() {
    use crate::neutral::FaultKind;
    for (name, body) in spec::recorded("openai-responses", ".response.json") {
        let Some(status) = ["400", "429"].into_iter().find(|status| {
            name.contains(&format!("err-{status}")) || name.contains(&format!("error-{status}"))
        }) else {
            continue;
        };
        let fault = read_fault(status.parse().unwrap(), &body);
        let kind = if status == "429" {
            FaultKind::Billing
        } else {
            FaultKind::BadRequest
        };
        let kind = if fault.code.as_deref() == Some("model_not_found") {
            fault.kind
        } else {
            kind
        };
        assert_eq!(fault.kind, kind, "{name}: {fault:?}");
        assert!(!fault.message.is_empty());
        let (told, written) = write_fault(&fault);
        let is_right = told.to_string() == status || fault.kind == FaultKind::NotFound;
        assert!(is_right, "{name}: {told}");
        let again = read_fault(told, &written);
        assert_eq!((again.kind, again.message), (fault.kind, fault.message), "{name}");
    }
}

#[test]
fn the_meter_reads_what_the_reader_reads() {
    for (name, stream) in spec::recorded("openai-responses", ".sse") {
        let mut relay = StreamRelay::new(StreamLimits::default());
        let mut passed = Vec::new();
        for chunk in stream.chunks(1_000) {
            relay
                .push(bytes::Bytes::copy_from_slice(chunk), &mut passed)
                .unwrap();
        }
        let end = relay.finish(&mut passed);
        assert_eq!(passed.concat(), stream, "{name}");
        let told = collect(&read_stream(&stream, stream.len()));
        assert_eq!(relay.usage(), told.usage, "{name}");
        let expected = if told.has_ended {
            StreamEnd::Complete
        } else {
            StreamEnd::ProviderError
        };
        assert_eq!(end, expected, "{name}");
        assert!(EventMeter::default().end() == StreamEnd::Cut);
    }
}

/// The tier is told beside the usage, and in words of its own.
fn untiered(usage: Option<crate::Usage>) -> Option<crate::Usage> {
    usage.map(|usage| crate::Usage { tier: None, ..usage })
}
