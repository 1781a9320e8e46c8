//! Streams, read and written.

use super::checker::check;
use super::*;
use crate::neutral::{Block, Delta, Event, FaultKind, Finish, OwnedHeading, Profile, Seal, Start, carry};
use crate::sse::{Events, StreamLimits};
use crate::{Dialect, Usage};

pub(super) fn events_in(pieces: &[&[u8]], profile: &Profile) -> Vec<Event> {
    let mut events = Events::new(StreamLimits::default());
    let mut reader = StreamReader::new(profile);
    let mut out = Vec::new();
    for piece in pieces {
        events.push(piece).unwrap();
        while let Some(event) = events.next_event() {
            reader.read(event, &mut out);
        }
    }
    let rest = events.rest().to_vec();
    if !rest.is_empty() {
        reader.read(&rest, &mut out);
    }
    reader.finish(&mut out);
    out
}

pub(super) fn written(events: &[Event], usage_asked: bool) -> Vec<u8> {
    let heading = OwnedHeading {
        id: "chatcmpl-1".to_owned(),
        created_s: 7,
        model: "asked".to_owned(),
    };
    let mut writer = StreamWriter::new(heading, usage_asked);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

/// A chunk with this delta, and a reason.
fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

fn read(deltas: &[&str], profile: &Profile) -> Vec<Event> {
    let mut stream: String = deltas.iter().map(|delta| chunk(delta, "null")).collect();
    stream.push_str(&chunk("{}", "\"stop\""));
    stream.push_str("data: [DONE]\n\n");
    events_in(&[stream.as_bytes()], profile)
}

/// What was told, block by block: its kind, and all of its text.
fn blocks(events: &[Event]) -> Vec<(String, String)> {
    let mut blocks: Vec<(u32, String, String)> = Vec::new();
    for event in events {
        match event {
            Event::Open { block, kind } => {
                let kind = match kind {
                    Block::Text => "text".to_owned(),
                    Block::Refusal => "refusal".to_owned(),
                    Block::Reasoning { .. } => "reasoning".to_owned(),
                    Block::ToolCall { id, name, .. } => format!("{name} {id}"),
                    Block::Raw(_) => "raw".to_owned(),
                };
                blocks.push((*block, kind, String::new()));
            }
            Event::Delta { block, delta } => {
                let text = match delta {
                    Delta::Text(text) | Delta::Arguments(text) => text.clone(),
                    Delta::Seal { seal, .. } => format!("<{:?} {}>", seal.origin, seal.data),
                    _ => String::new(),
                };
                let known = blocks.iter_mut().find(|(known, ..)| known == block).unwrap();
                known.2.push_str(&text);
            }
            _ => {}
        }
    }
    blocks.into_iter().map(|(_, kind, text)| (kind, text)).collect()
}

fn told(events: &[Event]) -> Vec<(String, String)> {
    blocks(events)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(kind, text): &(&str, &str)| ((*kind).to_owned(), (*text).to_owned());
    expected.iter().map(owned).collect()
}

fn finish(events: &[Event]) -> Option<&Finish> {
    events.iter().find_map(|event| match event {
        Event::Finish(finish) => Some(finish),
        _ => None,
    })
}

#[test]
fn p1_calls_are_told_apart_however_they_are_numbered() {
    let profile = Profile::default();
    let interleaved = [
        r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\""}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":":1}"}}]}"#,
    ];
    let expected = pairs(&[("f a", "{}"), ("g b", "{\"x\":1}")]);
    let events = read(&interleaved, &profile);
    assert_eq!(told(&events), expected);
    assert_eq!(finish(&events), Some(&Finish::ToolCall), "P15");
    // All calls numbered 0, whole, by Gemini's endpoint.
    let all_zero = [
        r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":1}"}}]}"#,
    ];
    assert_eq!(told(&read(&all_zero, &profile)), expected);
    // Neither number nor id.
    let bare = [
        r#"{"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"f","arguments":"{\"x\":1}"}}]}"#,
    ];
    let events = read(&bare, &profile);
    let ids: Vec<_> = told(&events).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1], "P10");
    // No id, the same number twice, each whole.
    let no_id = [
        r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"g","arguments":"{}"}}]}"#,
    ];
    assert_eq!(told(&read(&no_id, &profile)).len(), 2);
}

