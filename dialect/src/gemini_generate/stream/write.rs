//! Writing a stream for a client of Gemini's, out of neutral events.
//!
//! Text goes on as it comes. A call goes when all of its arguments are there, for clients of this dialect know no pieces
//! of one, and in the order in which calls were opened. One whose arguments are none waits until it is told why the answer
//! ends: it may have been cut. The reason for the end and usage stand in the last chunk, which has to say something as well:
//! Google's SDKs forget a turn in which a chunk says nothing. So the end of what was said last is held back until it is known
//! what follows: of a text its last letter, and a call as a whole.

use super::super::calls::shown;
use super::super::citations::Gathered;
use super::super::reply::{Ending, Thoughts, carried, write_answer_members};
use super::super::{fault, refusal, write_part};
use crate::Dialect;
use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::{
    Arguments, Block, Citation, Delta, Event, Fault, Finish, OwnedHeading, Raw, Seal, ToolCall,
};
use crate::refusal::Refusal;
use crate::usage::Usage;

/// What stands around the chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `alt=sse`
    Events,
    /// One JSON array.
    Array,
}

/// Writes one stream.
#[derive(Debug, Clone)]
pub struct StreamWriter {
    heading: OwnedHeading,
    framing: Framing,
    /// Which of the candidates is written; that which is not the first has no members of the whole answer.
    number: u32,
    others: Vec<Self>,
    has_written: bool,
    has_ended: bool,
    /// The end of what was said, which nobody has been told yet.
    held: Option<Held>,
    /// Blocks that are open, and calls that wait for one that was opened before them.
    blocks: Vec<Writing>,
    /// Whether anything was written that can be read.
    has_content: bool,
    usage: Option<Usage>,
    /// Whether that is more than what was told.
    is_usage_new: bool,
    finish: Option<Finish>,
    citations: Gathered,
    text_before: usize,
    thoughts: Thoughts,
    /// As they came, with each piece of the text.
    logprobs: Vec<Raw>,
    raw: Vec<Raw>,
}

#[derive(Debug, Clone)]
struct Writing {
    block: u32,
    kind: Kind,
    is_closed: bool,
}

