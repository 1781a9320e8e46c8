//! The tool that stands for the schema of the answer: its call is the text that the client asked for.
//!
//! What the model says beside the call would make that text unreadable for a client that expects JSON. So texts wait until
//! it is clear whether there is a call: with one they are left out, without one they are the answer.

use super::super::{Arguments, Block, Delta, Event, Finish, Part, Reply, Text, ToolCall};

/// What an answer of no arguments is.
const EMPTY: &str = "{}";

#[derive(Debug, Clone, Default)]
pub(super) struct SchemaTool {
    /// Events of texts before the call.
    waiting: Vec<Event>,
    /// Texts that wait or are left out, and calls that are left out.
    aside: Vec<u32>,
    /// The block of the call, once it is there, and whether it has arguments.
    call: Option<(u32, bool)>,
    has_other_call: bool,
    /// The numbers of open blocks, as they came and as they go on: what is left out leaves no gap.
    numbers: Vec<(u32, u32)>,
    next_number: u32,
}

impl SchemaTool {
    pub(super) fn event(&mut self, tool: &str, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::Open { block, kind } => self.open(tool, block, kind, out),
            Event::Delta { block, .. } | Event::Close { block } if self.aside.contains(&block) => {
                if self.call.is_none() {
                    self.waiting.push(event);
                }
            }
            Event::Delta { block, delta } => {
                let delta = self.delta(block, delta);
                self.push(Event::Delta { block, delta }, out);
            }
            Event::Close { block } => {
                if self.call == Some((block, false)) {
                    let delta = Delta::Text(EMPTY.to_owned());
                    self.push(Event::Delta { block, delta }, out);
                }
                self.push(event, out);
            }
            Event::Finish(finish) => {
                self.release(out);
                out.push(Event::Finish(self.finish(finish)));
            }
            Event::Fault(_) | Event::End => {
                self.release(out);
                out.push(event);
            }
            other => out.push(other),
        }
    }

    fn open(&mut self, tool: &str, block: u32, kind: Block, out: &mut Vec<Event>) {
        match kind {
            Block::ToolCall { ref name, .. } if name == tool => {
                if self.call.is_some() {
                    self.aside.push(block);
                    return;
                }
                self.waiting.clear();
                self.call = Some((block, false));
                let kind = Block::Text;
                self.push(Event::Open { block, kind }, out);
            }
            Block::Text => {
                self.aside.push(block);
                if self.call.is_none() {
                    self.waiting.push(Event::Open { block, kind });
                }
            }
            kind => {
                self.has_other_call |= matches!(kind, Block::ToolCall { .. });
                self.push(Event::Open { block, kind }, out);
            }
        }
    }

    fn delta(&mut self, block: u32, delta: Delta) -> Delta {
        match (delta, &mut self.call) {
            (Delta::Arguments(text), Some((call, has_arguments))) if *call == block => {
                *has_arguments |= !text.is_empty();
                Delta::Text(text)
            }
            (other, _) => other,
        }
    }

    fn finish(&self, finish: Finish) -> Finish {
        match finish {
            Finish::ToolCall if self.call.is_some() && !self.has_other_call => Finish::End,
            other => other,
        }
    }

    /// There is no call: the texts are the answer.
    fn release(&mut self, out: &mut Vec<Event>) {
        for event in std::mem::take(&mut self.waiting) {
            self.push(event, out);
        }
    }

    fn push(&mut self, mut event: Event, out: &mut Vec<Event>) {
        match &mut event {
            Event::Open { block, .. } => {
                self.numbers.push((*block, self.next_number));
                *block = self.next_number;
                self.next_number += 1;
            }
            Event::Delta { block, .. } | Event::Close { block } => {
                if let Some((_, number)) = self.numbers.iter().find(|(known, _)| known == block) {
                    *block = *number;
                }
            }
            _ => {}
        }
        out.push(event);
    }
}

/// Turns a whole answer back.
pub(super) fn turn_back(tool: &str, reply: &mut Reply) {
    let is_call = |part: &Part| matches!(part, Part::ToolCall(call) if call.name == tool);
    let Some(at) = reply.parts.iter().position(is_call) else {
        return;
    };
    let mut number = 0..;
    reply.parts.retain(|part| {
        let is_first = number.next() == Some(at);
        is_first || !(is_call(part) || matches!(part, Part::Text(_)))
    });
    for part in &mut reply.parts {
        if let Part::ToolCall(call) = part
            && call.name == tool
        {
            *part = Part::Text(text_of(call));
        }
    }
    let has_call = reply.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    if reply.finish == Finish::ToolCall && !has_call {
        reply.finish = Finish::End;
    }
}

fn text_of(call: &mut ToolCall) -> Text {
    let (Arguments::Json(text) | Arguments::Text(text)) = &mut call.arguments;
    let text = std::mem::take(text);
    Text {
        text: if text.is_empty() { EMPTY.to_owned() } else { text },
        seal: call.seal.take(),
        ..Text::default()
    }
}
