//! What a stream of neutral events comes to.

use crate::Usage;
use crate::neutral::{Arguments, Block, Delta, Event, Fault, Finish, Part, Reasoning, Start, Text, ToolCall};

#[derive(Debug, Default)]
pub(super) struct Told {
    pub start: Start,
    pub parts: Vec<Part>,
    pub usage: Option<Usage>,
    pub finish: Option<Finish>,
    pub fault: Option<Fault>,
    pub has_ended: bool,
}

/// Puts events together, and holds them to the order that neutral events have.
pub(super) fn collect(events: &[Event]) -> Told {
    let mut told = Told::default();
    let mut open = Vec::new();
    for (number, event) in events.iter().enumerate() {
        assert!(!told.has_ended && told.fault.is_none(), "something after the end");
        match event {
            Event::Start(start) => {
                assert!(told.parts.is_empty());
                told.start = start.clone();
            }
            Event::Open { block, kind } => {
                assert_eq!(*block as usize, told.parts.len(), "event {number}");
                open.push(*block);
                told.parts.push(part(kind));
            }
            Event::Delta { block, delta } => {
                assert!(open.contains(block), "event {number}");
                add(&mut told.parts[*block as usize], delta);
            }
            Event::Close { block } => {
                assert!(open.contains(block), "event {number}");
                open.retain(|known| known != block);
            }
            Event::Usage(usage) => told.usage = Some(*usage),
            Event::Finish(finish) => told.finish = Some(finish.clone()),
            Event::Fault(fault) => told.fault = Some(fault.clone()),
            Event::End => {
                assert!(open.is_empty() && told.finish.is_some());
                told.has_ended = true;
            }
            // An answer of this dialect is one.
            Event::KeepAlive | Event::Raw(_) | Event::Other { .. } => {}
        }
    }
    told
}

fn part(kind: &Block) -> Part {
    match kind {
        Block::Text => Part::Text(Text::default()),
        Block::Refusal => Part::Refusal(String::new()),
        Block::Reasoning { is_summary, id } => Part::Reasoning(Reasoning {
            is_summary: *is_summary,
            id: id.clone(),
            ..Reasoning::default()
        }),
        Block::ToolCall {
            id,
            id_is_ours,
            name,
            is_free_text,
        } => Part::ToolCall(ToolCall {
            id: id.clone(),
            id_is_ours: *id_is_ours,
            name: name.clone(),
            arguments: if *is_free_text {
                Arguments::Text(String::new())
            } else {
                Arguments::Json(String::new())
            },
            seal: None,
            cache: None,
            raw: Vec::new(),
        }),
        Block::Raw(raw) => Part::Raw(raw.clone()),
    }
}

fn add(part: &mut Part, delta: &Delta) {
    match (part, delta) {
        (Part::Text(text), Delta::Text(more)) => text.text.push_str(more),
        (Part::Text(text), Delta::Citation(citation)) => text.citations.push(citation.clone()),
        (Part::Text(text), Delta::Seal { seal, .. }) => text.seal = Some(seal.clone()),
        (Part::Text(_), Delta::Logprobs(_)) => {}
        (Part::Refusal(text), Delta::Text(more)) => text.push_str(more),
        (Part::Reasoning(reasoning), Delta::Text(more)) => match reasoning.texts.last_mut() {
            Some(text) => text.push_str(more),
            None => reasoning.texts.push(more.clone()),
        },
        (Part::Reasoning(reasoning), Delta::NextPiece) => reasoning.texts.push(String::new()),
        (Part::Reasoning(reasoning), Delta::Seal { seal, redacted }) => {
            reasoning.seal = Some(seal.clone());
            reasoning.redacted |= redacted;
        }
        (Part::ToolCall(call), Delta::Seal { seal, .. }) => call.seal = Some(seal.clone()),
        (Part::ToolCall(call), Delta::Arguments(more)) => match &mut call.arguments {
            Arguments::Json(text) | Arguments::Text(text) => text.push_str(more),
        },
        (part, delta) => panic!("{delta:?} in {part:?}"),
    }
}
