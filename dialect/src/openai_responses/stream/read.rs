//! Reading a streamed answer.
//!
//! Items are known by their `output_index`: some servers give one item another id in each of its events. What an event
//! tells at an end is held against what came before it, since some servers leave out the fragments, some the ends, and
//! some the final list.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::seen::{Kind, Seen, Told};
use super::wire::{Item, Part, Response, Wire, text};
use crate::Dialect;
use crate::neutral::carry::read_opaque;
use crate::neutral::{Block, Delta, Event, Fault, FaultKind, Finish, Profile, Raw, ServiceTier, Start};
use crate::openai_responses::fault::read_error;
use crate::openai_responses::reply::{is_empty, seconds};
use crate::openai_responses::{namespace, words};
use crate::sse;
use crate::tier::TierWord;

/// A stream that is read event by event.
#[derive(Default)]
pub struct StreamReader {
    has_started: bool,
    has_ended: bool,
    next_block: u32,
    items: BTreeMap<u64, Seen>,
    has_call: bool,
    has_refusal: bool,
}

impl StreamReader {
    pub fn new(_profile: &Profile) -> Self {
        Self::default()
    }

    /// Reads a whole event and appends what it says.
    pub fn read(&mut self, event: &[u8], out: &mut Vec<Event>) {
        let data = sse::data(event);
        if self.has_ended || data.as_ref() == b"[DONE]" {
            return;
        }
        if data.is_empty() {
            out.push(Event::KeepAlive);
            return;
        }
        match serde_json::from_slice::<Wire<'_>>(&data) {
            Ok(wire) => self.event(&wire, &data, out),
            Err(_) => self.fail(unreadable(), out),
        }
    }

    /// The body has ended: what is open stays open, and without a sign of the end there is none.
    pub fn finish(&mut self, _out: &mut Vec<Event>) {
        self.has_ended = true;
    }

    fn event(&mut self, wire: &Wire<'_>, data: &[u8], out: &mut Vec<Event>) {
        let kind = wire.r#type.as_deref().unwrap_or_default();
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => self.start(wire.response, out),
            "response.completed" | "response.incomplete" | "response.failed" => self.end(wire.response, out),
            "error" => self.error(wire, data, out),
            "" if wire.error.is_some() => self.error(wire, data, out),
            "response.output_item.added" => self.added(wire, out),
            "response.output_item.done" => {
                if let Some(item) = wire.item {
                    self.done(wire.output_index.unwrap_or(0), item, out);
                }
            }
            _ => self.inside(kind, wire, data, out),
        }
    }

    /// What happens inside an item.
    fn inside(&mut self, kind: &str, wire: &Wire<'_>, data: &[u8], out: &mut Vec<Event>) {
        let Some(kind) = kind.strip_prefix("response.") else {
            return out.push(Event::Raw(carried(data)));
        };
        match kind {
            "content_part.added" | "content_part.done" => {
                if let Some(part) = wire.part {
                    self.part(wire, part, kind == "content_part.done", out);
                }
            }
            "output_text.delta" => self.text_delta(wire, out),
            "output_text.done" => self.rest_of_part(wire, text(wire.text), out),
            "output_text.annotation.added" => {
                if let Some(annotation) = wire.annotation {
                    self.message_part(wire, false, out).cite(annotation, out);
                }
            }
            "refusal.delta" => {
                let delta = text(wire.delta).unwrap_or_default();
                self.message_part(wire, true, out)
                    .fragment(delta, Delta::Text, out);
            }
            "refusal.done" => self.rest_of_part(wire, text(wire.refusal), out),
            "reasoning_summary_part.added" => self.piece(wire, true, None, false, out),
            "reasoning_summary_text.delta" => self.piece(wire, true, text(wire.delta), false, out),
            "reasoning_summary_text.done" => self.piece(wire, true, text(wire.text), true, out),
            "reasoning_text.delta" => self.piece(wire, false, text(wire.delta), false, out),
            "reasoning_text.done" => self.piece(wire, false, text(wire.text), true, out),
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                if let Some(told) = self.block(wire, Kind::Call, 0) {
                    told.fragment(text(wire.delta).unwrap_or_default(), Delta::Arguments, out);
                }
            }
            "function_call_arguments.done" | "custom_tool_call_input.done" => {
                let whole = text(wire.arguments.or(wire.input));
                if let (Some(told), Some(whole)) = (self.block(wire, Kind::Call, 0), whole) {
                    told.rest(&whole, Delta::Arguments, out);
                }
            }
            "reasoning_summary_part.done" => {}
            _ => out.push(Event::Raw(carried(data))),
        }
    }

    /// The item of this index. Should it be something else by now, it is another one.
    fn item(&mut self, index: u64, kind: Kind, out: &mut Vec<Event>) -> (&mut Seen, &mut u32) {
        let seen = self.items.entry(index).or_insert_with(|| Seen::new(kind));
        if seen.kind != kind {
            seen.close_all(out);
            *seen = Seen::new(kind);
        }
        (seen, &mut self.next_block)
    }

    /// A block that is open already.
    fn block(&mut self, wire: &Wire<'_>, kind: Kind, index: u64) -> Option<&mut Told> {
        let seen = self.items.get_mut(&wire.output_index.unwrap_or(0));
        seen.filter(|seen| seen.kind == kind)?.block(index)
    }

    /// Begins, unless that is done. What the tier is called before it is known is no tier.
    fn start(&mut self, response: Option<&RawValue>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let response = response.and_then(|json| serde_json::from_str::<Response<'_>>(json.get()).ok());
        out.push(Event::Start(response.map_or_else(Start::default, |response| {
            let tier = response.service_tier.as_deref().map(words::read_tier);
            Start {
                id: response.id.unwrap_or_default(),
                model: response.model.unwrap_or_default(),
                created_s: response.created_at.and_then(seconds),
                usage: None,
                service_tier: tier.filter(|tier| *tier != ServiceTier::Auto),
            }
        })));
    }

    fn added(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) {
        self.start(None, out);
        let item = wire
            .item
            .and_then(|json| serde_json::from_str::<Item<'_>>(json.get()).ok());
        let index = wire.output_index.unwrap_or(0);
        // Where items are not counted, one begins after another; what was said of the last one after its end ends too.
        if let Some(mut seen) = self.items.remove(&index) {
            if seen.is_done {
                seen.close_all(out);
            } else {
                self.items.insert(index, seen);
            }
        }
        if let Some(item) = item
            && matches!(item.r#type.as_deref(), Some("function_call" | "custom_tool_call"))
        {
            self.call(index, &item, out);
        }
    }

    /// Opens a call, unless it is open.
    fn call(&mut self, index: u64, item: &Item<'_>, out: &mut Vec<Event>) {
        self.has_call = true;
        let (seen, next) = self.item(index, Kind::Call, out);
        seen.opened(0, next, out, || {
            let given = item
                .call_id
                .as_ref()
                .or(item.id.as_ref())
                .filter(|id| !id.is_empty());
            Block::ToolCall {
                id: given.cloned().unwrap_or_else(|| format!("call_{index}")),
                id_is_ours: given.is_none(),
                name: namespace::join(item.namespace.as_deref(), item.name.clone().unwrap_or_default()),
                is_free_text: item.r#type.as_deref() == Some("custom_tool_call"),
            }
        });
    }

    /// The block of a message's part.
    fn message_part(&mut self, wire: &Wire<'_>, is_refusal: bool, out: &mut Vec<Event>) -> &mut Told {
        self.start(None, out);
        self.has_refusal |= is_refusal;
        let part = wire.content_index.unwrap_or(0);
        let (seen, next) = self.item(wire.output_index.unwrap_or(0), Kind::Message, out);
        seen.opened(part, next, out, || {
            if is_refusal { Block::Refusal } else { Block::Text }
        })
    }

    fn part(&mut self, wire: &Wire<'_>, part: &RawValue, is_done: bool, out: &mut Vec<Event>) {
        let Ok(part) = serde_json::from_str::<Part<'_>>(part.get()) else {
            return;
        };
        match part.r#type.as_deref() {
            Some("reasoning_text") => self.piece(wire, false, part.text, true, out),
            Some(kind @ ("output_text" | "refusal")) => {
                let told = self.message_part(wire, kind == "refusal", out);
                if is_done {
                    let whole = part.text.or(part.refusal).unwrap_or_default();
                    told.rest(&whole, Delta::Text, out);
                    told.rest_of_citations(&part.annotations.unwrap_or_default(), out);
                    told.close(out);
                }
            }
            _ => {}
        }
    }

    fn text_delta(&mut self, wire: &Wire<'_>, out: &mut Vec<Event>) {
        let told = self.message_part(wire, false, out);
        told.fragment(text(wire.delta).unwrap_or_default(), Delta::Text, out);
        if let Some(logprobs) = wire.logprobs.filter(|logprobs| !is_empty(logprobs)) {
            let raw = Raw::new(Dialect::OpenaiResponses, "logprobs", logprobs.to_owned());
            told.tell(Delta::Logprobs(raw), out);
        }
    }

    fn rest_of_part(&mut self, wire: &Wire<'_>, whole: Option<String>, out: &mut Vec<Event>) {
        let part = wire.content_index.unwrap_or(0);
        if let (Some(told), Some(whole)) = (self.block(wire, Kind::Message, part), whole) {
            told.rest(&whole, Delta::Text, out);
        }
    }

    /// A piece of reasoning: a fragment of it, or the whole at its end.
    fn piece(
        &mut self,
        wire: &Wire<'_>,
        is_summary: bool,
        told: Option<String>,
        is_whole: bool,
        out: &mut Vec<Event>,
    ) {
        self.start(None, out);
        let piece = if is_summary {
            wire.summary_index
        } else {
            wire.content_index
        };
        let index = wire.output_index.unwrap_or(0);
        self.tell_piece(index, piece.unwrap_or(0), is_summary, told, is_whole, out);
    }

    fn tell_piece(
        &mut self,
        index: u64,
        piece: u64,
        is_summary: bool,
        text: Option<String>,
        is_whole: bool,
        out: &mut Vec<Event>,
    ) {
        let (seen, next) = self.item(index, Kind::Reasoning, out);
        if seen.is_summary(is_summary) != is_summary {
            return;
        }
        let block = seen.opened(0, next, out, || Block::Reasoning { is_summary, id: None });
        block.piece(piece, out);
        match text {
            Some(whole) if is_whole && block.is_at(piece) => block.rest(&whole, Delta::Text, out),
            Some(fragment) if !is_whole => block.fragment(fragment, Delta::Text, out),
            _ => {}
        }
    }

    /// An item at its end, or in the final list: what of it has not been told is told now.
    fn done(&mut self, index: u64, json: &RawValue, out: &mut Vec<Event>) {
        self.start(None, out);
        if self.items.get(&index).is_some_and(|seen| seen.is_done) {
            return;
        }
        let Ok(item) = serde_json::from_str::<Item<'_>>(json.get()) else {
            return;
        };
        match item.r#type.as_deref() {
            Some("message") => self.rest_of_message(index, &item, out),
            Some("reasoning") => self.rest_of_reasoning(index, &item, out),
            Some("function_call" | "custom_tool_call") => {
                self.call(index, &item, out);
                let whole = item.arguments.or(item.input).unwrap_or_default();
                if let Some(told) = self.item(index, Kind::Call, out).0.block(0) {
                    told.rest(&whole, Delta::Arguments, out);
                }
            }
            _ => {
                let raw = Raw::new(Dialect::OpenaiResponses, "", json.to_owned());
                let (seen, next) = self.item(index, Kind::Other, out);
                seen.opened(0, next, out, || Block::Raw(raw));
            }
        }
        if let Some(seen) = self.items.get_mut(&index) {
            seen.close_all(out);
            seen.is_done = true;
        }
    }

    fn rest_of_message(&mut self, index: u64, item: &Item<'_>, out: &mut Vec<Event>) {
        for (number, part) in item.content.iter().flatten().enumerate() {
            let Ok(part) = serde_json::from_str::<Part<'_>>(part.get()) else {
                continue;
            };
            let is_refusal = part.r#type.as_deref() == Some("refusal");
            self.has_refusal |= is_refusal;
            let (seen, next) = self.item(index, Kind::Message, out);
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            let told = seen.opened(number, next, out, || {
                if is_refusal { Block::Refusal } else { Block::Text }
            });
            told.rest(&part.text.or(part.refusal).unwrap_or_default(), Delta::Text, out);
            told.rest_of_citations(&part.annotations.unwrap_or_default(), out);
        }
    }

    /// The seal of reasoning is told at its end: what was announced with the item is not the final one (pitfall P56).
    fn rest_of_reasoning(&mut self, index: u64, item: &Item<'_>, out: &mut Vec<Event>) {
        let content = item.content.as_deref().unwrap_or_default();
        let (seen, next) = self.item(index, Kind::Reasoning, out);
        let is_summary = seen.is_summary(content.is_empty());
        let pieces = if is_summary {
            item.summary.as_deref().unwrap_or_default()
        } else {
            content
        };
        let id = item.id.clone();
        let block = seen.opened(0, next, out, || Block::Reasoning { is_summary, id });
        for (number, piece) in pieces.iter().enumerate() {
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            let part = serde_json::from_str::<Part<'_>>(piece.get()).ok();
            block.piece(number, out);
            if let (Some(whole), true) = (part.and_then(|part| part.text), block.is_at(number)) {
                block.rest(&whole, Delta::Text, out);
            }
        }
        if let Some(data) = &item.encrypted_content {
            let seal = read_opaque(data, Dialect::OpenaiResponses);
            // As of a whole item.
            let redacted = seal.origin != Dialect::OpenaiResponses && pieces.is_empty();
            block.tell(Delta::Seal { seal, redacted }, out);
        }
    }

    fn end(&mut self, response: Option<&RawValue>, out: &mut Vec<Event>) {
        self.start(response, out);
        let Some(Ok(response)) = response.map(|json| serde_json::from_str::<Response<'_>>(json.get())) else {
            return self.fail(unreadable(), out);
        };
        if let Some(error) = response.error {
            return self.fail(read_error(None, error), out);
        }
        let status = response.status.as_deref().unwrap_or_default();
        if status == "failed" || status == "cancelled" {
            return self.fail(unreadable(), out);
        }
        let output = response.output.unwrap_or_default();
        if output.len() > self.items.len() {
            for (index, item) in output.iter().enumerate() {
                self.done(u64::try_from(index).unwrap_or(u64::MAX), item, out);
            }
        }
        for seen in self.items.values_mut() {
            seen.close_all(out);
        }
        let tier = response.service_tier.as_deref().and_then(TierWord::new);
        if let Some(usage) = response.usage.and_then(|counts| counts.usage(tier)) {
            out.push(Event::Usage(usage));
        }
        let reason = response.incomplete_details.and_then(|details| details.reason);
        let finish = words::read_finish(status, reason.as_deref());
        out.push(Event::Finish(
            if finish == Finish::End && self.has_refusal && !self.has_call {
                Finish::Refused(None)
            } else {
                finish.by_content(self.has_call)
            },
        ));
        out.push(Event::End);
        self.has_ended = true;
    }

    /// The document has code and message in the event itself, real traffic in an object of it.
    fn error(&mut self, wire: &Wire<'_>, data: &[u8], out: &mut Vec<Event>) {
        let flat = || serde_json::from_slice::<&RawValue>(data).ok();
        let fault = match wire.error.or_else(flat) {
            Some(error) => read_error(None, error),
            None => unreadable(),
        };
        self.fail(fault, out);
    }

    fn fail(&mut self, fault: Fault, out: &mut Vec<Event>) {
        self.has_ended = true;
        out.push(Event::Fault(fault));
    }
}

fn carried(data: &[u8]) -> Raw {
    let json = serde_json::from_slice::<Box<RawValue>>(data);
    Raw::new(
        Dialect::OpenaiResponses,
        "",
        json.unwrap_or_else(|_| RawValue::NULL.to_owned()),
    )
}

fn unreadable() -> Fault {
    Fault {
        kind: FaultKind::Internal,
        message: "the provider sent an event that cannot be read".to_owned(),
        param: None,
        code: None,
        retry_after_ms: None,
    }
}