/// A part that is held back.
#[derive(Debug, Clone)]
enum Held {
    /// The last letter of a text.
    Text(String),
    /// That of thoughts.
    Thought(String),
    /// What is written already.
    Part(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Kind {
    /// With its text so far, in which citations count.
    Text(String),
    Reasoning,
    Call(Box<ToolCall>),
    Other,
}

impl StreamWriter {
    pub fn new(heading: OwnedHeading, framing: Framing) -> Self {
        Self {
            heading,
            framing,
            number: 0,
            others: Vec::new(),
            has_written: false,
            has_ended: false,
            held: None,
            blocks: Vec::new(),
            has_content: false,
            usage: None,
            is_usage_new: false,
            finish: None,
            citations: Gathered::default(),
            text_before: 0,
            thoughts: Thoughts::default(),
            logprobs: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Takes an event and appends what the client gets.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start(start) => {
                if !start.model.is_empty() {
                    self.heading.model.clone_from(&start.model);
                }
                if let Some(usage) = start.usage {
                    self.measure(usage);
                }
            }
            Event::Open { block, kind } => self.open(*block, kind, out),
            Event::Delta { block, delta } => self.delta(*block, delta, out),
            Event::Close { block } => self.close(*block, out),
            Event::Usage(usage) => self.measure(*usage),
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            Event::Fault(fault) => self.fail(fault, out),
            Event::KeepAlive => out.extend_from_slice(Dialect::GeminiGenerate.keep_alive()),
            Event::Raw(raw) if raw.origin == Dialect::GeminiGenerate => self.raw.push(raw.clone()),
            Event::Raw(_) => {}
            Event::Other { choice, event } => self.other(*choice, event, out),
            Event::End => self.end(out),
        }
    }

    /// Another candidate is written like the first, into chunks of its own.
    fn other(&mut self, choice: u32, event: &Event, out: &mut Vec<u8>) {
        let known = self.others.iter().position(|other| other.number == choice);
        let at = known.unwrap_or_else(|| {
            let other = Self::new(self.heading.clone(), self.framing);
            self.others.push(Self {
                number: choice,
                ..other
            });
            self.others.len() - 1
        });
        if let Some(other) = self.others.get_mut(at) {
            other.has_written = self.has_written;
            other.write(event, out);
            self.has_written = other.has_written;
        }
    }

    fn measure(&mut self, usage: Usage) {
        self.usage = Some(usage);
        self.is_usage_new = true;
    }

    /// Ends a stream that has begun with a refusal of ours.
    pub fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        if !self.has_ended {
            self.end_with(&refusal::write_refusal(refusal), out);
        }
    }

    fn open(&mut self, block: u32, kind: &Block, out: &mut Vec<u8>) {
        let kind = match kind {
            Block::Text | Block::Refusal => Kind::Text(String::new()),
            Block::Reasoning { .. } => Kind::Reasoning,
            Block::ToolCall {
                id,
                id_is_ours,
                name,
                is_free_text,
            } => Kind::Call(Box::new(call(id, *id_is_ours, name, *is_free_text))),
            Block::Raw(raw) => {
                if raw.origin == Dialect::GeminiGenerate {
                    self.part(out, |out| out.extend_from_slice(raw.json.get().as_bytes()));
                }
                Kind::Other
            }
        };
        self.blocks.push(Writing {
            block,
            kind,
            is_closed: false,
        });
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(at) = self.blocks.iter().position(|writing| writing.block == block) else {
            return;
        };
        let Some(writing) = self.blocks.get_mut(at) else {
            return;
        };
        match (&mut writing.kind, delta) {
            (Kind::Text(text), Delta::Text(more)) => {
                text.push_str(more);
                self.text(more, false, out);
            }
            (Kind::Reasoning, Delta::Text(more)) => self.text(more, true, out),
            (Kind::Call(call), Delta::Arguments(more)) => match &mut call.arguments {
                Arguments::Json(text) | Arguments::Text(text) => text.push_str(more),
            },
            (Kind::Call(call), Delta::Seal { seal, .. }) => call.seal = Some(seal.clone()),
            (Kind::Text(_), Delta::Seal { seal, .. }) => {
                self.part(out, |out| {
                    write_part::text("", carried(Some(seal)).as_deref(), out)
                });
            }
            (Kind::Reasoning, Delta::Seal { seal, redacted }) => self.sealed_thought(seal, *redacted, out),
            (Kind::Text(text), Delta::Citation(citation)) => {
                let citation: &Citation = citation;
                self.citations.add(citation, text, self.text_before);
            }
            (_, Delta::Logprobs(raw)) => self.logprobs.push(raw.clone()),
            _ => {}
        }
    }

    /// Thoughts that nobody may read have no text at all, by which they are known when they come back.
    fn sealed_thought(&mut self, seal: &Seal, redacted: bool, out: &mut Vec<u8>) {
        self.thoughts.sealed(seal, redacted);
        let letter = match self.held.take() {
            Some(Held::Thought(letter)) if !redacted => Some(letter),
            held => {
                self.held = held;
                (!redacted).then(String::new)
            }
        };
        self.part(out, |out| {
            write_part::thought(letter.as_deref(), carried(Some(seal)).as_deref(), out)
        });
    }

    fn close(&mut self, block: u32, out: &mut Vec<u8>) {
        if let Some(writing) = self.blocks.iter_mut().find(|writing| writing.block == block) {
            writing.is_closed = true;
            if let Kind::Text(text) = &writing.kind {
                self.text_before += text.len();
            }
        }
        // What is closed goes, up to the first call that is not.
        let waits = |writing: &Writing| match &writing.kind {
            Kind::Call(call) => !writing.is_closed || !is_whole(call),
            _ => false,
        };
        let ready = self.blocks.iter().position(waits).unwrap_or(self.blocks.len());
        let mut at = 0;
        for _ in 0..ready {
            if self.blocks.get(at).is_some_and(|writing| writing.is_closed) {
                let writing = self.blocks.remove(at);
                self.write_call(&writing, out);
            } else {
                at += 1;
            }
        }
        self.blocks
            .retain(|writing| matches!(writing.kind, Kind::Call(_)) || !writing.is_closed);
    }

    fn write_call(&mut self, writing: &Writing, out: &mut Vec<u8>) {
        if let Kind::Call(call) = &writing.kind {
            let seal = self.thoughts.beside(call.seal.as_ref());
            self.part(out, |out| {
                write_part::call(call, shown(call), &call.name, seal.as_deref(), out)
            });
        }
    }

    /// Writes a text, or thoughts, but for their last letter.
    fn text(&mut self, more: &str, is_thought: bool, out: &mut Vec<u8>) {
        let mut text = match (self.held.take(), is_thought) {
            (Some(Held::Text(letter)), false) | (Some(Held::Thought(letter)), true) => letter,
            (held, _) => {
                self.held = held;
                self.let_go(out);
                String::new()
            }
        };
        text.push_str(more);
        self.has_content = true;
        let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
        let letter = text.split_off(last);
        if !text.is_empty() {
            self.chunk(out, |out| write_text(&text, is_thought, out));
        }
        self.held = Some(if is_thought {
            Held::Thought(letter)
        } else {
            Held::Text(letter)
        });
    }

    /// Takes a part, which is told as soon as something follows on it.
    fn part(&mut self, out: &mut Vec<u8>, part: impl FnOnce(&mut Vec<u8>)) {
        self.let_go(out);
        let mut json = Vec::new();
        part(&mut json);
        self.has_content = true;
        self.held = Some(Held::Part(json));
    }

    /// Tells what was held back, before something else.
    fn let_go(&mut self, out: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            self.chunk(out, |out| held.write(out));
        }
    }

