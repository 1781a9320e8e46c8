//! Streams as they are written from neutral events, and what the recorded ones do not show.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::recorded::events;
use super::*;
use crate::Dialect;
use crate::Usage;
use crate::neutral::{
    Block, Citation, Delta, Event, Fault, FaultKind, Finish, OwnedHeading, Raw, Seal, Start,
};
use crate::refusal::{Code, Refusal};

fn write(events: &[Event], framing: Framing) -> Vec<u8> {
    let heading = OwnedHeading {
        id: "id".to_owned(),
        created_s: 1,
        model: "asked".to_owned(),
    };
    let mut writer = StreamWriter::new(heading, framing);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

fn chunks(events: &[Event]) -> Vec<Value> {
    let out = write(events, Framing::Array);
    let value: Value = serde_json::from_slice(&out).unwrap();
    value.as_array().unwrap().clone()
}

fn open_call(block: u32, name: &str) -> Event {
    Event::Open {
        block,
        kind: Block::ToolCall {
            id: format!("id_{name}"),
            id_is_ours: false,
            name: name.to_owned(),
            is_free_text: false,
        },
    }
}

fn arguments(block: u32, text: &str) -> Event {
    Event::Delta {
        block,
        delta: Delta::Arguments(text.to_owned()),
    }
}

fn text(block: u32, text: &str) -> Event {
    Event::Delta {
        block,
        delta: Delta::Text(text.to_owned()),
    }
}

fn sealed(block: u32, origin: Dialect, redacted: bool) -> Event {
    Event::Delta {
        block,
        delta: Delta::Seal {
            seal: Seal {
                origin,
                data: "c2VhbA==".to_owned(),
            },
            redacted,
        },
    }
}

fn thought(block: u32) -> Event {
    Event::Open {
        block,
        kind: Block::Reasoning {
            is_summary: false,
            id: None,
        },
    }
}

fn read_chunks(chunks: &[&str]) -> Vec<Event> {
    let mut reader = StreamReader::new(&third());
    let mut out = Vec::new();
    for chunk in chunks {
        reader.read(format!("data: {chunk}\r\n\r\n").as_bytes(), &mut out);
    }
    reader.finish(&mut out);
    checker::check_events(&out).unwrap();
    out
}

fn part(part: &str, more: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{part}],"role":"model"}}{more}}}],"responseId":"r"}}"#)
}

const STOP: &str = ",\"finishReason\":\"STOP\"";

#[test]
fn p1_p2_interleaved_calls_go_whole_and_in_the_order_of_their_opening() {
    let events = [
        Event::Start(Start::default()),
        open_call(0, "a"),
        open_call(1, "b"),
        arguments(1, "{\"x\""),
        arguments(0, ""),
        arguments(1, ":1}"),
        Event::Close { block: 1 },
        Event::Close { block: 0 },
        Event::Usage(Usage {
            input_tokens: 5,
            output_tokens: 3,
            ..Usage::default()
        }),
        Event::Finish(Finish::ToolCall),
        Event::End,
    ];
    let written = chunks(&events);
    let calls: Vec<_> = written
        .iter()
        .map(|chunk| chunk["candidates"][0]["content"]["parts"][0]["functionCall"].clone())
        .collect();
    assert_eq!(calls[0], json!({"id":"id_a","name":"a","args":{}}));
    assert_eq!(calls[1], json!({"id":"id_b","name":"b","args":{"x":1}}));
    assert_eq!(written[1]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(written[1]["usageMetadata"]["totalTokenCount"], 8);
    assert_eq!(written[1]["modelVersion"], "asked");
    for framing in [Framing::Events, Framing::Array] {
        checker::check(&write(&events, framing), framing == Framing::Array).unwrap();
    }
}

/// Google's SDK for Python forgets a turn of which any chunk says nothing.
#[test]
fn every_chunk_says_something_and_no_more_than_a_letter_is_held_back() {
    let said = [
        Event::Start(Start::default()),
        Event::Open {
            block: 0,
            kind: Block::Text,
        },
        text(0, "The"),
        text(0, "\u{e9}"),
        text(0, " Po"),
    ];
    let parts = |events: &[Event]| -> Vec<String> {
        let written = chunks(events);
        let text = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].clone();
        written
            .iter()
            .filter_map(|chunk| Some(text(chunk).as_str()?.to_owned()))
            .collect()
    };
    let end = [Event::Close { block: 0 }, Event::Finish(Finish::End), Event::End];
    let whole = [&said[..], &end[..]].concat();
    assert_eq!(parts(&whole), ["Th", "e", "\u{e9} P", "o"]);
    let last = chunks(&whole).pop().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    // What breaks off has told all that was said.
    let fault = Event::Fault(Fault {
        kind: FaultKind::Internal,
        message: "later".to_owned(),
        param: None,
        code: None,
        retry_after_ms: None,
    });
    let broken = [&said[..], &[fault]].concat();
    assert_eq!(parts(&broken), ["Th", "e", "\u{e9} P", "o"]);
    assert_eq!(chunks(&broken).pop().unwrap()["error"]["message"], "later");
    // An answer without anything in it still has an end.
    assert_eq!(parts(&[Event::Start(Start::default()), Event::End]), [""]);
}

