//! What holds for any conversation, and for any bytes.

use proptest::prelude::*;

use super::*;
use crate::neutral::{
    Arguments, Effort, Losses, OutputFormat, Part, Profile, Reasoning, ReasoningField, Request, Role,
    Sampling, ServiceTier, Target, Thinking, ThinkingAmount, Tool, ToolCall, ToolChoice, ToolKind,
    ToolResult, Turn,
};

fn words() -> impl Strategy<Value = String> {
    ".{1,12}"
}

/// An exchange as this dialect has it: a question, thoughts, an answer, calls and their results.
fn exchange() -> impl Strategy<Value = Vec<Turn>> {
    let call = (
        "[a-z]{1,8}",
        prop_oneof![Just("{}".to_owned()), Just("{\"a\": 1.0}".to_owned())],
        words(),
    );
    (
        words(),
        proptest::option::of(words()),
        proptest::option::of(words()),
        proptest::collection::vec(call, 0..3),
    )
        .prop_map(|(question, thought, answer, calls)| {
            let mut parts = Vec::new();
            parts.extend(thought.map(|text| {
                Part::Reasoning(Reasoning {
                    texts: vec![text],
                    ..Reasoning::default()
                })
            }));
            parts.extend(answer.map(Part::text));
            let mut results = Vec::new();
            for (number, (name, arguments, result)) in calls.into_iter().enumerate() {
                let id = format!("call_{number}");
                results.push(Part::ToolResult(ToolResult {
                    call_id: id.clone(),
                    name: Some(name.clone()),
                    parts: vec![Part::text(result)],
                    is_error: false,
                    is_free_text: false,
                    cache: None,
                    raw: Vec::new(),
                }));
                parts.push(Part::ToolCall(ToolCall {
                    id,
                    id_is_ours: false,
                    name,
                    arguments: Arguments::Json(arguments),
                    seal: None,
                    cache: None,
                    raw: Vec::new(),
                }));
            }
            let mut turns = vec![
                Turn::new(Role::User, vec![Part::text(question)]),
                Turn::new(Role::Assistant, parts),
            ];
            if !results.is_empty() {
                turns.push(Turn::new(Role::User, results));
            }
            turns
        })
}

fn any_request() -> impl Strategy<Value = Request> {
    let turns = (
        proptest::option::of(words()),
        proptest::collection::vec(exchange(), 0..3),
        words(),
    );
    let numbers = (
        proptest::option::of(0_u64..9_999),
        proptest::option::of(-2.0_f64..2.0),
        any::<bool>(),
    );
    let choice = proptest::option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::Required),
        Just(ToolChoice::Tool("t".to_owned())),
        Just(ToolChoice::Among {
            names: vec!["t".to_owned()],
            required: true
        }),
    ]);
    (turns, numbers, choice, proptest::collection::vec(words(), 0..4)).prop_map(
        |((system, exchanges, last), (max_tokens, temperature, flag), tool_choice, stop)| {
            let system = system.map(|text| Turn::new(Role::System, vec![Part::text(text)]));
            let last = Turn::new(Role::User, vec![Part::text(last), Part::text("and")]);
            let turns = system
                .into_iter()
                .chain(exchanges.into_iter().flatten())
                .chain([last]);
            let schema = serde_json::value::RawValue::from_string("{\"z\": 1.0}".to_owned()).unwrap();
            Request {
                model: "m".to_owned(),
                stream: flag,
                stream_usage: flag,
                turns: turns.collect(),
                tools: vec![Tool {
                    name: "t".to_owned(),
                    description: None,
                    kind: ToolKind::Function {
                        schema: Some(schema.clone()),
                        strict: None,
                    },
                    cache: None,
                    raw: Vec::new(),
                }],
                tool_choice,
                parallel_tools: flag.then_some(false),
                max_tokens,
                sampling: Sampling {
                    temperature,
                    ..Sampling::default()
                },
                thinking: flag.then_some(Thinking {
                    amount: ThinkingAmount::Effort(Effort::Low),
                    show: None,
                }),
                output: if flag {
                    OutputFormat::JsonSchema {
                        name: Some("n".to_owned()),
                        description: None,
                        schema,
                        strict: None,
                    }
                } else {
                    OutputFormat::Text
                },
                stop,
                service_tier: flag.then_some(ServiceTier::Flex),
                ..Request::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(request in any_request()) {
        let profile = Profile { reasoning: ReasoningField::ReasoningContent, ..Profile::default() };
        let mut losses = Losses::new(true);
        let written = write_request(&request, &Target { model: "m", profile: &profile }, &mut losses).unwrap();
        prop_assert_eq!(read_request(&written.body).unwrap(), request);
    }

    #[test]
    fn no_bytes_make_a_reader_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let profile = Profile { think_tags: true, ..Profile::default() };
        let request = br#"{"model":"m","messages":[{"role":"assistant","content":[{"type":"text","text":"a"}],"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}],"reasoning_details":[{"type":"reasoning.text","text":"x","signature":"dGxnMWFi"}]}],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
        let chunk = br#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"<think>a","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}],"reasoning_details":[{"type":"reasoning.text","text":"x"}]},"finish_reason":null}],"usage":{"prompt_tokens":1}}"#;
        for text in [request.as_slice(), chunk, b"data: "] {
            let mut broken = text.to_vec();
            let cut = at.index(broken.len() + 1);
            broken.splice(cut..(cut + bytes.len() / 8).min(broken.len()), bytes.iter().copied());
            let _ = read_request(&broken);
            let _ = read_reply(&broken, &profile);
            let _ = read_fault(200, &broken);
            let mut out = Vec::new();
            let mut reader = StreamReader::new(&profile);
            reader.read(&broken, &mut out);
            reader.read(chunk, &mut out);
            reader.finish(&mut out);
        }
    }
}
