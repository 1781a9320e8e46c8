//! Reading one choice of a provider's stream: nearly always the only one.
//!
//! Vendors differ in nearly everything that the document leaves open, so blocks are told by what comes: a piece of
//! another kind ends the text or the thoughts before it, and calls stay open until the end, since nothing says that one
//! is over. Why the answer ended is decided once, when all of it is there: some give a reason with every chunk, some
//! the wrong one, some none.

use serde_json::value::RawValue;

use super::super::parts::{raw, read_citation, read_content};
use super::super::reply::{mark, tells_logprobs};
use super::super::thoughts::{Detail, Details, ThinkTags, Thought, read_details};
use super::super::words::read_finish;
use super::chunk::{
    CallChunk, Choice, Delta as ChunkDelta, ExtraContent, FunctionChunk, read_rare, text_of, told,
};
use crate::Dialect;
use crate::neutral::{Block, Citation, Delta, Event, Finish, Part, Seal};

/// A choice on its way in.
#[derive(Debug, Default)]
pub(super) struct ChoiceReader {
    /// What stands in the ids that are made for calls that have none.
    mark: u32,
    next_block: u32,
    open: Option<Open>,
    calls: Vec<Call>,
    tags: Option<ThinkTags>,
    /// Thoughts that were told outside of details, and are not to be told again where these repeat them.
    shown: String,
    /// The last reason that was told.
    finish: Option<String>,
    refused: bool,
    pages: Vec<Citation>,
    has_citations: bool,
}

/// The text, the refusal or the thoughts that are being told.
#[derive(Debug)]
struct Open {
    block: u32,
    kind: Kind,
    details: Option<Details>,
    seal: Option<Seal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
}

#[derive(Debug)]
struct Call {
    block: u32,
    /// The vendor's number and id for it, where it has them.
    index: Option<u64>,
    id: String,
    has_arguments: bool,
}

impl ChoiceReader {
    pub(super) fn new(think_tags: bool) -> Self {
        Self {
            tags: think_tags.then(ThinkTags::default),
            ..Self::default()
        }
    }

    /// The answer of which this is the choice with this number has this id.
    pub(super) fn identify(&mut self, id: &str, number: u32) {
        self.mark = mark(id, number);
    }

    /// Pages to which the text refers by number, unless it has citations of its own.
    pub(super) fn cite(&mut self, pages: Vec<Citation>) {
        self.pages = pages;
    }

    /// Whether a reason for the end was told.
    pub(super) fn has_finished(&self) -> bool {
        self.finish.is_some()
    }

    pub(super) fn read(&mut self, choice: Choice<'_>, out: &mut Vec<Event>) {
        if let Some(delta) = choice.delta {
            self.delta(delta, out);
        }
        if let Some(logprobs) = choice.logprobs.filter(|json| tells_logprobs(json))
            && let Some(open) = self.open.as_ref().filter(|open| open.kind != Kind::Reasoning)
        {
            let delta = Delta::Logprobs(raw("logprobs", logprobs));
            out.push(Event::Delta {
                block: open.block,
                delta,
            });
        }
        if let Some(word) = told(choice.finish_reason) {
            self.finish = Some(word.into_owned());
        }
    }

    fn delta(&mut self, delta: ChunkDelta<'_>, out: &mut Vec<Event>) {
        let details = delta.reasoning_details.map(read_details).unwrap_or_default();
        let in_details = details.iter().any(|detail| detail.text.is_some());
        let shown = told(delta.reasoning_content).or_else(|| told(delta.reasoning));
        if let Some(text) = shown.filter(|_| !in_details) {
            self.shown.push_str(&text);
            self.say(Kind::Reasoning, &text, out);
        }
        for detail in details {
            self.detail(detail, out);
        }
        if let Some(content) = delta.content {
            self.content(content, out);
        }
        if let Some(text) = told(delta.refusal) {
            self.refused = true;
            self.say(Kind::Refusal, &text, out);
        }
        for json in read_rare::<Vec<&RawValue>>(delta.annotations)
            .into_iter()
            .flatten()
        {
            self.has_citations = true;
            let block = self.open(Kind::Text, out);
            let delta = Delta::Citation(read_citation(json));
            out.push(Event::Delta { block, delta });
        }
        if let Some(seal) = signature(delta.extra_content) {
            self.signed(seal, out);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(&call, out);
        }
        if let Some(function) = read_rare(delta.function_call) {
            self.function(function, out);
        }
    }

