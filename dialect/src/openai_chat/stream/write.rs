//! Writing a stream for a client.
//!
//! Each chunk is written at once, from a head that is made when the stream starts. Calls get a running number of their
//! own. The head of a call waits for the first of its arguments, since a seal that its id shall carry may come in between.
//!
//! What OpenAI's document has no place for is told in one piece, behind the thoughts or the text that it belongs to: of
//! members that it does not know, OpenAI's SDK for Node keeps what came last. Thoughts that are sealed are told again
//! there, whole, or their seal would stand beside the last words of them.

use super::super::fault::write_fault_event;
use super::super::figures::{write_annotation, write_logprobs, write_usage};
use super::super::request::write_google;
use super::super::thoughts::{write_details, write_items};
use super::super::words::{write_finish, write_tier};
use crate::Dialect;
use crate::json::{ObjectWriter, write};
use crate::neutral::carry::{self, CarriedSeal};
use crate::neutral::{Block, Delta, Event, Fault, Finish, OwnedHeading, Reasoning, Seal, Start};
use crate::{Usage, sse};

const OWN: Dialect = Dialect::OpenaiChat;

/// A stream on its way out.
#[derive(Debug)]
pub struct StreamWriter {
    heading: OwnedHeading,
    /// Which of the choices is written; that which is not the first tells neither usage nor the end.
    number: u32,
    others: Vec<Self>,
    /// Whether the client asked for usage.
    usage_asked: bool,
    /// All of a chunk before its choices.
    head: Vec<u8>,
    blocks: Vec<(u32, Open)>,
    calls: usize,
    thoughts: u64,
    /// Thoughts that are over, and that the client was given none to keep of.
    thought: Vec<(u64, Reasoning)>,
    /// Seals of thoughts that the next call carries.
    carried: Vec<CarriedSeal>,
    /// What is told behind a text: annotations, written one by one, and Gemini's signature.
    annotations: Vec<Vec<u8>>,
    signature: Option<String>,
    /// Letters of the texts that are closed, by which citations move.
    letters: usize,
    shows_refusal: bool,
    usage: Option<Usage>,
    is_over: bool,
}

#[derive(Debug)]
enum Open {
    Text { letters: usize },
    Refusal,
    Reasoning(Thinking),
    Call(Call),
    Unseen,
}

#[derive(Debug)]
struct Thinking {
    index: u64,
    block: Reasoning,
}

#[derive(Debug)]
struct Call {
    index: usize,
    id: String,
    name: String,
    is_free_text: bool,
    seal: Option<Seal>,
    has_head: bool,
    has_arguments: bool,
}

impl StreamWriter {
    pub fn new(heading: OwnedHeading, usage_asked: bool) -> Self {
        Self {
            heading,
            number: 0,
            others: Vec::new(),
            usage_asked,
            head: Vec::new(),
            blocks: Vec::new(),
            calls: 0,
            thoughts: 0,
            thought: Vec::new(),
            carried: Vec::new(),
            annotations: Vec::new(),
            signature: None,
            letters: 0,
            shows_refusal: false,
            usage: None,
            is_over: false,
        }
    }

    /// Appends what the client gets for an event. Behind the end, or a fault, nothing comes any more.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start(start) => self.start(start, out),
            Event::Open { block, kind } => self.open(*block, kind, out),
            Event::Delta { block, delta } => self.delta(*block, delta, out),
            Event::Close { block } => self.close(*block, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish(finish, out),
            Event::Fault(fault) => self.fault(fault, out),
            Event::KeepAlive => out.extend_from_slice(Dialect::OpenaiChat.keep_alive()),
            Event::Raw(_) => {}
            Event::Other { choice, event } => self.other(*choice, event, out),
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if !self.head.is_empty() {
            return;
        }
        self.usage = start.usage;
        self.make_head(start);
        self.begin_message(out);
    }

    fn begin_message(&mut self, out: &mut Vec<u8>) {
        self.chunk(out, |delta| {
            delta
                .member("role", "assistant")
                .member("content", "")
                .json("refusal", "null");
        });
    }

