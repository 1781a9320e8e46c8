//! Writing a stream for a client. Anthropic's blocks come strictly one after the other, whatever the provider mixes: the
//! first that is open is told as it comes, and what comes of others meanwhile waits until it is closed (pitfall P2).

use std::collections::VecDeque;

use crate::json::{Members, ObjectWriter, write};
use crate::neutral::carry::{CarriedSeal, Place, of_text, opaque_for, tool_call_id};
use crate::neutral::{
    Block, Citation, Delta, Event, Fault, Finish, OwnedHeading, Raw, Seal, ServiceTier, Start,
};
use crate::{Dialect, Usage, sse};

use super::super::block::{write_citation, write_redacted};
use super::super::fault::write_fault_event;
use super::super::reply::write_stop;
use super::super::usage::write_usage;

const OWN: Dialect = Dialect::AnthropicMessages;

/// Writes one stream, event by event.
#[derive(Debug)]
pub struct StreamWriter {
    heading: OwnedHeading,
    /// What is known of the input before the provider tells.
    input_tokens: Option<u64>,
    started: bool,
    over: bool,
    usage: Option<Usage>,
    tier: Option<ServiceTier>,
    finish: Option<Finish>,
    has_tool_call: bool,
    /// Blocks that have been opened and not yet told to their end, in their order. The first is told as it comes.
    waiting: VecDeque<Waiting>,
    next: Next,
}

/// The next block for the client.
#[derive(Debug, Default)]
struct Next {
    number: u32,
    /// What carries the seals of texts that have been told. It goes in front of that block: where none follows, there is
    /// none, for agents take the last block for the answer.
    behind_texts: Vec<Seal>,
}

#[derive(Debug)]
struct Waiting {
    block: u32,
    kind: Block,
    /// The client's number of it, once it knows of it: an empty block is never told.
    index: Option<u32>,
    /// What waits to be told.
    deltas: Vec<Delta>,
    /// The seal of a call, which goes into its id, or of a text, which goes into a block behind it.
    seal: Option<Seal>,
    /// The text so far, where a citation may want to quote it.
    text: String,
    has_own_citation: bool,
    /// Whether the client was told of reasoning that is redacted, to which nothing can be added.
    is_redacted: bool,
    closed: bool,
}

impl StreamWriter {
    /// `input_tokens` is what the gateway itself counts, for clients that show it from the start.
    pub fn new(heading: OwnedHeading, input_tokens: Option<u64>) -> Self {
        Self {
            heading,
            input_tokens,
            started: false,
            over: false,
            usage: None,
            tier: None,
            finish: None,
            has_tool_call: false,
            waiting: VecDeque::new(),
            next: Next::default(),
        }
    }

    /// Appends what the client gets for this event.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start(start) => self.start(start, out),
            Event::KeepAlive => out.extend_from_slice(Dialect::AnthropicMessages.keep_alive()),
            Event::Fault(fault) => self.fail(fault, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            Event::Raw(raw) => write_raw(raw, out),
            Event::Open { block, kind } => {
                self.begun(out);
                self.has_tool_call |= matches!(kind, Block::ToolCall { .. });
                self.waiting.push_back(Waiting::new(*block, kind.clone()));
                self.tell(out);
            }
            Event::Delta { block, delta } => self.delta(*block, delta, out),
            Event::Close { block } => {
                if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.block == *block) {
                    waiting.closed = true;
                }
                self.tell(out);
            }
            // No request of this dialect asks for several.
            Event::Other { .. } => {}
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.tier.clone_from(&start.service_tier);
        self.usage = start.usage;
        let model = if start.model.is_empty() {
            &self.heading.model
        } else {
            &start.model
        };
        let usage = start.usage.or_else(|| {
            Some(Usage {
                input_tokens: self.input_tokens?,
                ..Usage::default()
            })
        });
        sse::begin_event(Some("message_start"), out);
        let mut event = ObjectWriter::new(out);
        event.member("type", "message_start");
        let mut message = event.object("message");
        message
            .member("id", &self.heading.id)
            .member("type", "message")
            .member("role", "assistant")
            .member("model", model)
            .json("content", "[]")
            .json("stop_reason", "null")
            .json("stop_sequence", "null");
        write_usage(usage.as_ref(), self.tier.as_ref(), message.begin("usage"));
        message.end();
        event.end();
        sse::end_event(out);
    }

    /// Nothing may come before the beginning, even when the provider leaves it out.
    fn begun(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.start(&Start::default(), out);
        }
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        let first = self.waiting.front().is_some_and(|first| first.block == block);
        let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.block == block) else {
            return;
        };
        if first {
            waiting.tell(delta, &mut self.next, out);
        } else {
            waiting.keep(delta);
        }
    }

    /// Tells all that can be told now: the first block's, and those of the blocks after it as far as they are closed.
    fn tell(&mut self, out: &mut Vec<u8>) {
        while let Some(first) = self.waiting.front_mut() {
            for delta in std::mem::take(&mut first.deltas) {
                first.tell(&delta, &mut self.next, out);
            }
            if matches!(&first.kind, Block::Raw(raw) if raw.origin == OWN) {
                first.open(&mut self.next, out);
            }
            if !first.closed {
                return;
            }
            first.close(&mut self.next, out);
            self.waiting.pop_front();
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begun(out);
        for waiting in &mut self.waiting {
            waiting.closed = true;
        }
        self.tell(out);
        let finish = self
            .finish
            .take()
            .unwrap_or(Finish::End)
            .by_content(self.has_tool_call);
        if let Some(fault) = finish.fault() {
            return self.fail(&fault, out);
        }
        sse::begin_event(Some("message_delta"), out);
        let mut event = ObjectWriter::new(out);
        event.member("type", "message_delta");
        let mut delta = event.object("delta");
        write_stop(&finish, &mut delta);
        delta.end();
        write_usage(self.usage.as_ref(), self.tier.as_ref(), event.begin("usage"));
        event.end();
        sse::end_event(out);
        out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        self.over = true;
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.over = true;
        out.extend(write_fault_event(fault));
    }
}

