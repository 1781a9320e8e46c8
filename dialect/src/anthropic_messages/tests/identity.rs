//! What holds for any request and for any bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::checker::{Ending, check};
use super::recorded::written;
use crate::Dialect;
use crate::anthropic_messages::*;
use crate::neutral::*;

const OWN: Dialect = Dialect::AnthropicMessages;

fn text() -> impl Strategy<Value = String> {
    "[a-z\u{e9}\u{1f600}\"\\\\\n]{0,8}[a-z]"
}

fn mark() -> impl Strategy<Value = Option<CacheMark>> {
    prop_oneof![
        9 => Just(None),
        1 => prop_oneof![Just(None), Just(Some("1h".to_owned()))].prop_map(|ttl| Some(CacheMark { ttl })),
    ]
}

fn text_part() -> impl Strategy<Value = Part> {
    (text(), mark()).prop_map(|(text, cache)| {
        Part::Text(Text {
            cache,
            ..Text::new(text)
        })
    })
}

fn media() -> impl Strategy<Value = Part> {
    let image = prop_oneof![
        Just((MediaSource::Base64("iVBORw0KGgo=".to_owned()), Some("image/png"))),
        Just((MediaSource::Url("https://x/y".to_owned()), None)),
        Just((
            MediaSource::File {
                origin: OWN,
                id: "f".to_owned()
            },
            None
        )),
    ];
    let document = prop_oneof![
        Just((
            MediaSource::Base64("JVBERi0x".to_owned()),
            Some("application/pdf")
        )),
        text().prop_map(|text| (MediaSource::Text(text), Some("text/plain"))),
        Just((MediaSource::Url("https://x/y.pdf".to_owned()), None)),
    ];
    let part = |kind| {
        move |((source, media_type), name): ((MediaSource, Option<&str>), Option<String>)| {
            Part::Media(Media {
                kind,
                source,
                media_type: media_type.map(str::to_owned),
                name,
                detail: None,
                cache: None,
                raw: Vec::new(),
            })
        }
    };
    prop_oneof![
        (image, Just(None)).prop_map(part(MediaKind::Image)),
        (document, proptest::option::of(text())).prop_map(part(MediaKind::Document)),
    ]
}

fn reasoning() -> impl Strategy<Value = Part> {
    (proptest::option::of(text()), "[A-Za-z0-9]{4,12}", any::<bool>()).prop_map(|(text, data, redacted)| {
        Part::Reasoning(Reasoning {
            texts: text.filter(|_| !redacted).into_iter().collect(),
            is_summary: !redacted,
            seal: Some(Seal { origin: OWN, data }),
            redacted,
            id: None,
        })
    })
}