    /// Writes a chunk with one part.
    fn chunk(&mut self, out: &mut Vec<u8>, part: impl FnOnce(&mut Vec<u8>)) {
        let start = self.begin(out);
        let mut object = ObjectWriter::new(out);
        let list = object.begin("candidates");
        list.extend_from_slice(b"[{\"content\":{\"parts\":[");
        part(list);
        list.extend_from_slice(b"],\"role\":\"model\"},\"index\":");
        crate::json::write(&self.number, list);
        list.extend_from_slice(b"}]");
        let usage = self.usage.filter(|_| std::mem::take(&mut self.is_usage_new));
        write_answer_members(usage.as_ref(), &self.heading.model, &self.heading.id, &mut object);
        object.end();
        self.end_chunk(start, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.has_ended = true;
        self.release(out);
        self.others.sort_by_key(|other| other.number);
        let mut others = std::mem::take(&mut self.others);
        for other in &mut others {
            other.has_written = self.has_written;
            other.release(out);
            self.has_written = other.has_written;
        }
        let (own, raw): (Vec<_>, Vec<_>) = std::mem::take(&mut self.raw)
            .into_iter()
            .partition(|raw| !raw.name.contains('.'));
        self.raw = raw;
        let is_blocked_prompt = !self.has_content && own.iter().any(|raw| raw.name == "promptFeedback");
        let start = self.begin(out);
        let mut object = ObjectWriter::new(out);
        if !is_blocked_prompt {
            let writers = std::iter::once(&*self).chain(&others);
            write_array(writers, object.begin("candidates"), |writer, out| {
                let mut object = ObjectWriter::new(out);
                let mut content = object.object("content");
                let parts = content.begin("parts");
                parts.push(b'[');
                match &writer.held {
                    Some(held) => held.write(parts),
                    None => write_part::text("", None, parts),
                }
                parts.push(b']');
                content.member("role", "model");
                content.end();
                writer.ending().write(&mut object);
                object.end();
            });
        }
        for raw in &own {
            object.json(&raw.name, raw.json.get());
        }
        write_answer_members(
            self.usage.as_ref(),
            &self.heading.model,
            &self.heading.id,
            &mut object,
        );
        object.end();
        self.end_chunk(start, out);
        if self.framing == Framing::Array {
            out.extend_from_slice(b"]");
        }
    }

    /// Writes the calls that still wait.
    fn release(&mut self, out: &mut Vec<u8>) {
        let finish = self.finish.clone().unwrap_or(Finish::End);
        for writing in std::mem::take(&mut self.blocks) {
            if matches!(&writing.kind, Kind::Call(call) if finish.hands_out(call)) {
                self.write_call(&writing, out);
            }
        }
    }

    fn ending(&self) -> Ending<'_> {
        Ending {
            number: self.number,
            finish: self.finish.as_ref().unwrap_or(&Finish::End),
            is_empty: !self.has_content,
            citations: &self.citations,
            logprobs: &self.logprobs,
            raw: &self.raw,
        }
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        let (_, body) = fault::write_fault(fault);
        self.end_with(&body, out);
    }

    fn end_with(&mut self, body: &[u8], out: &mut Vec<u8>) {
        self.has_ended = true;
        self.let_go(out);
        for mut other in std::mem::take(&mut self.others) {
            other.has_written = self.has_written;
            other.let_go(out);
            self.has_written = other.has_written;
        }
        let start = self.begin(out);
        out.extend_from_slice(body);
        self.end_chunk(start, out);
        if self.framing == Framing::Array {
            out.extend_from_slice(b"]");
        }
    }

    /// Appends what stands before a chunk, and tells where that begins.
    fn begin(&mut self, out: &mut Vec<u8>) -> usize {
        let is_first = !std::mem::replace(&mut self.has_written, true);
        out.extend_from_slice(match (self.framing, is_first) {
            (Framing::Events, _) => b"data: ".as_slice(),
            (Framing::Array, true) => b"[",
            (Framing::Array, false) => b",\r\n",
        });
        out.len()
    }

    fn end_chunk(&self, start: usize, out: &mut Vec<u8>) {
        if self.framing == Framing::Events {
            // Models and vendors spread JSON over lines; the data of an event is one. Inside a text no line ends.
            for byte in out.iter_mut().skip(start) {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
            out.extend_from_slice(b"\r\n\r\n");
        }
    }
}

/// Whether the arguments of a call are what they should be; none at all are too.
fn is_whole(call: &ToolCall) -> bool {
    match &call.arguments {
        Arguments::Json(json) => json.trim().is_empty() || Members::read(json).is_some(),
        Arguments::Text(_) => true,
    }
}

impl Held {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(letter) => write_text(letter, false, out),
            Self::Thought(letter) => write_text(letter, true, out),
            Self::Part(json) => out.extend_from_slice(json),
        }
    }
}

fn write_text(text: &str, is_thought: bool, out: &mut Vec<u8>) {
    if is_thought {
        write_part::thought(Some(text), None, out);
    } else {
        write_part::text(text, None, out);
    }
}

fn call(id: &str, id_is_ours: bool, name: &str, is_free_text: bool) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        id_is_ours,
        name: name.to_owned(),
        arguments: if is_free_text {
            Arguments::Text(String::new())
        } else {
            Arguments::Json(String::new())
        },
        seal: None,
        cache: None,
        raw: Vec::new(),
    }
}
