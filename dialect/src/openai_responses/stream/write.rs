//! Writing a streamed answer.
//!
//! An item is announced before anything is told of it, and told to be done before the next one that follows it; texts
//! that follow one another are parts of one message. That the last item is done is told when it is known whether the
//! answer was cut inside it. The final response repeats the items as they were told to be done.

use super::item::{CallSoFar, Item, Kind, Thoughts, Words};
use super::pen::Pen;
use crate::Dialect;
use crate::neutral::carry::{Place, of_text};
use crate::neutral::{Block, Delta, Event, Fault, Finish, Heading, OwnedHeading, Seal, ServiceTier, Start};
use crate::openai_responses::fault;
use crate::openai_responses::output::{self, COMPLETED, INCOMPLETE};
use crate::openai_responses::response::Response;
use crate::openai_responses::words::{self, FAILED, IN_PROGRESS, Status};
use crate::usage::Usage;

/// A stream that is written event by event.
pub struct StreamWriter {
    heading: OwnedHeading,
    pen: Pen,
    has_started: bool,
    has_ended: bool,
    items: Vec<Item>,
    /// Blocks that are open.
    blocks: Vec<(u32, Slot)>,
    usage: Option<Usage>,
    service_tier: Option<ServiceTier>,
    finish: Option<Finish>,
    has_refusal: bool,
}

/// Where what comes to a block goes.
enum Slot {
    /// A call that is not announced yet: a seal that its id has to carry may still come.
    Waiting(CallSoFar),
    Item(usize),
    Part(usize, usize),
}

impl StreamWriter {
    pub fn new(heading: OwnedHeading) -> Self {
        Self {
            heading,
            pen: Pen::default(),
            has_started: false,
            has_ended: false,
            items: Vec::new(),
            blocks: Vec::new(),
            usage: None,
            service_tier: None,
            finish: None,
            has_refusal: false,
        }
    }

    /// Appends what an event comes to. Nothing follows the end, or a fault.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start(start) => return self.start(start, out),
            // No client takes it for an event; but whoever watches the connection sees that it lives.
            Event::KeepAlive => return out.extend_from_slice(Dialect::OpenaiResponses.keep_alive()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            // No request of this dialect asks for several answers.
            Event::Raw(_) | Event::Other { .. } => {}
            Event::Open { .. } | Event::Delta { .. } | Event::Close { .. } | Event::Fault(_) | Event::End => {
                self.start(&Start::default(), out);
            }
        }
        match event {
            Event::Open { block, kind } => self.open(*block, kind, out),
            Event::Delta { block, delta } => self.delta(*block, delta, out),
            Event::Close { block } => self.close(*block, out),
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
            Event::Start(_)
            | Event::KeepAlive
            | Event::Usage(_)
            | Event::Finish(_)
            | Event::Raw(_)
            | Event::Other { .. } => {}
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        if !start.model.is_empty() {
            start.model.clone_into(&mut self.heading.model);
        }
        self.heading.created_s = start.created_s.unwrap_or(self.heading.created_s);
        self.service_tier.clone_from(&start.service_tier);
        self.usage = start.usage;
        for name in ["response.created", "response.in_progress"] {
            self.respond(name, IN_PROGRESS, None, None, out);
        }
    }

    fn open(&mut self, block: u32, kind: &Block, out: &mut Vec<u8>) {
        let slot = match kind {
            Block::Text => self.next_part(false, out),
            Block::Refusal => self.next_part(true, out),
            Block::Reasoning { is_summary, .. } => {
                let kind = Kind::Reasoning(Thoughts::new(*is_summary));
                Slot::Item(self.add("rs", kind, out))
            }
            Block::ToolCall {
                id,
                name,
                is_free_text,
                ..
            } => Slot::Waiting(CallSoFar {
                call_id: id.clone(),
                name: name.clone(),
                is_free_text: *is_free_text,
                text: String::new(),
            }),
            Block::Raw(raw) if raw.origin == Dialect::OpenaiResponses => {
                let mut json = Vec::new();
                output::write_line(&raw.json, &mut json);
                Slot::Item(self.add("item", Kind::Raw(json), out))
            }
            Block::Raw(_) => return,
        };
        self.blocks.push((block, slot));
    }

