use proptest::prelude::*;

use super::*;
use crate::neutral::{Finish, ToolCall};

fn open_text(block: u32) -> Event {
    let kind = Block::Text;
    Event::Open { block, kind }
}

fn open_call(block: u32, name: &str) -> Event {
    let kind = Block::ToolCall {
        id: format!("call_{block}"),
        id_is_ours: false,
        name: name.to_owned(),
        is_free_text: false,
    };
    Event::Open { block, kind }
}

fn text(block: u32, text: &str) -> Event {
    let delta = Delta::Text(text.to_owned());
    Event::Delta { block, delta }
}

fn arguments(block: u32, text: &str) -> Event {
    let delta = Delta::Arguments(text.to_owned());
    Event::Delta { block, delta }
}

fn through(undo: &Undo, events: Vec<Event>) -> Vec<Event> {
    let mut undo = undo.clone();
    let mut out = Vec::new();
    for event in events {
        undo.events(event, &mut out);
    }
    out
}

fn close(block: u32) -> Event {
    Event::Close { block }
}

fn reply(parts: Vec<Part>, finish: Finish) -> Reply {
    Reply {
        id: String::new(),
        model: String::new(),
        created_s: None,
        parts,
        finish,
        others: Vec::new(),
        usage: None,
        service_tier: None,
        logprobs: None,
        raw: Vec::new(),
    }
}

fn call(name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: "call".to_owned(),
        id_is_ours: false,
        name: name.to_owned(),
        arguments: Arguments::Json(arguments.to_owned()),
        seal: None,
        cache: None,
        raw: Vec::new(),
    })
}

#[test]
fn p35_only_the_tool_of_the_schema_becomes_text() {
    let undo = Undo {
        schema_tool: Some("answer".to_owned()),
        ..Undo::default()
    };
    let events = vec![
        open_text(0),
        text(0, "Here it is:"),
        close(0),
        open_call(1, "answer"),
        arguments(1, "{\"a\""),
        arguments(1, ":1}"),
        close(1),
        Event::Finish(Finish::ToolCall),
        Event::End,
    ];
    let expected = vec![
        open_text(0),
        text(0, "{\"a\""),
        text(0, ":1}"),
        close(0),
        Event::Finish(Finish::End),
        Event::End,
    ];
    assert_eq!(through(&undo, events), expected);
    let mut whole = reply(
        vec![Part::text("Here it is:"), call("answer", "{\"a\":1}")],
        Finish::ToolCall,
    );
    undo.reply(&mut whole);
    assert_eq!(whole, reply(vec![Part::text("{\"a\":1}")], Finish::End));

    let with_another = vec![
        open_call(0, "search"),
        close(0),
        open_call(1, "answer"),
        close(1),
        open_call(2, "answer"),
        close(2),
        Event::Finish(Finish::ToolCall),
    ];
    let expected = vec![
        open_call(0, "search"),
        close(0),
        open_text(1),
        text(1, "{}"),
        close(1),
        Event::Finish(Finish::ToolCall),
    ];
    assert_eq!(through(&undo, with_another), expected);
    let without = vec![open_text(0), text(0, "no"), close(0), Event::Finish(Finish::End)];
    assert_eq!(through(&undo, without.clone()), without);
}

#[test]
fn p14_p66_calls_get_their_names_and_texts_back() {
    let mut undo = Undo {
        free_text_tools: vec!["apply patch".to_owned()],
        ..Undo::default()
    };
    let sent = undo
        .names
        .fit("apply patch", &super::super::names::OPENAI_TOOL)
        .into_owned();
    let events = through(
        &undo,
        vec![
            open_call(0, &sent),
            arguments(0, "{\"inp"),
            open_call(1, "other"),
            arguments(0, "ut\":\"*** Begin"),
            arguments(1, "{}"),
            arguments(0, "\\n\"}"),
            close(0),
            close(1),
        ],
    );
    let Event::Open {
        kind: Block::ToolCall {
            name, is_free_text, ..
        },
        ..
    } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!((name.as_str(), *is_free_text), ("apply patch", true));
    assert_eq!(
        events[1..],
        [
            open_call(1, "other"),
            arguments(0, "*** Begin"),
            arguments(1, "{}"),
            arguments(0, "\n"),
            close(0),
            close(1)
        ]
    );
    let mut whole = reply(vec![call(&sent, &free_text::arguments("a\"b"))], Finish::ToolCall);
    undo.reply(&mut whole);
    let Part::ToolCall(call) = &whole.parts[0] else {
        panic!("a call")
    };
    assert_eq!(
        (call.name.as_str(), &call.arguments),
        ("apply patch", &Arguments::Text("a\"b".to_owned()))
    );
}

#[test]
fn a_text_ends_at_a_stop_sequence() {
    let undo = Undo {
        stop: vec!["\n\nHuman:".to_owned(), "END".to_owned()],
        ..Undo::default()
    };
    let events = vec![
        open_text(0),
        text(0, "a\n"),
        text(0, "\nHum"),
        text(0, "\n\nHu"),
        text(0, "man: b"),
        text(0, "c"),
        close(0),
        open_call(1, "tool"),
        close(1),
        Event::Finish(Finish::MaxTokens),
        Event::Usage(crate::Usage::default()),
        Event::End,
    ];
    let expected = vec![
        open_text(0),
        text(0, "a"),
        text(0, "\n\nHum"),
        close(0),
        Event::Finish(Finish::StopSequence(Some("\n\nHuman:".to_owned()))),
        Event::Usage(crate::Usage::default()),
        Event::End,
    ];
    assert_eq!(through(&undo, events), expected);
    let held = vec![open_text(0), text(0, "EN"), close(0), Event::Finish(Finish::End)];
    assert_eq!(through(&undo, held.clone()), held);
}

proptest! {
    #[test]
    fn a_stream_ends_where_the_whole_answer_would(
        pieces in proptest::collection::vec("[ab\u{e9}]{0,4}", 0..8),
        stop in proptest::collection::vec("[ab\u{e9}]{1,4}", 1..4),
    ) {
        let undo = Undo { stop: stop.clone(), ..Undo::default() };
        let mut events = vec![open_text(0)];
        events.extend(pieces.iter().map(|piece| text(0, piece)));
        events.extend([close(0), Event::Finish(Finish::End)]);
        let events = through(&undo, events);
        let mut streamed = String::new();
        let mut finish = None;
        for event in events {
            match event {
                Event::Delta { delta: Delta::Text(text), .. } => streamed.push_str(&text),
                Event::Finish(found) => finish = Some(found),
                _ => {}
            }
        }
        let whole_text = pieces.concat();
        let mut whole = reply(vec![Part::text(whole_text.as_str())], Finish::End);
        undo.reply(&mut whole);
        prop_assert_eq!(&whole.parts, &[Part::text(streamed.as_str())]);
        prop_assert_eq!(Some(&whole.finish), finish.as_ref());
        prop_assert!(whole_text.starts_with(&streamed));
        // By looking at every end of the text.
        let first = (0..=whole_text.len()).filter(|end| whole_text.is_char_boundary(*end)).find_map(|end| {
            let matching = stop.iter().filter(|stop| whole_text[..end].ends_with(*stop));
            matching.max_by_key(|stop| stop.len()).map(|stop| &whole_text[..end - stop.len()])
        });
        prop_assert_eq!(first.unwrap_or(&whole_text), streamed);
    }
}