    fn content(&mut self, content: &RawValue, out: &mut Vec<Event>) {
        if content.get().starts_with('"') {
            self.text(&text_of(content), out);
            return;
        }
        let mut parts = Vec::new();
        if read_content(content, &mut parts).is_err() {
            return;
        }
        for part in parts {
            match part {
                Part::Text(text) => self.text(&text.text, out),
                Part::Reasoning(reasoning) => {
                    for text in &reasoning.texts {
                        self.say(Kind::Reasoning, text, out);
                    }
                }
                Part::Raw(raw) => {
                    let block = self.next_block();
                    out.push(Event::Open {
                        block,
                        kind: Block::Raw(raw),
                    });
                    out.push(Event::Close { block });
                }
                _ => {}
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<Event>) {
        let Some(mut tags) = self.tags.take() else {
            self.say(Kind::Text, text, out);
            return;
        };
        let mut pieces = Vec::new();
        tags.push(text, &mut pieces);
        self.tags = Some(tags);
        self.pieces(&pieces, out);
    }

    fn pieces(&mut self, pieces: &[Thought], out: &mut Vec<Event>) {
        for piece in pieces {
            match piece {
                Thought::Thinking(text) => self.say(Kind::Reasoning, text, out),
                Thought::Text(text) => self.say(Kind::Text, text, out),
            }
        }
    }

    fn say(&mut self, kind: Kind, text: &str, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let block = self.open(kind, out);
        let delta = Delta::Text(text.to_owned());
        out.push(Event::Delta { block, delta });
    }

    /// The block of this kind that is open; another one is closed for it.
    fn open(&mut self, kind: Kind, out: &mut Vec<Event>) -> u32 {
        if let Some(open) = self.open.as_ref().filter(|open| open.kind == kind) {
            return open.block;
        }
        let block = match kind {
            Kind::Text => Block::Text,
            Kind::Refusal => Block::Refusal,
            Kind::Reasoning => Block::Reasoning {
                is_summary: false,
                id: None,
            },
        };
        self.begin(kind, block, None, out)
    }

    fn begin(&mut self, kind: Kind, opened: Block, details: Option<Details>, out: &mut Vec<Event>) -> u32 {
        self.close(out);
        let block = self.next_block();
        self.open = Some(Open {
            block,
            kind,
            details,
            seal: None,
        });
        out.push(Event::Open { block, kind: opened });
        block
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some(open) = self.open.take() else { return };
        let block = open.block;
        if open.kind == Kind::Text && !self.has_citations {
            let pages = std::mem::take(&mut self.pages).into_iter();
            out.extend(pages.map(|page| Event::Delta {
                block,
                delta: Delta::Citation(page),
            }));
        }
        let sealed = open.details.and_then(|details| details.seal());
        let sealed = sealed.or(open.seal.map(|seal| (seal, false)));
        if let Some((seal, redacted)) = sealed {
            out.push(Event::Delta {
                block,
                delta: Delta::Seal { seal, redacted },
            });
        }
        out.push(Event::Close { block });
    }

    fn next_block(&mut self) -> u32 {
        let block = self.next_block;
        self.next_block = block.saturating_add(1);
        block
    }

    /// A piece of OpenRouter's list of thoughts.
    fn detail(&mut self, detail: Detail, out: &mut Vec<Event>) {
        let open = self.open.as_ref().filter(|open| open.kind == Kind::Reasoning);
        let continues = open.is_some_and(|open| {
            open.details
                .as_ref()
                .is_none_or(|details| details.continues(&detail))
        });
        if !continues {
            let block = Block::Reasoning {
                is_summary: detail.is_summary(),
                id: detail.id.clone(),
            };
            self.begin(Kind::Reasoning, block, None, out);
        }
        if let Some(text) = &detail.text {
            match self.shown.strip_prefix(text.as_str()) {
                Some(rest) => self.shown = rest.trim_start_matches('\n').to_owned(),
                None => self.say(Kind::Reasoning, text, out),
            }
        }
        if let Some(open) = &mut self.open {
            open.details
                .get_or_insert_with(|| Details::of(&detail))
                .add(detail);
        }
    }

    /// Gemini's signature at a whole message: of what is open, which is signed when it closes.
    fn signed(&mut self, seal: Seal, out: &mut Vec<Event>) {
        if self.open.is_none() {
            self.open(Kind::Text, out);
        }
        if let Some(open) = &mut self.open {
            open.seal = Some(seal);
        }
    }

    fn call(&mut self, chunk: &CallChunk<'_>, out: &mut Vec<Event>) {
        let function = chunk.function.as_ref();
        let custom = chunk.custom.as_ref().filter(|_| function.is_none());
        let name = told(
            function
                .and_then(|function| function.name)
                .or(custom.and_then(|custom| custom.name)),
        );
        let piece = function
            .and_then(|function| function.arguments)
            .or(custom.and_then(|custom| custom.input));
        let piece = piece.map(text_of).unwrap_or_default();
        let id = told(chunk.id);
        let known = self.find(chunk.index, id.as_deref(), name.as_deref(), &piece);
        let number = known.unwrap_or_else(|| {
            let name = name.unwrap_or_default();
            self.begin_call(chunk.index, id.as_deref(), &name, custom.is_some(), out)
        });
        let Some(call) = self.calls.get_mut(number) else {
            return;
        };
        let block = call.block;
        if let Some(seal) = signature(chunk.extra_content) {
            let delta = Delta::Seal {
                seal,
                redacted: false,
            };
            out.push(Event::Delta { block, delta });
        }
        if !piece.is_empty() {
            call.has_arguments = true;
            let delta = Delta::Arguments(piece.into_owned());
            out.push(Event::Delta { block, delta });
        }
    }

    /// The call to which a fragment belongs, if it has begun. An index tells, unless the id says otherwise (Gemini's
    /// endpoint numbers all calls 0); without both, whatever has a name begins a call.
    fn find(&self, index: Option<u64>, id: Option<&str>, name: Option<&str>, piece: &str) -> Option<usize> {
        let is_same = |call: &Call| match (index, call.index, id) {
            (Some(index), Some(known), id) => {
                index == known && id.is_none_or(|id| call.id == id || call.id.is_empty())
            }
            (_, _, Some(id)) => call.id == id,
            _ => true,
        };
        let found = self.calls.iter().rposition(is_same)?;
        // A name and the beginning of an object, where arguments have already been told: another call in the same place.
        let begins_anew = id.is_none() && name.is_some() && piece.starts_with('{');
        let call = self.calls.get(found)?;
        let unnumbered = index.is_none() && id.is_none() && name.is_some();
        (!(begins_anew && call.has_arguments || unnumbered)).then_some(found)
    }

    fn begin_call(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        name: &str,
        is_free_text: bool,
        out: &mut Vec<Event>,
    ) -> usize {
        self.close(out);
        let block = self.next_block();
        let number = self.calls.len();
        let made = || format!("call_{:08x}{number}", self.mark);
        let kind = Block::ToolCall {
            id: id.map_or_else(made, str::to_owned),
            id_is_ours: id.is_none(),
            name: name.to_owned(),
            is_free_text,
        };
        out.push(Event::Open { block, kind });
        self.calls.push(Call {
            block,
            index,
            id: id.unwrap_or_default().to_owned(),
            has_arguments: false,
        });
        number
    }

    /// The call of before there were several.
    fn function(&mut self, function: FunctionChunk<'_>, out: &mut Vec<Event>) {
        let is_told = told(function.name).is_some() || !self.calls.is_empty();
        if is_told {
            let chunk = CallChunk {
                index: Some(0),
                id: None,
                function: Some(function),
                custom: None,
                extra_content: None,
            };
            self.call(&chunk, out);
        }
    }

    /// The choice is all there.
    pub(super) fn end(&mut self, out: &mut Vec<Event>) {
        let mut pieces = Vec::new();
        if let Some(mut tags) = self.tags.take() {
            tags.finish(&mut pieces);
        }
        self.pieces(&pieces, out);
        self.close(out);
        out.extend(self.calls.iter().map(|call| Event::Close { block: call.block }));
        let word = self.finish.take().unwrap_or_default();
        let finish = match read_finish(&word).by_content(!self.calls.is_empty()) {
            Finish::End if self.refused => Finish::Refused(None),
            other => other,
        };
        out.push(Event::Finish(finish));
    }
}

fn signature(extra: Option<&RawValue>) -> Option<Seal> {
    let extra: ExtraContent<'_> = read_rare(extra)?;
    Some(Seal {
        origin: Dialect::GeminiGenerate,
        data: told(extra.google?.thought_signature)?.into_owned(),
    })
}