    /// A further part of the message that is being told, or the first of a new one.
    fn next_part(&mut self, is_refusal: bool, out: &mut Vec<u8>) -> Slot {
        self.has_refusal |= is_refusal;
        let words = Words::new(is_refusal);
        let is_last = |item: &&mut Item| item.done.is_none();
        if let Some(item) = self.items.last_mut().filter(is_last)
            && let (place, Kind::Message(parts)) = item.parts()
            && parts.iter().all(|part| part.is_closed)
        {
            let number = parts.len();
            words.add(place, number, &mut self.pen, out);
            parts.push(words);
            let index = item.index;
            return Slot::Part(index, number);
        }
        let index = self.add("msg", Kind::Message(Vec::new()), out);
        if let Some(item) = self.items.get_mut(index)
            && let (place, Kind::Message(parts)) = item.parts()
        {
            words.add(place, 0, &mut self.pen, out);
            parts.push(words);
        }
        Slot::Part(index, 0)
    }

    /// Announces a new item, after the one before it is told to be done, if it is.
    fn add(&mut self, prefix: &str, kind: Kind, out: &mut Vec<u8>) -> usize {
        self.settle_last(COMPLETED, out);
        let index = self.items.len();
        let id = output::item_id(prefix, &self.heading.as_heading(), index);
        let item = Item::new(id, index, kind);
        item.add(&mut self.pen, out);
        self.items.push(item);
        index
    }

    fn settle_last(&mut self, status: &str, out: &mut Vec<u8>) {
        let is_settled = |item: &Item| match &item.kind {
            Kind::Message(parts) => parts.iter().all(|part| part.is_closed),
            Kind::Reasoning(_) | Kind::Call(_) | Kind::Raw(_) => item.is_closed,
        };
        if let Some(item) = self
            .items
            .last_mut()
            .filter(|item| item.done.is_none() && is_settled(item))
        {
            item.finish(status, &mut self.pen, out);
        }
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(at) = self.blocks.iter().rposition(|(known, _)| *known == block) else {
            return;
        };
        if let Delta::Seal { seal, .. } = delta
            && self.seal_call(at, seal)
        {
            return;
        }
        self.announce(at, out);
        let pen = &mut self.pen;
        match self.blocks.get(at) {
            Some((_, Slot::Item(index))) => {
                let Some((place, kind)) = self.items.get_mut(*index).map(Item::parts) else {
                    return;
                };
                match (kind, delta) {
                    (Kind::Reasoning(thoughts), Delta::Text(text)) => thoughts.text(place, text, pen, out),
                    (Kind::Reasoning(thoughts), Delta::NextPiece) => thoughts.end_piece(place, pen, out),
                    (Kind::Reasoning(thoughts), Delta::Seal { seal, redacted }) => {
                        thoughts.seal(seal, *redacted)
                    }
                    (Kind::Call(call), Delta::Arguments(text)) => call.text(place, text, pen, out),
                    _ => {}
                }
            }
            Some((_, Slot::Part(index, number))) => {
                let Some((place, Kind::Message(parts))) = self.items.get_mut(*index).map(Item::parts) else {
                    return;
                };
                let Some(words) = parts.get_mut(*number) else {
                    return;
                };
                match delta {
                    Delta::Text(text) => words.text(place, *number, text, pen, out),
                    Delta::Citation(citation) => words.cite(place, *number, citation, pen, out),
                    Delta::Logprobs(raw) => words.logprobs(place, *number, raw, pen, out),
                    Delta::Seal { seal, .. } => words.seal = Some(seal.clone()),
                    Delta::NextPiece | Delta::Arguments(_) => {}
                }
            }
            Some((_, Slot::Waiting(_))) | None => {}
        }
    }

    /// Puts the seal of a call into the id of it that the client gets, when that is not told yet.
    fn seal_call(&mut self, at: usize, seal: &Seal) -> bool {
        match self.blocks.get_mut(at) {
            Some((_, Slot::Waiting(call))) => {
                call.call_id = output::call_id(&call.call_id, Some(seal));
                true
            }
            _ => false,
        }
    }

