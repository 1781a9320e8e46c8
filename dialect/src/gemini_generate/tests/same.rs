//! What the neutral middle and this dialect have in common survives the way there and back, and no bytes make a reader
//! panic.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Dialect;
use crate::neutral::{
    Arguments, Effort, Heading, Media, MediaKind, MediaSource, OutputFormat, Part, Reasoning, Role, Sampling,
    Seal, ServiceTier, Text, Thinking, ThinkingAmount, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
    Turn,
};

/// How ids are marked that Google gave.
const GIVEN: &str = "call_tlgg_";

fn any_seal() -> impl Strategy<Value = Option<Seal>> {
    proptest::option::of("[A-Za-z0-9]{8}").prop_map(|data| {
        data.map(|data| Seal {
            origin: Dialect::GeminiGenerate,
            data,
        })
    })
}

fn any_part() -> impl Strategy<Value = Part> {
    let text = (".{1,20}", any_seal()).prop_map(|(text, seal)| {
        Part::Text(Text {
            text,
            seal,
            ..Text::default()
        })
    });
    let media = "[A-Za-z0-9]{4}".prop_map(|data| {
        Part::Media(Media {
            kind: MediaKind::Audio,
            source: MediaSource::Base64(data),
            media_type: Some("audio/wav".to_owned()),
            name: None,
            detail: None,
            cache: None,
            raw: Vec::new(),
        })
    });
    prop_oneof![3 => text, 1 => media]
}

/// A question, an answer with thoughts and calls, and their results.
fn any_round() -> impl Strategy<Value = Vec<Turn>> {
    let parts = || proptest::collection::vec(any_part(), 1..3);
    let calls = proptest::collection::vec(
        ("[a-z_]{1,8}", "[a-z]{0,5}", any_seal(), ".{0,12}", any::<bool>()),
        0..3,
    );
    let thoughts = proptest::option::of((".{1,12}", any_seal()));
    (parts(), thoughts, parts(), calls).prop_map(|(question, thoughts, mut answer, calls)| {
        let mut turns = vec![Turn::new(Role::User, question)];
        if let Some((text, seal)) = thoughts {
            let reasoning = Reasoning {
                texts: vec![text],
                is_summary: true,
                seal,
                ..Reasoning::default()
            };
            answer.insert(0, Part::Reasoning(reasoning));
        }
        let mut results = Vec::new();
        for (number, (name, key, seal, text, is_error)) in calls.into_iter().enumerate() {
            let id = format!("{GIVEN}id-{number}");
            answer.push(Part::ToolCall(ToolCall {
                id: id.clone(),
                id_is_ours: false,
                name: name.clone(),
                arguments: Arguments::Json(json!({ key: text }).to_string()),
                seal,
                cache: None,
                raw: Vec::new(),
            }));
            results.push(Part::ToolResult(ToolResult {
                call_id: id,
                name: Some(name),
                parts: vec![Part::text(text)],
                is_error,
                is_free_text: false,
                cache: None,
                raw: Vec::new(),
            }));
        }
        turns.push(Turn::new(Role::Assistant, answer));
        if !results.is_empty() {
            turns.push(Turn::new(Role::User, results));
            turns.push(Turn::new(Role::Assistant, vec![Part::text("done")]));
        }
        turns
    })
}

fn any_tools() -> impl Strategy<Value = (Vec<Tool>, Option<ToolChoice>)> {
    let tools = proptest::collection::vec(("[a-z]{1,6}", ".{0,8}"), 1..3).prop_map(|tools| {
        tools
            .into_iter()
            .map(|(name, description)| Tool {
                name,
                description: Some(description),
                kind: ToolKind::Function {
                    schema: Some(
                        serde_json::value::to_raw_value(
                            &json!({"type":"object","properties":{"b":{"type":"string"}}}),
                        )
                        .unwrap(),
                    ),
                    strict: None,
                },
                cache: None,
                raw: Vec::new(),
            })
            .collect()
    });
    let choice = prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Required)),
        "[a-z]{1,6}".prop_map(|name| Some(ToolChoice::Tool(name))),
    ];
    (tools, choice)
}