#[test]
fn p7_p8_foreign_seals_of_thoughts_come_back_from_a_client_of_googles() {
    for (origin, redacted) in [
        (Dialect::AnthropicMessages, false),
        (Dialect::AnthropicMessages, true),
        (Dialect::OpenaiResponses, false),
        (Dialect::GeminiGenerate, false),
    ] {
        let mut written = vec![Event::Start(Start::default()), thought(0)];
        if !redacted {
            written.push(text(0, "hm"));
        }
        written.extend([
            sealed(0, origin, redacted),
            Event::Close { block: 0 },
            Event::Finish(Finish::End),
            Event::End,
        ]);
        let parts: Vec<_> = chunks(&written)
            .iter()
            .flat_map(|chunk| {
                chunk["candidates"][0]["content"]["parts"]
                    .as_array()
                    .unwrap()
                    .clone()
            })
            .collect();
        let request =
            json!({"contents":[{"role":"model","parts":parts},{"role":"user","parts":[{"text":"go on"}]}]});
        let read = read_text(&request.to_string());
        let crate::neutral::Part::Reasoning(reasoning) = &read.turns[0].parts[0] else {
            panic!("{:?}", read.turns);
        };
        let seal = reasoning.seal.clone().unwrap();
        assert_eq!((seal.origin, seal.data.as_str()), (origin, "c2VhbA=="));
        assert_eq!(reasoning.redacted, redacted);
        assert_eq!(reasoning.texts.concat(), if redacted { "" } else { "hm" });
    }
}

