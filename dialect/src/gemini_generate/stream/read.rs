//! Reading a stream of Gemini's: chunks, into neutral events.
//!
//! A chunk is an answer with the next pieces in it, often of several kinds. What follows on a piece of its own kind
//! belongs to the same block, until that is sealed. Google has no last event: the reason for the end may even come more
//! than once, so what the answer ended for is told when the body has ended.

use super::super::answer::{Answer, Candidate, gather_candidate, seconds};
use super::super::calls::Calls;
use super::super::fault::fault_of;
use super::super::wire::{self, FunctionCall, Str};
use super::super::{citations, read_part};
use super::partial::PartialArguments;
use crate::Dialect;
use crate::neutral::{Block, Delta, Event, Fault, FaultKind, Finish, Part, Profile, Raw, Seal, Start};
use crate::sse;

/// Reads one stream.
#[derive(Debug, Clone, Default)]
pub struct StreamReader {
    has_started: bool,
    has_ended: bool,
    blocks: u32,
    open: Option<Open>,
    calls: Calls,
    has_call: bool,
    finish: Option<Finish>,
    /// How much text the blocks before this one held.
    text_before: usize,
}

/// The block that is open.
#[derive(Debug, Clone)]
struct Open {
    block: u32,
    kind: Kind,
    is_sealed: bool,
    /// The text of a text block, in which citations count.
    text: String,
}

#[derive(Debug, Clone)]
enum Kind {
    Text,
    Reasoning,
    Call(PartialArguments),
}

impl StreamReader {
    pub fn new(_profile: &Profile) -> Self {
        Self::default()
    }

    /// Reads one server-sent event.
    pub fn read(&mut self, event: &[u8], out: &mut Vec<Event>) {
        let data = sse::data(event);
        if data.is_empty() {
            if event.starts_with(b":") && !self.has_ended {
                out.push(Event::KeepAlive);
            }
        } else {
            self.read_chunk(&data, out);
        }
    }