    /// Announces a call that has waited for its seal.
    fn announce(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some((_, slot)) = self
            .blocks
            .get_mut(at)
            .filter(|(_, slot)| matches!(slot, Slot::Waiting(_)))
        else {
            return;
        };
        if let Slot::Waiting(call) = std::mem::replace(slot, Slot::Item(usize::MAX)) {
            let prefix = if call.is_free_text { "ctc" } else { "fc" };
            let index = self.add(prefix, Kind::Call(call), out);
            if let Some((_, slot)) = self.blocks.get_mut(at) {
                *slot = Slot::Item(index);
            }
        }
    }

    fn close(&mut self, block: u32, out: &mut Vec<u8>) {
        let Some(at) = self.blocks.iter().rposition(|(known, _)| *known == block) else {
            return;
        };
        self.announce(at, out);
        let (_, slot) = self.blocks.remove(at);
        let mut seal = None;
        let index = match slot {
            Slot::Item(index) => {
                if let Some(item) = self.items.get_mut(index) {
                    item.close(&mut self.pen, out);
                }
                index
            }
            Slot::Part(index, number) => {
                if let Some((place, Kind::Message(parts))) = self.items.get_mut(index).map(Item::parts)
                    && let Some(words) = parts.get_mut(number)
                {
                    words.close(place, number, &mut self.pen, out);
                    seal = words.seal.take();
                }
                index
            }
            Slot::Waiting(_) => return,
        };
        // Others are told of already, so nothing can follow in this one.
        if index + 1 < self.items.len()
            && let Some(item) = self.items.get_mut(index)
        {
            item.finish(COMPLETED, &mut self.pen, out);
        }
        self.carry_behind(seal, out);
    }

    /// A text has no place for a seal: an item behind it carries that.
    fn carry_behind(&mut self, seal: Option<Seal>, out: &mut Vec<u8>) {
        let Some(seal) = seal.and_then(|seal| of_text(&seal, Dialect::OpenaiResponses, Place::Behind)?.seal)
        else {
            return;
        };
        let mut thoughts = Thoughts::new(true);
        thoughts.seal(&seal, true);
        let index = self.add("rs", Kind::Reasoning(thoughts), out);
        if let Some(item) = self.items.get_mut(index) {
            item.close(&mut self.pen, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        while let Some((block, _)) = self.blocks.first() {
            let block = *block;
            self.close(block, out);
        }
        let finish = self.finish.take().unwrap_or(Finish::End);
        if let (Finish::Refused(Some(explanation)), false) = (&finish, self.has_refusal) {
            self.open(u32::MAX, &Block::Refusal, out);
            self.delta(u32::MAX, &Delta::Text(explanation.clone()), out);
            self.close(u32::MAX, out);
        }
        let status = words::status(&finish, self.has_refusal);
        let is_cut = status.word == INCOMPLETE;
        self.settle_last(if is_cut { INCOMPLETE } else { COMPLETED }, out);
        let name = match status.word {
            "failed" => "response.failed",
            "incomplete" => "response.incomplete",
            _ => "response.completed",
        };
        let native = words::native(&finish);
        self.respond(name, status, words::error_of(&finish), native, out);
        self.has_ended = true;
    }

    /// Ends the stream with an error, and with a response that says the same and holds what was done before.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        fault::write_event(fault, self.pen.next(), out);
        let code = fault::code_of(fault);
        let error = Some((code, fault.message.as_str()));
        self.respond("response.failed", FAILED, error, None, out);
        self.has_ended = true;
    }

    /// Tells how the whole response stands.
    fn respond(
        &mut self,
        name: &str,
        status: Status,
        error: Option<(&str, &str)>,
        native: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let mut output = Vec::new();
        for done in self.items.iter().filter_map(|item| item.done.as_deref()) {
            if !output.is_empty() {
                output.push(b',');
            }
            output.extend_from_slice(done);
        }
        let heading: Heading<'_> = self.heading.as_heading();
        let response = Response {
            heading,
            status,
            error,
            native,
            output: &output,
            usage: self.usage.filter(|_| status != IN_PROGRESS),
            service_tier: self.service_tier.as_ref(),
        };
        self.pen
            .event(name, out, |object| response.write(object.begin("response")));
    }
}