impl Waiting {
    fn new(block: u32, kind: Block) -> Self {
        Self {
            block,
            kind,
            index: None,
            deltas: Vec::new(),
            seal: None,
            text: String::new(),
            has_own_citation: false,
            is_redacted: false,
            closed: false,
        }
    }

    /// Keeps what comes while another block is being told; fragments of one kind become one.
    fn keep(&mut self, delta: &Delta) {
        match (self.deltas.last_mut(), delta) {
            (Some(Delta::Text(kept)), Delta::Text(more))
            | (Some(Delta::Arguments(kept)), Delta::Arguments(more)) => {
                kept.push_str(more);
            }
            _ => self.deltas.push(delta.clone()),
        }
    }

    fn tell(&mut self, delta: &Delta, next: &mut Next, out: &mut Vec<u8>) {
        match (delta, &self.kind) {
            _ if self.is_redacted => {}
            (Delta::Text(text), Block::Reasoning { .. }) => {
                self.add(next, "thinking_delta", "thinking", text, out)
            }
            (Delta::Text(text), Block::Text | Block::Refusal) => {
                self.text.push_str(text);
                self.add(next, "text_delta", "text", text, out);
            }
            (Delta::NextPiece, Block::Reasoning { .. }) if self.index.is_some() => {
                self.add(next, "thinking_delta", "thinking", "\n\n", out);
            }
            (
                Delta::Arguments(text),
                Block::ToolCall {
                    is_free_text: false, ..
                },
            ) => {
                self.add(next, "input_json_delta", "partial_json", text, out);
            }
            (Delta::Arguments(text), Block::ToolCall { .. }) => self.text.push_str(text),
            (Delta::Seal { seal, redacted }, Block::Reasoning { .. }) => {
                self.prove(seal, *redacted, next, out)
            }
            (Delta::Seal { seal, .. }, Block::ToolCall { .. } | Block::Text) => {
                self.seal = Some(seal.clone())
            }
            (Delta::Citation(citation), Block::Text) => self.cite(citation, next, out),
            // Log-probabilities have no place here, and no other pair belongs together.
            _ => {}
        }
    }

    fn add(&mut self, next: &mut Next, kind: &str, name: &str, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let index = self.open(next, out);
        begin_delta(index, kind, out);
        out.push(b',');
        write(name, out);
        out.push(b':');
        write(text, out);
        end_delta(out);
    }

    /// The seal of reasoning. Where there is nothing but the seal, the block is one that is redacted.
    fn prove(&mut self, seal: &Seal, redacted: bool, next: &mut Next, out: &mut Vec<u8>) {
        let data = opaque_for(seal, OWN);
        if redacted && self.index.is_none() {
            let index = next.take(out);
            (self.index, self.is_redacted) = (Some(index), true);
            begin_block(index, out);
            write_redacted(&data, out);
            end_block(out);
        } else {
            self.add(next, "signature_delta", "signature", &data, out);
        }
    }