    /// Reads one chunk: the data of an event, or an item of an array.
    pub fn read_chunk(&mut self, json: &[u8], out: &mut Vec<Event>) {
        if self.has_ended || json == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Answer<'_>>(json) {
            Ok(answer) => self.read_answer(answer, out),
            Err(_) => self.fail("a chunk of the stream could not be read", out),
        }
    }

    /// The body has ended.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        self.close(out);
        if let Some(finish) = self.finish.take() {
            out.push(Event::Finish(finish.by_content(self.has_call)));
            out.push(Event::End);
        }
        self.has_ended = true;
    }

    fn read_answer(&mut self, mut answer: Answer<'_>, out: &mut Vec<Event>) {
        if let Some(error) = answer.error {
            self.has_ended = true;
            out.push(Event::Fault(fault_of(200, error.get())));
            return;
        }
        self.start(&answer, out);
        let blocked = answer.blocked();
        for candidate in answer.candidates.take().unwrap_or_default() {
            // Nobody here asks for more than one.
            if candidate.index.unwrap_or(0) == 0 {
                self.read_candidate(candidate, out);
            }
        }
        if let Some(feedback) = answer.feedback {
            let raw = Raw::new(Dialect::GeminiGenerate, "promptFeedback", feedback.to_owned());
            out.push(Event::Raw(raw));
            self.finish = blocked.or(self.finish.take());
        }
        if let Some(usage) = answer.usage.as_ref().and_then(|counts| counts.usage()) {
            out.push(Event::Usage(usage));
        }
    }

    fn start(&mut self, answer: &Answer<'_>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let id = answer.id.as_ref().map_or("", Str::as_str);
        self.calls = Calls::of_answer(id);
        out.push(Event::Start(Start {
            id: id.to_owned(),
            model: answer.model.clone().map(Str::into_owned).unwrap_or_default(),
            created_s: answer.created.as_ref().and_then(|time| seconds(time.as_str())),
            usage: None,
            service_tier: answer.tier(),
        }));
    }

    fn read_candidate(&mut self, mut candidate: Candidate<'_>, out: &mut Vec<Event>) {
        let finish = candidate.finish();
        let content = candidate.content.take().unwrap_or_default();
        for part in content.parts.unwrap_or_default().0 {
            self.read_part(part, out);
            if self.has_ended {
                return;
            }
        }
        self.cite(&candidate, out);
        if let (Some(json), Some(open)) = (candidate.logprobs, &self.open) {
            let raw = Raw::new(Dialect::GeminiGenerate, "logprobsResult", json.to_owned());
            out.push(Event::Delta {
                block: open.block,
                delta: Delta::Logprobs(raw),
            });
        }
        let mut raw = Vec::new();
        gather_candidate(&mut candidate, &mut raw);
        out.extend(raw.into_iter().map(Event::Raw));
        self.finish = finish.or(self.finish.take());
    }

    fn cite(&mut self, candidate: &Candidate<'_>, out: &mut Vec<Event>) {
        if candidate.grounding.is_none() && candidate.citations.is_none() {
            return;
        }
        let Some(open) = self.open.as_ref().filter(|open| matches!(open.kind, Kind::Text)) else {
            return;
        };
        let found = citations::find(candidate.grounding, candidate.citations);
        let within = found
            .iter()
            .filter_map(|found| found.within(&open.text, self.text_before));
        out.extend(within.map(|citation| Event::Delta {
            block: open.block,
            delta: Delta::Citation(citation),
        }));
    }

    fn read_part(&mut self, part: wire::Part<'_>, out: &mut Vec<Event>) {
        if let Some(call) = part.call {
            self.read_call(call, read_part::call_seal(part.signature.as_ref()), out);
        } else if let (Some(text), true) = (&part.text, part.rest.is_empty()) {
            let seal = read_part::seal(part.signature.as_ref());
            let kind = if part.thought == Some(true) {
                Kind::Reasoning
            } else {
                Kind::Text
            };
            self.read_text(Some(text.as_str()), kind, seal, out);
        } else {
            self.read_other(part, out);
        }
    }

    fn read_text(&mut self, text: Option<&str>, kind: Kind, seal: Option<Seal>, out: &mut Vec<Event>) {
        // Thoughts that nobody may read have no text at all.
        let redacted = text.is_none() && matches!(kind, Kind::Reasoning);
        let text = text.unwrap_or_default();
        if text.is_empty() && seal.is_none() {
            return;
        }
        let goes_on = self.open.as_ref().is_some_and(|open| {
            !open.is_sealed && std::mem::discriminant(&open.kind) == std::mem::discriminant(&kind)
        });
        if !goes_on {
            let block = match kind {
                Kind::Text | Kind::Call(_) => Block::Text,
                Kind::Reasoning => Block::Reasoning {
                    is_summary: true,
                    id: None,
                },
            };
            self.open(block, kind, out);
        }
        let Some(open) = &mut self.open else { return };
        let block = open.block;
        if !text.is_empty() {
            if matches!(open.kind, Kind::Text) {
                open.text.push_str(text);
            }
            let delta = Delta::Text(text.to_owned());
            out.push(Event::Delta { block, delta });
        }
        if let Some(seal) = seal {
            open.is_sealed = true;
            let delta = Delta::Seal { seal, redacted };
            out.push(Event::Delta { block, delta });
        }
    }

    fn read_call(&mut self, call: FunctionCall<'_>, seal: Option<Seal>, out: &mut Vec<Event>) {
        let goes_on = call.goes_on == Some(true);
        if call.name.is_some() {
            self.open_call(&call, seal, out);
        }
        let Some(open) = &mut self.open else { return };
        let (block, Kind::Call(arguments)) = (open.block, &mut open.kind) else {
            return;
        };
        let mut text = String::new();
        for argument in call.partial.iter().flatten() {
            if arguments.push(argument, &mut text).is_err() {
                self.fail(
                    "the arguments of a call came in an order that cannot be followed",
                    out,
                );
                return;
            }
        }
        if let Some(args) = call.args {
            self.open = None;
            let delta = Delta::Arguments(args.get().to_owned());
            out.push(Event::Delta { block, delta });
            out.push(Event::Close { block });
            return;
        }
        if !text.is_empty() {
            let delta = Delta::Arguments(text);
            out.push(Event::Delta { block, delta });
        }
        if !goes_on {
            self.close(out);
        }
    }

    fn open_call(&mut self, call: &FunctionCall<'_>, seal: Option<Seal>, out: &mut Vec<Event>) {
        let name = call.name.as_ref().map_or("", Str::as_str);
        let (id, id_is_ours) = self.calls.next(call.id.as_ref().map(Str::as_str), name);
        let block = Block::ToolCall {
            id,
            id_is_ours,
            name: name.to_owned(),
            is_free_text: false,
        };
        self.has_call = true;
        let block = self.open(block, Kind::Call(PartialArguments::default()), out);
        if let Some(seal) = seal {
            let delta = Delta::Seal {
                seal,
                redacted: false,
            };
            out.push(Event::Delta { block, delta });
        }
    }

    /// A part that is neither text nor a call: whole, as its own block.
    fn read_other(&mut self, part: wire::Part<'_>, out: &mut Vec<Event>) {
        let mut json = Vec::new();
        let read = read_part::read(part, &mut self.calls, &mut Vec::new());
        let raw = match read {
            Part::Raw(raw) => raw,
            Part::Text(text) => {
                return self.read_text(Some(&text.text), Kind::Text, text.seal, out);
            }
            Part::Reasoning(reasoning) => {
                let text = (!reasoning.redacted).then(|| reasoning.texts.concat());
                return self.read_text(text.as_deref(), Kind::Reasoning, reasoning.seal, out);
            }
            Part::Media(_) | Part::ToolResult(_) => {
                super::super::write_part::part(&read, &mut json);
                Raw::new(Dialect::GeminiGenerate, "", read_part::raw_value(json))
            }
            Part::Refusal(_) | Part::ToolCall(_) => return,
        };
        self.close(out);
        let block = self.number();
        out.push(Event::Open {
            block,
            kind: Block::Raw(raw),
        });
        out.push(Event::Close { block });
    }

    fn open(&mut self, block: Block, kind: Kind, out: &mut Vec<Event>) -> u32 {
        self.close(out);
        let number = self.number();
        out.push(Event::Open {
            block: number,
            kind: block,
        });
        self.open = Some(Open {
            block: number,
            kind,
            is_sealed: false,
            text: String::new(),
        });
        number
    }

    fn number(&mut self) -> u32 {
        let number = self.blocks;
        self.blocks += 1;
        number
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some(open) = self.open.take() else { return };
        let block = open.block;
        if let Kind::Call(arguments) = open.kind {
            let mut text = String::new();
            arguments.finish(&mut text);
            if !text.is_empty() {
                let delta = Delta::Arguments(text);
                out.push(Event::Delta { block, delta });
            }
        }
        self.text_before += open.text.len();
        out.push(Event::Close { block });
    }

    fn fail(&mut self, message: &str, out: &mut Vec<Event>) {
        self.has_ended = true;
        out.push(Event::Fault(Fault {
            kind: FaultKind::Internal,
            message: message.to_owned(),
            param: None,
            code: None,
            retry_after_ms: None,
        }));
    }
}