#[test]
fn p29_thoughts_are_found_wherever_a_vendor_has_them() {
    let profile = Profile::default();
    let expected = pairs(&[("reasoning", "hm, so"), ("text", "yes")]);
    for deltas in [
        [
            r#"{"reasoning_content":"hm,","content":null}"#,
            r#"{"reasoning_content":" so","content":""}"#,
            r#"{"content":"yes"}"#,
        ],
        [
            r#"{"reasoning":"hm,","channel":"analysis"}"#,
            r#"{"reasoning":" so"}"#,
            r#"{"content":"yes"}"#,
        ],
        [
            r#"{"content":"","reasoning":"hm,","reasoning_details":[{"type":"reasoning.text","text":"hm,","index":0}]}"#,
            r#"{"content":"","reasoning":" so","reasoning_details":[{"type":"reasoning.text","text":" so","index":0}]}"#,
            r#"{"content":"yes","reasoning":null,"reasoning_details":[]}"#,
        ],
        [
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm,"}]}]}"#,
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":" so"}]}]}"#,
            r#"{"content":[{"type":"text","text":"yes"}]}"#,
        ],
    ] {
        assert_eq!(told(&read(&deltas, &profile)), expected, "{deltas:?}");
    }
}

#[test]
fn p28_think_tags_are_split_however_they_are_cut() {
    let profile = Profile {
        think_tags: true,
        ..Profile::default()
    };
    let text = "\n<think>a < b</th\u{e9}</think>\n\n<think> is no tag here";
    let expected = pairs(&[
        ("reasoning", "a < b</th\u{e9}"),
        ("text", "<think> is no tag here"),
    ]);
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    for first in &ends {
        for second in ends.iter().filter(|second| *second >= first) {
            let pieces = [&text[..*first], &text[*first..*second], &text[*second..]];
            let deltas = pieces.map(|piece| serde_json::json!({ "content": piece }).to_string());
            let deltas: Vec<&str> = deltas.iter().map(String::as_str).collect();
            assert_eq!(told(&read(&deltas, &profile)), expected, "{pieces:?}");
        }
    }
    for plain in ["<thin", "no tags", "  <b>"] {
        let delta = serde_json::json!({ "content": plain }).to_string();
        assert_eq!(told(&read(&[&delta], &profile)), pairs(&[("text", plain)]));
    }
    let never_closed = read(&[r#"{"content":"<think>on and on</th"}"#], &profile);
    assert_eq!(told(&never_closed), pairs(&[("reasoning", "on and on</th")]));
}

#[test]
fn p50_p51_usage_and_reasons_are_found_wherever_they_come() {
    let azure = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[]}\n\n";
    let groq = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":1}}}\n\n";
    let stream = format!("{azure}{}{groq}", chunk(r#"{"content":"a"}"#, "\"stop\""));
    let events = events_in(&[stream.as_bytes()], &Profile::default());
    assert!(
        matches!(&events[0], Event::Start(Start { id, .. }) if id == "c"),
        "{events:?}"
    );
    let usage = Usage {
        input_tokens: 2,
        output_tokens: 1,
        ..Usage::default()
    };
    assert!(events.contains(&Event::Usage(usage)));
    assert_eq!(
        finish(&events),
        Some(&Finish::MaxTokens),
        "the last word counts, once"
    );
    assert_eq!(
        events.last(),
        Some(&Event::End),
        "a reason is a sign of the end where [DONE] is missing"
    );
    let cut = events_in(
        &[chunk(r#"{"content":"a"}"#, "null").as_bytes()],
        &Profile::default(),
    );
    assert!(
        !cut.contains(&Event::End) && finish(&cut).is_none(),
        "a cut stream has no good end"
    );
}

#[test]
fn p46_p47_half_a_letter_takes_nothing_with_it() {
    let events = read(
        &[r#"{"content":"a \ud83d"}"#, r#"{"content":"\ude00 b"}"#],
        &Profile::default(),
    );
    let [(_, text)] = &told(&events)[..] else { panic!() };
    assert!(
        text.starts_with("a \u{fffd}") && text.ends_with("\u{fffd} b"),
        "{text}"
    );
    let whole = read(&[r#"{"content":"\ud83d\ude00\u2028"}"#], &Profile::default());
    assert_eq!(told(&whole), pairs(&[("text", "\u{1f600}\u{2028}")]));
}

#[test]
fn p53_an_error_in_the_stream_ends_it() {
    for error in [
        "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"x\",\"status_code\":429}}\n\n",
        "data: {\"id\":\"c\",\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"},\"choices\":[{\"index\":0,\"delta\":{}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"error\":{\"message\":\"m\",\"code\":429}}]}\n\n",
    ] {
        let stream = format!("{}{error}data: [DONE]\n\n", chunk(r#"{"content":"a"}"#, "null"));
        let events = events_in(&[stream.as_bytes()], &Profile::default());
        let Some(Event::Fault(fault)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::RateLimit, "m"));
        let out = written(&events, true);
        assert_eq!(check(&out), []);
        assert!(!String::from_utf8(out).unwrap().contains("[DONE]"));
    }
    let events = events_in(&[b"data: <html>\n\n"], &Profile::default());
    assert!(matches!(&events[..], [Event::Fault(_)]));
}

#[test]
fn a_written_stream_is_what_openais_clients_expect() {
    let seal = Seal {
        origin: Dialect::AnthropicMessages,
        data: "c2lnbg==".to_owned(),
    };
    let call = |block: u32, id: &str| Event::Open {
        block,
        kind: Block::ToolCall {
            id: id.to_owned(),
            id_is_ours: false,
            name: "f".to_owned(),
            is_free_text: false,
        },
    };
    let delta = |block: u32, delta: Delta| Event::Delta { block, delta };
    let events = [
        Event::Start(Start::default()),
        Event::KeepAlive,
        Event::Open {
            block: 0,
            kind: Block::Reasoning {
                is_summary: false,
                id: None,
            },
        },
        delta(0, Delta::Text("hm".to_owned())),
        delta(
            0,
            Delta::Seal {
                seal: seal.clone(),
                redacted: false,
            },
        ),
        Event::Close { block: 0 },
        call(4, "a"),
        call(7, "b"),
        delta(7, Delta::Arguments("{\"x\":".to_owned())),
        delta(7, Delta::Arguments("1}".to_owned())),
        Event::Close { block: 4 },
        Event::Close { block: 7 },
        Event::Finish(Finish::ToolCall),
        Event::Usage(Usage {
            input_tokens: 3,
            output_tokens: 2,
            ..Usage::default()
        }),
        Event::End,
    ];
    for usage_asked in [false, true] {
        let out = written(&events, usage_asked);
        assert_eq!(check(&out), [], "{}", String::from_utf8_lossy(&out));
        let text = String::from_utf8(out.clone()).unwrap();
        assert_eq!(text.contains("\"usage\""), usage_asked);
        assert_eq!(
            text.matches("\"prompt_tokens\":3").count(),
            usize::from(usage_asked)
        );
        assert!(text.contains("\"model\":\"asked\"") && text.ends_with("data: [DONE]\n\n"));
        assert!(
            text.contains("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}"),
            "P3: {text}"
        );
        let back = events_in(&[&out], &Profile::default());
        let kinds = told(&back);
        assert_eq!(
            kinds[0],
            (
                "reasoning".to_owned(),
                format!("hm<{:?} {}>", seal.origin, seal.data)
            ),
            "P7"
        );
        let id = kinds[1].0.strip_prefix("f ").unwrap();
        let (id, seals) = carry::split_tool_call_id(id);
        assert_eq!(
            (id.as_str(), seals.len()),
            ("a", 1),
            "P7: the first call carries the seal"
        );
        assert_eq!(seals[0].seal, seal);
        assert_eq!(kinds[2], ("f b".to_owned(), "{\"x\":1}".to_owned()));
    }
}

/// OpenAI's SDK for Node puts each member that it does not know in the place of the one before; the one for Python adds
/// texts to texts, and pieces of a list by their `index`.
#[test]
fn p7_what_only_we_know_of_comes_in_one_piece_for_clients_that_keep_the_last() {
    let seal = |data: &str| Delta::Seal {
        seal: Seal {
            origin: Dialect::AnthropicMessages,
            data: data.to_owned(),
        },
        redacted: false,
    };
    let delta = |block: u32, delta: Delta| Event::Delta { block, delta };
    let page = |url: &str| {
        Delta::Citation(crate::neutral::Citation::Url {
            url: url.to_owned(),
            title: None,
            start: Some(0),
            end: Some(2),
        })
    };
    let mut events = vec![Event::Start(Start::default())];
    for (block, texts, data) in [(0, ["h", "m"], "c2lnbg=="), (1, ["s", "o"], "c2VhbA==")] {
        let kind = Block::Reasoning {
            is_summary: false,
            id: None,
        };
        events.push(Event::Open { block, kind });
        events.extend(texts.map(|text| delta(block, Delta::Text(text.to_owned()))));
        events.extend([delta(block, seal(data)), Event::Close { block }]);
    }
    events.push(Event::Open {
        block: 2,
        kind: Block::Text,
    });
    events.push(delta(2, Delta::Text("ok".to_owned())));
    events.extend(["https://a", "https://b"].map(|url| delta(2, page(url))));
    events.extend([Event::Close { block: 2 }, Event::Finish(Finish::End), Event::End]);
    let out = written(&events, false);
    assert_eq!(check(&out), []);
    let mut message = serde_json::Map::new();
    let text = String::from_utf8(out).unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
        let chunk: serde_json::Value = serde_json::from_str(&format!("{{{line}")).unwrap();
        message.extend(chunk["choices"][0]["delta"].as_object().unwrap().clone());
    }
    let details = message["reasoning_details"].as_array().unwrap();
    let kept: Vec<_> = details
        .iter()
        .map(|detail| {
            (
                detail["index"].as_u64().unwrap(),
                detail["text"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(kept, [(0, "hm"), (1, "so")], "{text}");
    assert_eq!(message["annotations"].as_array().map(Vec::len), Some(2), "{text}");
    // What such a client sends back is what was thought.
    message["content"] = "ok".into();
    let request = serde_json::json!({"model": "m", "messages": [message, {"role": "user", "content": "on"}]});
    let request = read_request(request.to_string().as_bytes()).unwrap();
    let thoughts: Vec<_> = request.turns[0]
        .parts
        .iter()
        .filter_map(|part| match part {
            crate::neutral::Part::Reasoning(reasoning) => {
                Some((reasoning.texts.concat(), reasoning.seal.clone().unwrap().data))
            }
            _ => None,
        })
        .collect();
    let expected = [("hm", "c2lnbg=="), ("so", "c2VhbA==")];
    assert_eq!(
        thoughts,
        expected.map(|(text, seal)| (text.to_owned(), seal.to_owned()))
    );
}

#[test]
fn p43_refusals_and_filters_are_told_in_words_and_in_the_reason() {
    let reason = |finish: Finish| {
        let out = written(
            &[Event::Start(Start::default()), Event::Finish(finish), Event::End],
            false,
        );
        assert_eq!(
            check(&out)
                .into_iter()
                .filter(|breach| *breach != super::checker::Breach::NoEnd)
                .collect::<Vec<_>>(),
            []
        );
        String::from_utf8(out).unwrap()
    };
    let refused = reason(Finish::Refused(Some("no".to_owned())));
    assert!(
        refused.contains("\"refusal\":\"no\"") && refused.contains("\"finish_reason\":\"content_filter\"")
    );
    let blocked = reason(Finish::Blocked(Some("SAFETY".to_owned())));
    assert!(blocked.contains("\"finish_reason\":\"content_filter\",\"native_finish_reason\":\"SAFETY\""));
    let other = reason(Finish::Other("odd".to_owned()));
    assert!(
        other.contains("\"finish_reason\":\"stop\",\"native_finish_reason\":\"odd\""),
        "P61"
    );
    let bad = reason(Finish::BadToolCall("MALFORMED_FUNCTION_CALL".to_owned()));
    assert!(bad.contains("\"error\"") && !bad.contains("[DONE]"));
}