    /// Of a page that is told twice, as Anthropic wrote it and as others would, the first is enough.
    fn cite(&mut self, citation: &Citation, next: &mut Next, out: &mut Vec<u8>) {
        match citation {
            Citation::Raw(raw) if raw.origin == OWN => self.has_own_citation = true,
            Citation::Raw(_) => return,
            Citation::Url { .. } if self.has_own_citation => return,
            Citation::Url { .. } => {}
        }
        let index = self.open(next, out);
        begin_delta(index, "citations_delta", out);
        out.extend_from_slice(b",\"citation\":");
        write_citation(citation, &self.text, out);
        end_delta(out);
    }

    /// Tells the client of the block, unless it knows already.
    fn open(&mut self, next: &mut Next, out: &mut Vec<u8>) -> u32 {
        if let Some(index) = self.index {
            return index;
        }
        let index = next.take(out);
        self.index = Some(index);
        begin_block(index, out);
        match &self.kind {
            Block::Text | Block::Refusal => {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\",\"citations\":null}")
            }
            Block::Reasoning { .. } => {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
            }
            Block::ToolCall { id, name, .. } => {
                let carried = self.seal.take().map(|seal| CarriedSeal {
                    seal,
                    is_reasoning: false,
                    redacted: false,
                });
                let mut block = ObjectWriter::new(out);
                block
                    .member("type", "tool_use")
                    .member("id", &tool_call_id(id, carried.as_slice()))
                    .member("name", name)
                    .json("input", "{}");
                block.end();
            }
            Block::Raw(raw) => one_line(raw, out),
        }
        end_block(out);
        index
    }

    fn close(&mut self, next: &mut Next, out: &mut Vec<u8>) {
        if let Block::ToolCall { is_free_text, .. } = self.kind {
            self.open(next, out);
            if is_free_text {
                let mut json = Vec::new();
                let mut object = ObjectWriter::new(&mut json);
                object.member("input", &self.text);
                object.end();
                let json = String::from_utf8(json).unwrap_or_default();
                self.add(next, "input_json_delta", "partial_json", &json, out);
            }
        }
        if let Some(index) = self.index {
            stop_block(index, out);
        }
        // A text has no place for a seal: a block behind it carries that.
        let seal = self.seal.take().filter(|_| self.kind == Block::Text);
        let carrier = seal.and_then(|seal| of_text(&seal, OWN, Place::Behind)?.seal);
        next.behind_texts.extend(carrier);
    }
}

impl Next {
    /// The number of a block that is to be told now.
    fn take(&mut self, out: &mut Vec<u8>) -> u32 {
        for seal in std::mem::take(&mut self.behind_texts) {
            let index = self.count();
            begin_block(index, out);
            write_redacted(&seal.data, out);
            end_block(out);
            stop_block(index, out);
        }
        self.count()
    }

    fn count(&mut self) -> u32 {
        let number = self.number;
        self.number += 1;
        number
    }
}

fn begin_block(index: u32, out: &mut Vec<u8>) {
    sse::begin_event(Some("content_block_start"), out);
    out.extend_from_slice(b"{\"type\":\"content_block_start\",\"index\":");
    write(&index, out);
    out.extend_from_slice(b",\"content_block\":");
}

fn end_block(out: &mut Vec<u8>) {
    out.push(b'}');
    sse::end_event(out);
}

fn stop_block(index: u32, out: &mut Vec<u8>) {
    sse::begin_event(Some("content_block_stop"), out);
    out.extend_from_slice(b"{\"type\":\"content_block_stop\",\"index\":");
    write(&index, out);
    out.push(b'}');
    sse::end_event(out);
}

fn begin_delta(index: u32, kind: &str, out: &mut Vec<u8>) {
    sse::begin_event(Some("content_block_delta"), out);
    out.extend_from_slice(b"{\"type\":\"content_block_delta\",\"index\":");
    write(&index, out);
    out.extend_from_slice(b",\"delta\":{\"type\":");
    write(kind, out);
}

fn end_delta(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}}");
    sse::end_event(out);
}

/// An event that no document names; members of a whole answer are none.
fn write_raw(raw: &Raw, out: &mut Vec<u8>) {
    let kind = Members::read(raw.json.get()).and_then(|mut event| event.text("type").ok()?);
    if raw.origin == OWN && kind.is_some_and(|kind| kind == raw.name) {
        sse::write_event(Some(&raw.name), raw.json.get().as_bytes(), out);
    }
}

/// JSON that somebody spread over lines, in one: ends of lines stand between its values alone.
fn one_line(raw: &Raw, out: &mut Vec<u8>) {
    out.extend(
        raw.json
            .get()
            .bytes()
            .filter(|byte| !matches!(byte, b'\n' | b'\r')),
    );
}