    /// Another choice is written like the first, with the same head.
    fn other(&mut self, choice: u32, event: &Event, out: &mut Vec<u8>) {
        if let Event::Finish(finish) = event
            && let Some(fault) = finish.fault()
        {
            return self.fault(&fault, out);
        }
        if self.head.is_empty() {
            self.start(&Start::default(), out);
        }
        let known = self.others.iter().position(|other| other.number == choice);
        let at = known.unwrap_or_else(|| {
            let mut other = Self {
                number: choice,
                head: self.head.clone(),
                ..Self::new(self.heading.clone(), self.usage_asked)
            };
            other.begin_message(out);
            self.others.push(other);
            self.others.len() - 1
        });
        if let Some(other) = self.others.get_mut(at) {
            other.write(event, out);
        }
    }

    fn make_head(&mut self, start: &Start) {
        let model = if start.model.is_empty() {
            &self.heading.model
        } else {
            &start.model
        };
        let mut head = Vec::with_capacity(192);
        let mut object = ObjectWriter::new(&mut head);
        object
            .member("id", &self.heading.id)
            .member("object", "chat.completion.chunk");
        object.member("created", &start.created_s.unwrap_or(self.heading.created_s));
        object.member("model", model);
        object.optional("service_tier", start.service_tier.as_ref().and_then(write_tier));
        if self.usage_asked {
            object.json("usage", "null");
        }
        // The object stays open for the choices.
        head.extend_from_slice(b",\"choices\":[");
        self.head = head;
    }

    /// Writes a chunk with this delta.
    fn chunk(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.begin(out);
        let mut delta = ObjectWriter::new(out);
        fill(&mut delta);
        delta.end();
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    }