fn any_request() -> impl Strategy<Value = Request> {
    let sampling = (proptest::option::of(0_u8..20), proptest::option::of(any::<i32>())).prop_map(
        |(temperature, seed)| Sampling {
            temperature: temperature.map(|tenths| f64::from(tenths) / 10.0),
            seed: seed.map(i64::from),
            ..Sampling::default()
        },
    );
    let thinking = proptest::option::of(prop_oneof![
        Just(Thinking {
            amount: ThinkingAmount::Effort(Effort::Low),
            show: None
        }),
        Just(Thinking {
            amount: ThinkingAmount::Effort(Effort::High),
            show: Some(true)
        }),
    ]);
    let output = prop_oneof![
        Just(OutputFormat::Text),
        Just(OutputFormat::JsonObject),
        Just(OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema: serde_json::value::to_raw_value(&json!({"type":"object"})).unwrap(),
            strict: None,
        }),
    ];
    let tier = prop_oneof![
        Just(None),
        Just(Some(ServiceTier::Flex)),
        Just(Some(ServiceTier::Priority))
    ];
    let turns = proptest::collection::vec(any_round(), 0..3);
    let system = proptest::option::of(".{1,12}");
    let stop = proptest::collection::vec(".{1,4}", 0..3);
    let numbers = (
        proptest::option::of(1_u64..100_000),
        proptest::option::of(0_u64..5),
    );
    (
        turns,
        system,
        any_tools(),
        sampling,
        thinking,
        output,
        tier,
        stop,
        numbers,
    )
        .prop_map(
            |(
                rounds,
                system,
                (tools, tool_choice),
                sampling,
                thinking,
                output,
                service_tier,
                stop,
                (max_tokens, logprobs),
            )| {
                let system = system.map(|text| Turn::new(Role::System, vec![Part::text(text)]));
                let last = Turn::new(Role::User, vec![Part::text("and?")]);
                Request {
                    model: "m".to_owned(),
                    stream_usage: true,
                    turns: system
                        .into_iter()
                        .chain(rounds.into_iter().flatten())
                        .chain([last])
                        .collect(),
                    tools,
                    tool_choice,
                    sampling,
                    thinking,
                    output,
                    service_tier,
                    stop,
                    max_tokens,
                    logprobs,
                    ..Request::default()
                }
            },
        )
}

proptest! {
    #[test]
    fn what_both_have_is_the_same_after_the_way_there_and_back(mut request in any_request()) {
        // A call that nothing signed is marked on its way, and comes back marked.
        for turn in &mut request.turns {
            let first = turn.parts.iter_mut().find_map(|part| match part {
                Part::ToolCall(call) => Some(call),
                _ => None,
            });
            if let Some(call) = first && call.seal.is_none() {
                call.seal = Some(Seal { origin: Dialect::GeminiGenerate, data: "c2VhbA==".to_owned() });
            }
        }
        let (written, lost) = written(&request, &third()).unwrap();
        prop_assert_eq!(lost, None);
        let again = read_request(&written.body, "m", false).unwrap();
        // To Google the ids go as it gave them.
        for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            let (Part::ToolCall(ToolCall { id, .. }) | Part::ToolResult(ToolResult { call_id: id, .. })) = part else {
                continue;
            };
            *id = id.replace(GIVEN, "");
        }
        prop_assert_eq!(again, request);
    }

    #[test]
    fn an_answer_is_the_same_after_the_way_there_and_back(rounds in any_round()) {
        let parts = rounds.into_iter().find(|turn| turn.role == Role::Assistant).unwrap().parts;
        let first = reply(r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"responseId":"r","modelVersion":"m"}"#);
        let has_call = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let answer = Reply { parts, finish: crate::neutral::Finish::End.by_content(has_call), ..first };
        let heading = Heading { id: "r", created_s: 0, model: "m" };
        let again = read_reply(&write_reply(&answer, &heading), &third()).unwrap();
        prop_assert_eq!(again, answer);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_request(&bytes, "m", true);
        let _ = read_reply(&bytes, &third());
        let _ = read_fault(500, &bytes);
        let _ = read_count_request(&bytes, "m");
        let _ = read_model_list(&bytes);
        let _ = Metered::look(&bytes);
    }

    #[test]
    fn no_changed_request_makes_a_reader_or_a_writer_panic(request in any_request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (written, _) = written(&request, &second()).or_else(|_| written(&request, &third())).unwrap();
        let mut body = written.body;
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(read) = read_request(&body, "m", false) {
            for profile in [third(), second()] {
                let _ = super::written(&read, &profile);
            }
        }
        let _ = read_reply(&body, &third());
        let _ = read_fault(400, &body);
    }
}
