//! Reading one candidate of a stream of Gemini's: nearly always the only one.
//!
//! A chunk has the next pieces of it, often of several kinds. What follows on a piece of its own kind belongs to the same
//! block, until that is sealed. The reason for the end may even come more than once, so what the answer ended for is told
//! when the body has ended.

use super::super::answer::{Candidate, gather_candidate};
use super::super::calls::Calls;
use super::super::wire::{self, FunctionCall, Str};
use super::super::{citations, read_part};
use super::partial::PartialArguments;
use crate::Dialect;
use crate::neutral::{Block, Delta, Event, Finish, Part, Raw, Seal};

/// A candidate on its way in.
#[derive(Debug, Clone, Default)]
pub(super) struct CandidateReader {
    blocks: u32,
    open: Option<Open>,
    calls: Calls,
    has_call: bool,
    finish: Option<Finish>,
    /// How much text the blocks before this one held.
    text_before: usize,
}

/// Why a candidate cannot be read on.
pub(super) struct Unreadable;

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

impl CandidateReader {
    /// Of the answer with this id: the candidate with this number.
    pub(super) fn new(id: &str, number: u32) -> Self {
        Self {
            calls: Calls::of_choice(id, number),
            ..Self::default()
        }
    }

    /// The prompt was held back, which is why there is no more of it.
    pub(super) fn block(&mut self, finish: Finish) {
        self.finish = Some(finish);
    }

    pub(super) fn has_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The candidate is all there, if there was a reason for its end.
    pub(super) fn end(&mut self, out: &mut Vec<Event>) {
        self.close(out);
        let finish = self.finish.take();
        out.extend(finish.map(|finish| Event::Finish(finish.by_content(self.has_call))));
    }

    /// Reads the next pieces.
    ///
    /// # Errors
    /// When the arguments of a call came in an order that cannot be followed.
    pub(super) fn read(
        &mut self,
        mut candidate: Candidate<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Unreadable> {
        let finish = candidate.finish();
        let content = candidate.content.take().unwrap_or_default();
        for part in content.parts.unwrap_or_default().0 {
            self.read_part(part, out)?;
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
        Ok(())
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

    fn read_part(&mut self, part: wire::Part<'_>, out: &mut Vec<Event>) -> Result<(), Unreadable> {
        if let Some(call) = part.call {
            return self.read_call(call, read_part::call_seal(part.signature.as_ref()), out);
        }
        if let (Some(text), true) = (&part.text, part.rest.is_empty()) {
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
        Ok(())
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

    fn read_call(
        &mut self,
        call: FunctionCall<'_>,
        seal: Option<Seal>,
        out: &mut Vec<Event>,
    ) -> Result<(), Unreadable> {
        let goes_on = call.goes_on == Some(true);
        if call.name.is_some() {
            self.open_call(&call, seal, out);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let (block, Kind::Call(arguments)) = (open.block, &mut open.kind) else {
            return Ok(());
        };
        let mut text = String::new();
        for argument in call.partial.iter().flatten() {
            arguments.push(argument, &mut text).map_err(|_| Unreadable)?;
        }
        if let Some(args) = call.args {
            self.open = None;
            let delta = Delta::Arguments(args.get().to_owned());
            out.push(Event::Delta { block, delta });
            out.push(Event::Close { block });
            return Ok(());
        }
        if !text.is_empty() {
            let delta = Delta::Arguments(text);
            out.push(Event::Delta { block, delta });
        }
        if !goes_on {
            self.close(out);
        }
        Ok(())
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
}