    /// Writes a chunk up to its delta.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.head.is_empty() {
            self.start(&Start::default(), out);
        }
        sse::begin_event(None, out);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":");
        write(&self.number, out);
        out.extend_from_slice(b",\"delta\":");
    }

    fn open(&mut self, block: u32, kind: &Block, out: &mut Vec<u8>) {
        if !matches!(kind, Block::Reasoning { .. }) {
            self.tell_details(out);
        }
        if matches!(kind, Block::ToolCall { .. }) {
            self.tell_behind_text(false, out);
            self.write_heads(out);
        }
        let open = match kind {
            Block::Text => Open::Text { letters: 0 },
            Block::Refusal => Open::Refusal,
            Block::Reasoning { is_summary, id } => {
                let index = self.thoughts;
                self.thoughts += 1;
                let block = Reasoning {
                    is_summary: *is_summary,
                    id: id.clone(),
                    ..Reasoning::default()
                };
                Open::Reasoning(Thinking { index, block })
            }
            Block::ToolCall {
                id,
                name,
                is_free_text,
                ..
            } => {
                let index = self.calls;
                self.calls += 1;
                let carried = std::mem::take(&mut self.carried);
                Open::Call(Call {
                    index,
                    id: carry::tool_call_id(id, &carried),
                    name: name.clone(),
                    is_free_text: *is_free_text,
                    seal: None,
                    has_head: false,
                    has_arguments: false,
                })
            }
            Block::Raw(_) => Open::Unseen,
        };
        self.blocks.push((block, open));
    }

    /// Writes the heads that still wait: calls are told in the order of their numbers.
    fn write_heads(&mut self, out: &mut Vec<u8>) {
        let mut blocks = std::mem::take(&mut self.blocks);
        for (_, open) in &mut blocks {
            if let Open::Call(call) = open {
                self.head_of(call, out);
            }
        }
        self.blocks = blocks;
    }

    /// Takes an open block out, so that it and the writer can be used together.
    fn take(&mut self, block: u32) -> Option<Open> {
        let at = self.blocks.iter().position(|(known, _)| *known == block)?;
        Some(self.blocks.swap_remove(at).1)
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(mut open) = self.take(block) else { return };
        match (delta, &mut open) {
            (Delta::Logprobs(raw), _) => self.logprobs(raw, out),
            (Delta::Text(text), Open::Text { letters }) => {
                *letters += text.chars().count();
                self.chunk(out, |delta| {
                    delta.member("content", text);
                });
            }
            (Delta::Text(text), Open::Refusal) => {
                self.shows_refusal = true;
                self.chunk(out, |delta| {
                    delta.member("refusal", text);
                });
            }
            (Delta::Text(text), Open::Reasoning(thinking)) => self.think(thinking, text, out),
            (Delta::NextPiece, Open::Reasoning(thinking)) if !thinking.block.texts.is_empty() => {
                self.chunk(out, |delta| {
                    delta.member("reasoning_content", "\n\n");
                });
                thinking.block.texts.push(String::new());
            }
            (Delta::Seal { seal, redacted }, Open::Reasoning(thinking)) => {
                thinking.block.seal = Some(seal.clone());
                thinking.block.redacted = *redacted;
            }
            (Delta::Arguments(piece), Open::Call(call)) => self.arguments(call, piece, out),
            (Delta::Seal { seal, .. }, Open::Call(call)) => self.seal_call(call, seal, out),
            // Gemini signs texts too.
            (Delta::Seal { seal, .. }, Open::Text { .. }) if seal.origin == Dialect::GeminiGenerate => {
                self.signature = Some(seal.data.clone());
            }
            (Delta::Citation(citation), Open::Text { .. }) => {
                let mut annotation = Vec::new();
                if write_annotation(citation, self.letters, &mut annotation) {
                    self.annotations.push(annotation);
                }
            }
            _ => {}
        }
        self.blocks.push((block, open));
    }

    fn think(&mut self, thinking: &mut Thinking, text: &str, out: &mut Vec<u8>) {
        match thinking.block.texts.last_mut() {
            Some(last) => last.push_str(text),
            None => thinking.block.texts.push(text.to_owned()),
        }
        self.chunk(out, |delta| {
            delta.member("reasoning_content", text);
        });
    }

    /// Tells the client what it is to give back of the thoughts that are over, where one of them is sealed.
    fn tell_details(&mut self, out: &mut Vec<u8>) {
        let thoughts = std::mem::take(&mut self.thought);
        if thoughts.iter().all(|(_, thought)| thought.seal.is_none()) {
            return;
        }
        let mut items = Vec::new();
        for (index, thought) in &thoughts {
            write_details(thought, *index, true, &mut items);
        }
        self.chunk(out, |delta| write_items(&items, delta.begin("reasoning_details")));
    }

    fn tell_behind_text(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let annotations = std::mem::take(&mut self.annotations);
        // Beside calls it would be taken for that of a call.
        let signature = self.signature.take().filter(|_| self.calls == 0 && is_last);
        if annotations.is_empty() && signature.is_none() {
            return;
        }
        self.chunk(out, |delta| {
            if !annotations.is_empty() {
                write_items(&annotations, delta.begin("annotations"));
            }
            if let Some(signature) = &signature {
                write_google(signature, delta);
            }
        });
    }

    fn logprobs(&mut self, raw: &crate::neutral::Raw, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(b"{},\"logprobs\":");
        write_logprobs(raw, out);
        out.extend_from_slice(b",\"finish_reason\":null}]}\n\n");
    }

    fn seal_call(&mut self, call: &mut Call, seal: &Seal, out: &mut Vec<u8>) {
        if !call.has_head {
            call.seal = Some(seal.clone());
        } else if seal.origin == Dialect::GeminiGenerate {
            let index = call.index;
            self.call_chunk(out, index, |call| write_google(&seal.data, call));
        }
    }

    fn arguments(&mut self, call: &mut Call, piece: &str, out: &mut Vec<u8>) {
        self.head_of(call, out);
        if piece.is_empty() {
            return;
        }
        call.has_arguments = true;
        let (kind, name) = names(call.is_free_text);
        self.call_chunk(out, call.index, |chunk| {
            let mut inner = chunk.object(kind);
            inner.member(name, piece);
            inner.end();
        });
    }

    /// The first chunk of a call: its id, its name, and no arguments yet.
    fn head_of(&mut self, call: &mut Call, out: &mut Vec<u8>) {
        if std::mem::replace(&mut call.has_head, true) {
            return;
        }
        let foreign = call.seal.as_ref().filter(|seal| seal.origin != OWN);
        let carried = foreign.map(|seal| CarriedSeal {
            seal: seal.clone(),
            is_reasoning: false,
            redacted: false,
        });
        let (id, mut seals) = carry::split_tool_call_id(&call.id);
        seals.extend(carried);
        let (kind, name) = names(call.is_free_text);
        self.call_chunk(out, call.index, |chunk| {
            chunk
                .member("id", &carry::tool_call_id(&id, &seals))
                .member("type", kind);
            let mut inner = chunk.object(kind);
            inner.member("name", &call.name).member(name, "");
            inner.end();
            if let Some(seal) = foreign.filter(|seal| seal.origin == Dialect::GeminiGenerate) {
                write_google(&seal.data, chunk);
            }
        });
    }

    fn call_chunk(&mut self, out: &mut Vec<u8>, index: usize, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.chunk(out, |delta| {
            let calls = delta.begin("tool_calls");
            calls.push(b'[');
            let mut call = ObjectWriter::new(calls);
            call.member("index", &index);
            fill(&mut call);
            call.end();
            calls.push(b']');
        });
    }

    fn close(&mut self, block: u32, out: &mut Vec<u8>) {
        match self.take(block) {
            Some(Open::Text { letters }) => self.letters += letters,
            Some(Open::Reasoning(thinking)) => self.close_thoughts(thinking),
            Some(Open::Call(mut call)) => {
                self.head_of(&mut call, out);
                // Clients parse what they have gathered, and nothing is no JSON.
                if !call.has_arguments && !call.is_free_text {
                    self.arguments(&mut call, "{}", out);
                }
            }
            Some(Open::Refusal | Open::Unseen) | None => {}
        }
    }

    fn close_thoughts(&mut self, Thinking { index, block }: Thinking) {
        if let Some(seal) = block.seal.as_ref().filter(|seal| seal.origin != OWN) {
            self.carried.push(CarriedSeal {
                seal: seal.clone(),
                is_reasoning: true,
                redacted: block.redacted,
            });
        }
        self.thought.push((index, block));
    }

    fn finish(&mut self, finish: &Finish, out: &mut Vec<u8>) {
        if let Some(fault) = finish.fault() {
            self.fault(&fault, out);
            return;
        }
        self.tell_details(out);
        self.tell_behind_text(true, out);
        if let Finish::Refused(Some(explanation)) = finish
            && !std::mem::replace(&mut self.shows_refusal, true)
        {
            self.chunk(out, |delta| {
                delta.member("refusal", explanation);
            });
        }
        let (reason, native) = write_finish(finish, self.shows_refusal);
        self.begin(out);
        out.extend_from_slice(b"{},\"logprobs\":null,\"finish_reason\":");
        write(reason, out);
        if let Some(native) = native {
            out.extend_from_slice(b",\"native_finish_reason\":");
            write(native, out);
        }
        out.extend_from_slice(b"}]}\n\n");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.head.is_empty() {
            self.start(&Start::default(), out);
        }
        if let Some(usage) = self.usage.filter(|_| self.usage_asked) {
            let head = String::from_utf8_lossy(&self.head);
            sse::begin_event(None, out);
            // The null that all other chunks have stands where this one has its usage.
            let (before, after) = head.split_once("\"usage\":null").unwrap_or((&head, ""));
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(b"\"usage\":");
            write_usage(&usage, out);
            out.extend_from_slice(after.as_bytes());
            out.extend_from_slice(b"]}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.is_over = true;
    }

    fn fault(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        out.extend(write_fault_event(fault));
        self.is_over = true;
    }
}

/// Where a call has its name and its arguments, and what these are called.
fn names(is_free_text: bool) -> (&'static str, &'static str) {
    if is_free_text {
        ("custom", "input")
    } else {
        ("function", "arguments")
    }
}