#[test]
fn p15_the_reason_is_told_once_at_the_end_and_by_content() {
    let call = part(r#"{"functionCall":{"name":"f","args":{"a":1.0}}}"#, STOP);
    let end = part(r#"{"text":""}"#, STOP);
    let read = read_chunks(&[&call, &end]);
    assert_eq!(
        read.iter()
            .filter(|event| matches!(event, Event::Finish(_)))
            .count(),
        1
    );
    assert_eq!(
        read[read.len() - 2..],
        [Event::Finish(Finish::ToolCall), Event::End]
    );
    assert!(read.contains(&arguments(0, "{\"a\":1.0}")), "{read:?}");
}

#[test]
fn p10_calls_of_one_name_have_ids_of_their_own() {
    let call = part(
        r#"{"functionCall":{"name":"f","id":"f","args":{}}},{"functionCall":{"name":"f","id":"f","args":{}}},{"functionCall":{"name":"f","id":"x","args":{}}}"#,
        STOP,
    );
    let read = read_chunks(&[&call]);
    let ids: Vec<_> = read
        .iter()
        .filter_map(|event| match event {
            Event::Open {
                kind: Block::ToolCall { id, id_is_ours, .. },
                ..
            } => Some((id.as_str(), *id_is_ours)),
            _ => None,
        })
        .collect();
    assert_eq!(
        ids,
        [
            ("call_tlg_r_0", true),
            ("call_tlg_r_1", true),
            ("call_tlgg_x", false)
        ]
    );
}

#[test]
fn a_seal_alone_at_the_end_seals_the_text_before_it_and_what_follows_is_apart() {
    let seal = part(r#"{"text":"","thoughtSignature":"c2VhbA=="}"#, "");
    let read = read_chunks(&[
        &part(r#"{"text":"a"},{"text":"b","thought":true},{"text":"c"}"#, ""),
        &seal,
        &part(r#"{"text":"d"}"#, STOP),
    ]);
    let told = checker::told(&read);
    assert_eq!(told[..4], ["text a", "thought b", "[c2VhbA==] text c", "text d"]);
}

#[test]
fn p43_a_prompt_that_is_held_back_ends_for_that() {
    let blocked = r#"{"promptFeedback":{"blockReason":"JAILBREAK"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#;
    let read = read_chunks(&[blocked]);
    assert!(read.contains(&Event::Finish(Finish::Blocked(Some("JAILBREAK".to_owned())))));
    assert_eq!(read.last(), Some(&Event::End));
    let written = write(&read, Framing::Events);
    checker::check(&written, false).unwrap();
    let found = String::from_utf8(written).unwrap();
    assert!(
        found.contains("\"blockReason\":\"JAILBREAK\"") && !found.contains("candidates"),
        "{found}"
    );
}

#[test]
fn p53_a_fault_is_the_last_in_both_framings_and_a_cut_stream_has_no_good_end() {
    let fault = Event::Fault(Fault {
        kind: FaultKind::Overloaded,
        message: "busy".to_owned(),
        param: None,
        code: None,
        retry_after_ms: Some(1_500),
    });
    let block = Event::Open {
        block: 0,
        kind: Block::Text,
    };
    let told = [
        Event::Start(Start::default()),
        block,
        text(0, "a"),
        fault,
        Event::End,
    ];
    for framing in [Framing::Events, Framing::Array] {
        let is_array = framing == Framing::Array;
        let out = write(&told, framing);
        checker::check(&out, is_array).unwrap();
        let read = events([out.as_slice()].into_iter(), is_array);
        let Some(Event::Fault(fault)) = read.last() else {
            panic!("{read:?}")
        };
        assert_eq!(
            (fault.kind, fault.retry_after_ms),
            (FaultKind::Overloaded, Some(1_500))
        );
        let cut = events([out.split_at(out.len() / 3).0].into_iter(), is_array);
        assert!(!cut.contains(&Event::End), "{cut:?}");
    }
    let heading = OwnedHeading::default();
    let mut writer = StreamWriter::new(heading, Framing::Array);
    let mut out = Vec::new();
    writer.refuse(&Refusal::new(Code::ProviderAnswerCut, "it broke off"), &mut out);
    checker::check(&out, true).unwrap();
}

#[test]
fn p45_citations_of_a_stream_count_characters_and_are_written_in_bytes() {
    let cited = part(
        r#"{"text":"öü cited"}"#,
        r#","finishReason":"STOP","groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://x","title":"X"}}],"groundingSupports":[{"segment":{"startIndex":5,"endIndex":10},"groundingChunkIndices":[0]}]}"#,
    );
    let read = read_chunks(&[&cited]);
    let citation = Citation::Url {
        url: "https://x".to_owned(),
        title: Some("X".to_owned()),
        start: Some(3),
        end: Some(8),
    };
    assert!(
        read.contains(&Event::Delta {
            block: 0,
            delta: Delta::Citation(citation)
        }),
        "{read:?}"
    );
    // Without Google's own object, it is made from the citation.
    let foreign: Vec<_> = read
        .into_iter()
        .filter(|event| !matches!(event, Event::Raw(_)))
        .collect();
    let last = chunks(&foreign).pop().unwrap();
    let segment = &last["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"];
    assert_eq!(segment, &json!({"startIndex":5,"endIndex":10}));
}

#[test]
fn p61_words_that_no_document_names_are_carried() {
    let read = read_chunks(&[&part(r#"{"text":"a"}"#, ",\"finishReason\":\"NEW_WORD\"")]);
    assert!(read.contains(&Event::Finish(Finish::Other("NEW_WORD".to_owned()))));
    let last = chunks(&read).pop().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "NEW_WORD");
    let part = read_chunks(&[&part(
        r#"{"newKind":{"a":1},"thoughtSignature":"c2VhbA=="}"#,
        STOP,
    )]);
    let raw = part.iter().find_map(|event| match event {
        Event::Open {
            kind: Block::Raw(Raw { json, .. }),
            ..
        } => Some(json.get()),
        _ => None,
    });
    assert_eq!(raw, Some(r#"{"newKind":{"a":1},"thoughtSignature":"c2VhbA=="}"#));
}

fn rebuilt(pieces: &[(&str, &str)]) -> Result<Value, FaultKind> {
    let mut all = vec![part(r#"{"functionCall":{"name":"f","willContinue":true}}"#, "")];
    for (path, value) in pieces {
        let path = serde_json::to_string(path).unwrap();
        all.push(part(
            &format!(
                r#"{{"functionCall":{{"partialArgs":[{{"jsonPath":{path},{value}}}],"willContinue":true}}}}"#
            ),
            "",
        ));
    }
    all.push(part(r#"{"text":""}"#, STOP));
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let read = read_chunks(&all);
    if let Some(Event::Fault(fault)) = read.last() {
        return Err(fault.kind);
    }
    let fragments = read.iter().filter_map(|event| match event {
        Event::Delta {
            delta: Delta::Arguments(text),
            ..
        } => Some(text.as_str()),
        _ => None,
    });
    Ok(serde_json::from_str(&fragments.collect::<String>()).unwrap())
}

#[test]
fn p3_arguments_in_pieces_are_rebuilt_also_without_a_last_piece() {
    assert_eq!(rebuilt(&[]), Ok(json!({})));
    let found = rebuilt(&[
        ("$.a.b[0].c", r#""stringValue":"1\"","willContinue":true"#),
        ("$.a.b[0].c", r#""stringValue":"2""#),
        ("$.a.b[0].d", r#""numberValue":1.50"#),
        ("$.a.b[1]", r#""boolValue":false"#),
        ("$['x y']", r#""nullValue":"NULL_VALUE""#),
        ("$.z", r#""stringValue":"open","willContinue":true"#),
    ]);
    let expected = json!({"a":{"b":[{"c":"1\"2","d":1.5},false]},"x y":null,"z":"open"});
    assert_eq!(found, Ok(expected));
    // What would have to be taken back is a failure, and never wrong arguments.
    for wrong in [
        [
            ("$.a.b", r#""numberValue":1"#),
            ("$.c", r#""numberValue":1"#),
            ("$.a.d", r#""numberValue":1"#),
        ],
        [
            ("$.a", r#""numberValue":1"#),
            ("$.a", r#""numberValue":2"#),
            ("$.b", r#""numberValue":2"#),
        ],
        [
            ("$.a[1]", r#""numberValue":1"#),
            ("$.b", r#""numberValue":2"#),
            ("$.c", r#""numberValue":2"#),
        ],
        [
            ("a", r#""numberValue":1"#),
            ("$.b", r#""numberValue":2"#),
            ("$.c", r#""numberValue":2"#),
        ],
    ] {
        assert_eq!(rebuilt(&wrong), Err(FaultKind::Internal), "{wrong:?}");
    }
}

#[test]
fn keeping_alive_is_no_event_to_googles_clients() {
    let events = [
        Event::Start(Start::default()),
        Event::KeepAlive,
        Event::Finish(Finish::End),
        Event::End,
    ];
    assert!(write(&events, Framing::Events).starts_with(b"\r\ndata: "));
    checker::check(&write(&events, Framing::Events), false).unwrap();
    checker::check(&write(&events, Framing::Array), true).unwrap();
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 1..4).prop_map(|members| json!(members)),
        ]
    })
}

/// The pieces in which Vertex would send a value.
fn pieces(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| pieces(value, &format!("{path}.{name}"), out)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| pieces(value, &format!("{path}[{at}]"), out));
        }
        Value::String(text) => {
            let middle = text
                .char_indices()
                .nth(text.chars().count() / 2)
                .map_or(0, |(at, _)| at);
            let (head, tail) = text.split_at(middle);
            out.push((
                path.to_owned(),
                format!("\"stringValue\":{},\"willContinue\":true", Value::from(head)),
            ));
            out.push((path.to_owned(), format!("\"stringValue\":{}", Value::from(tail))));
        }
        Value::Number(number) => out.push((path.to_owned(), format!("\"numberValue\":{number}"))),
        Value::Bool(boolean) => out.push((path.to_owned(), format!("\"boolValue\":{boolean}"))),
        Value::Null => out.push((path.to_owned(), "\"nullValue\":\"NULL_VALUE\"".to_owned())),
    }
}

proptest! {
    #[test]
    fn arguments_in_pieces_are_what_they_were(members in proptest::collection::btree_map("[a-z]{1,4}", any_json(), 0..4)) {
        let value = json!(members);
        let mut found = Vec::new();
        pieces(&value, "$", &mut found);
        let borrowed: Vec<_> = found.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        prop_assert_eq!(rebuilt(&borrowed), Ok(value));
    }

    #[test]
    fn no_bytes_make_a_stream_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
        let at = cut.min(bytes.len());
        let (head, tail) = bytes.split_at(at);
        for is_array in [false, true] {
            let found = events([head, tail].into_iter(), is_array);
            prop_assert!(checker::check_events(&found).is_ok());
        }
    }

    #[test]
    fn no_changed_chunk_makes_a_stream_reader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut chunk = part(r#"{"functionCall":{"name":"f","partialArgs":[{"jsonPath":"$.a[0]","stringValue":"x"}],"willContinue":true},"thoughtSignature":"QQ=="},{"text":"a","thought":true},{"inlineData":{"mimeType":"image/png","data":"QQ"}}"#, STOP).into_bytes();
        let at = at.index(chunk.len());
        chunk[at] = byte;
        let mut reader = StreamReader::new(&third());
        let mut out = Vec::new();
        reader.read_chunk(&chunk, &mut out);
        reader.finish(&mut out);
        prop_assert!(checker::check_events(&out).is_ok());
    }
}