/// An answer with calls, and the question that follows it with their results.
fn exchange() -> impl Strategy<Value = [Turn; 2]> {
    let results = vec(
        (
            vec(prop_oneof![text_part(), media()], 0..3),
            any::<bool>(),
            "[{]\"a\": ?[0-9.]{1,3}[}]",
        ),
        0..3,
    );
    (
        vec(prop_oneof![text_part(), reasoning()], 1..4),
        results,
        vec(prop_oneof![text_part(), media()], 1..3),
    )
        .prop_map(|(mut said, results, mut asked)| {
            // A result is in front of all else.
            for (number, (parts, is_error, arguments)) in results.into_iter().enumerate().rev() {
                let id = format!("toolu_{number}");
                let is_json = serde_json::from_str::<&RawValue>(&arguments).is_ok();
                asked.insert(
                    0,
                    Part::ToolResult(ToolResult {
                        call_id: id.clone(),
                        name: None,
                        parts,
                        is_error,
                        is_free_text: false,
                        cache: None,
                        raw: Vec::new(),
                    }),
                );
                said.insert(
                    said.len()
                        - said
                            .iter()
                            .rev()
                            .take_while(|part| matches!(part, Part::ToolCall(_)))
                            .count(),
                    Part::ToolCall(ToolCall {
                        id,
                        id_is_ours: false,
                        name: "look".to_owned(),
                        arguments: Arguments::Json(if is_json { arguments } else { "{}".to_owned() }),
                        seal: None,
                        cache: None,
                        raw: Vec::new(),
                    }),
                );
            }
            [Turn::new(Role::Assistant, said), Turn::new(Role::User, asked)]
        })
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let system = proptest::option::of(vec(text_part(), 1..3));
    (system, vec(text_part(), 1..3), vec(exchange(), 0..3)).prop_map(|(system, first, exchanges)| {
        let mut turns: Vec<Turn> = system
            .into_iter()
            .map(|parts| Turn::new(Role::System, parts))
            .collect();
        turns.push(Turn::new(Role::User, first));
        turns.extend(exchanges.into_iter().flatten());
        turns
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    ("[a-zA-Z0-9_-]{1,20}", proptest::option::of(text()), mark()).prop_map(|(name, description, cache)| {
        Tool {
            name,
            description,
            kind: ToolKind::Function {
                schema: Some(
                    RawValue::from_string(r#"{"type":"object","properties":{"b":{},"a":{}}}"#.to_owned())
                        .unwrap(),
                ),
                strict: None,
            },
            cache,
            raw: Vec::new(),
        }
    })
}

fn thinking() -> impl Strategy<Value = Option<Thinking>> {
    let amount = prop_oneof![
        Just(ThinkingAmount::Free),
        Just(ThinkingAmount::Effort(Effort::High)),
        Just(ThinkingAmount::Effort(Effort::Max)),
    ];
    let show = prop_oneof![Just(None), Just(Some(true)), Just(Some(false))];
    let on = (amount, show).prop_map(|(amount, show)| Thinking { amount, show });
    let off = Just(Thinking {
        amount: ThinkingAmount::Effort(Effort::None),
        show: None,
    });
    proptest::option::of(prop_oneof![on, off])
}

prop_compose! {
    fn request()(
        turns in turns(),
        tools in vec(tool(), 0..3),
        stream in any::<bool>(),
        max_tokens in 1_u64..100_000,
        thinking in thinking(),
        top_k in proptest::option::of(1_u64..50),
        one_at_a_time in proptest::option::of(any::<bool>()),
        stop in vec("[a-z]{1,4}", 0..3),
        tier in proptest::option::of(prop_oneof![Just(ServiceTier::Auto), Just(ServiceTier::Standard)]),
    ) -> Request {
        let choice = one_at_a_time.filter(|_| !tools.is_empty());
        Request {
            model: "claude".to_owned(),
            stream,
            stream_usage: true,
            turns,
            tool_choice: choice.map(|_| ToolChoice::Auto),
            parallel_tools: choice,
            tools,
            max_tokens: Some(max_tokens),
            sampling: Sampling { top_k: top_k.filter(|_| thinking.is_none()), ..Sampling::default() },
            thinking,
            stop,
            service_tier: tier,
            ..Request::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_request_comes_back_as_it_was(request in request()) {
        let target = Target { model: "claude", profile: &Profile::default() };
        let mut losses = Losses::new(false);
        let written = write_request(&request, &target, &mut losses).unwrap();
        if losses.lost().is_empty() {
            prop_assert_eq!(read_request(&written.body).unwrap(), request, "{}", String::from_utf8_lossy(&written.body));
        } else {
            // Five marks are one too many.
            prop_assert_eq!(losses.header(), Some("cache_control".to_owned()));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200), json in "[\\[\\]{}:,\"a-z_0-9 .\\\\-]{0,120}") {
        for body in [bytes.as_slice(), json.as_bytes()] {
            let _ = read_request(body);
            let _ = read_reply(body, &Profile::default());
            let _ = read_fault(500, body);
            let _ = read_model_list(body, "x");
            let _ = read_count(body);
            let _ = Metered::look(body);
            let mut reader = StreamReader::new(&Profile::default());
            reader.read(body, &mut Vec::new());
        }
    }

    #[test]
    fn recordings_with_broken_bytes_make_no_reader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in any::<prop::sample::Index>()) {
        let body = br#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"thinking","thinking":"a","signature":"b"},{"type":"text","text":"x","citations":[{"type":"char_location","url":"u"}]},{"type":"tool_use","id":"t--tlg1-AAAA","name":"n","input":{"a":[1,2]},"caller":{"type":"direct"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAEC"}},{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"y"}],"is_error":true}],"messages":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":5},"output_tokens":18446744073709551615}}"#;
        let mut broken = body.to_vec();
        let at = at.index(broken.len());
        broken[at] = byte;
        broken.truncate(if which.index(2) == 0 { body.len() } else { which.index(body.len()) });
        let _ = read_reply(&broken, &Profile::default());
        let _ = read_request(&broken);
        let _ = Metered::look(&broken);
    }

    #[test]
    fn whatever_comes_is_written_as_a_right_stream(steps in vec((0_u32..6, 0_u8..8), 0..60)) {
        let mut events = vec![Event::Start(Start::default())];
        let mut state = [0_u8; 6];
        for (block, step) in steps {
            let at = block as usize;
            match (state[at], step) {
                (0, 0) => events.push(Event::Open { block, kind: Block::Text }),
                (0, 1) => events.push(Event::Open { block, kind: Block::Reasoning { is_summary: true, id: None } }),
                (0, _) => events.push(Event::Open { block, kind: Block::ToolCall { id: "t".to_owned(), id_is_ours: false, name: "n".to_owned(), is_free_text: step == 7 } }),
                (1, 0) => { events.push(Event::Close { block }); state[at] = 2; continue; }
                (1, 1 | 2) => events.push(Event::Delta { block, delta: Delta::Text("x".to_owned()) }),
                (1, 3 | 4) => events.push(Event::Delta { block, delta: Delta::Arguments("{".to_owned()) }),
                (1, 5) => events.push(Event::Delta { block, delta: Delta::NextPiece }),
                (1, _) => events.push(Event::Delta { block, delta: Delta::Seal { seal: Seal { origin: Dialect::GeminiGenerate, data: "s".to_owned() }, redacted: step == 7 } }),
                _ => continue,
            }
            state[at] = 1;
        }
        events.push(Event::Finish(Finish::End));
        events.push(Event::End);
        prop_assert_eq!(check(&written(&events)), Ok(Ending::Good));
    }
}
