//! Thoughts in messages of Chat Completions, which has no member for them in its document.
//!
//! Vendors show them as `reasoning_content`, as `reasoning`, between `<think>` tags in the text, or as OpenRouter's
//! `reasoning_details`: a list of texts, summaries and encrypted pieces, with signatures. That list is the only form with
//! a place for seals. A vendor's own details are sealed whole, as they are written but for their texts; a seal of another
//! dialect stands in them as carried by [`carry`].

use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::{Reasoning, Seal, carry};

const OWN: Dialect = Dialect::OpenaiChat;
const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";
/// OpenRouter's name for the form of Claude's thoughts.
const CLAUDE: &str = "anthropic-claude-v1";

/// One piece of `reasoning_details`, whole or as a chunk of a stream brings it.
#[derive(Debug, Default)]
pub(super) struct Detail {
    kind: String,
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    format: Option<String>,
    pub(super) text: Option<String>,
    /// The signature of a text, or the data of what is encrypted.
    proof: Option<String>,
}

/// What is gathered of one block of thoughts.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    kinds: Vec<Detail>,
}

/// The pieces of a list; whatever is no such piece is passed over.
pub(super) fn read_details(json: &RawValue) -> Vec<Detail> {
    let items: Vec<&RawValue> = serde_json::from_str(json.get()).unwrap_or_default();
    items
        .into_iter()
        .filter_map(Detail::read)
        .flat_map(Detail::apart)
        .collect()
}

/// The blocks that a list of details makes. Clients may send back each chunk of a stream as an item of its own, so what
/// has one index is one block.
pub(super) fn gather(details: Vec<Detail>) -> Vec<Reasoning> {
    let mut blocks: Vec<(Details, Reasoning)> = Vec::new();
    for detail in details {
        let is_new = blocks.last().is_none_or(|(block, _)| !block.continues(&detail));
        if is_new {
            blocks.push((Details::of(&detail), Reasoning::default()));
        }
        if let Some((block, reasoning)) = blocks.last_mut() {
            reasoning.is_summary |= detail.is_summary();
            if let Some(text) = detail.text.as_deref().filter(|text| !text.is_empty()) {
                match reasoning.texts.last_mut() {
                    Some(last) => last.push_str(text),
                    None => reasoning.texts.push(text.to_owned()),
                }
            }
            block.add(detail);
        }
    }
    let finished = blocks.into_iter().map(|(block, mut reasoning)| {
        if let Some((seal, redacted)) = block.seal() {
            (reasoning.seal, reasoning.redacted) = (Some(seal), redacted);
        }
        reasoning.id = block.id;
        reasoning
    });
    finished.collect()
}

impl Detail {
    fn read(json: &RawValue) -> Option<Self> {
        let mut members = Members::read(json.get())?;
        let kind = members.text("type").ok()??;
        let text = if matches!(kind.as_str(), SUMMARY | ENCRYPTED) {
            "summary"
        } else {
            "text"
        };
        let proof = if kind == ENCRYPTED { "data" } else { "signature" };
        Some(Self {
            text: members.text(text).ok()?,
            proof: members.text(proof).ok()?,
            index: members.read_member("index").ok()?,
            id: members.text("id").ok()?,
            format: members.text("format").ok()?,
            kind,
        })
    }

    pub(super) fn is_summary(&self) -> bool {
        self.kind == SUMMARY
    }

    /// OpenAI's SDK for Python makes one piece of those of a stream that have one number, of the kind of the last: a
    /// summary is taken out again of what is encrypted.
    fn apart(mut self) -> impl Iterator<Item = Self> {
        let text = self.text.take_if(|_| self.kind == ENCRYPTED);
        let summary = text.map(|text| Self {
            kind: SUMMARY.to_owned(),
            index: self.index,
            id: self.id.clone(),
            format: self.format.clone(),
            text: Some(text),
            proof: None,
        });
        summary.into_iter().chain([self])
    }

    /// Writes it; the text that belongs to it comes from elsewhere.
    fn write(&self, text: Option<&str>, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::new(out);
        object.member("type", &self.kind);
        let name = if self.kind == SUMMARY { "summary" } else { "text" };
        object.optional(name, text);
        let name = if self.kind == ENCRYPTED {
            "data"
        } else {
            "signature"
        };
        object.optional(name, self.proof.as_deref());
        object.optional("id", self.id.as_deref());
        object.optional("format", self.format.as_deref());
        object.optional("index", self.index);
        object.end();
    }
}

impl Details {
    pub(super) fn of(detail: &Detail) -> Self {
        Self {
            index: detail.index,
            ..Self::default()
        }
    }

    /// Whether a piece belongs to this block. Without an index, an encrypted piece belongs to the summary before it.
    pub(super) fn continues(&self, detail: &Detail) -> bool {
        match (self.index, detail.index) {
            (Some(known), Some(index)) => known == index,
            _ => detail.kind == ENCRYPTED && self.kinds.iter().all(|known| known.proof.is_none()),
        }
    }

    /// Takes a piece, but for its text.
    pub(super) fn add(&mut self, detail: Detail) {
        if self.id.is_none() {
            self.id.clone_from(&detail.id);
        }
        let known = self.kinds.iter_mut().find(|known| known.kind == detail.kind);
        match known {
            Some(known) => {
                known.proof = detail.proof.or(known.proof.take());
                known.id = detail.id.or(known.id.take());
                known.format = detail.format.or(known.format.take());
            }
            None => self.kinds.push(Detail { text: None, ..detail }),
        }
    }

    /// The seal of the block, and whether there is nothing but it.
    pub(super) fn seal(&self) -> Option<(Seal, bool)> {
        let sealed = self.kinds.iter().find(|detail| detail.proof.is_some())?;
        let proof = sealed.proof.as_deref().unwrap_or_default();
        if proof.is_empty() {
            return None;
        }
        let redacted = sealed.kind == ENCRYPTED && sealed.format.as_deref() == Some(CLAUDE);
        let carried = carry::read_opaque(proof, OWN);
        if carried.origin != OWN {
            return Some((carried, redacted));
        }
        let mut data = Vec::new();
        write_array(&self.kinds, &mut data, |detail, out| detail.write(None, out));
        let data = String::from_utf8(data).ok()?;
        Some((Seal { origin: OWN, data }, redacted))
    }
}

/// Appends the details that show a block of thoughts and its seal; nothing where there is nothing to show. `wrap` says
/// whether seals of other dialects are written too, carried: for clients, never for vendors.
pub(super) fn write_details(reasoning: &Reasoning, index: u64, wrap: bool, items: &mut Vec<Vec<u8>>) {
    let text = (!reasoning.texts.is_empty()).then(|| reasoning.texts.join("\n\n"));
    let seal = reasoning.seal.as_ref();
    if let Some(seal) = seal.filter(|seal| seal.origin == OWN) {
        // A seal that cannot be read is not ours to repair.
        let native: Vec<&RawValue> = serde_json::from_str(&seal.data).unwrap_or_default();
        for mut detail in native.into_iter().filter_map(Detail::read) {
            let shown = text.as_deref().filter(|_| detail.kind != ENCRYPTED);
            detail.index = detail.index.or(Some(index));
            items.push(written(&detail, shown));
        }
        return;
    }
    let proof = seal.filter(|_| wrap).map(carry::opaque);
    let detail = |kind: &str, proof: Option<String>| Detail {
        kind: kind.to_owned(),
        index: Some(index),
        id: reasoning.id.clone().filter(|_| wrap),
        format: seal
            .filter(|_| wrap)
            .map(|seal| format_of(seal.origin).to_owned()),
        text: None,
        proof,
    };
    // Anthropic seals a summary with its text, as it does a thought; only what is redacted stands alone there.
    let is_sealed_apart = seal.is_none_or(|seal| seal.origin != Dialect::AnthropicMessages);
    if reasoning.redacted || (reasoning.is_summary && is_sealed_apart) {
        if let Some(text) = &text {
            items.push(written(&detail(SUMMARY, None), Some(text)));
        }
        if proof.is_some() {
            items.push(written(&detail(ENCRYPTED, proof), None));
        }
    } else if proof.is_some() || text.is_some() {
        items.push(written(&detail(TEXT, proof), text.as_deref()));
    }
}

fn written(detail: &Detail, text: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    detail.write(text, &mut out);
    out
}

fn format_of(origin: Dialect) -> &'static str {
    match origin {
        Dialect::OpenaiChat => "unknown",
        Dialect::OpenaiResponses => "openai-responses-v1",
        Dialect::AnthropicMessages => CLAUDE,
        Dialect::GeminiGenerate => "google-gemini-v1",
    }
}

/// Splits a text at `<think>` and `</think>`, also when it comes in pieces. Thoughts stand before everything else.
#[derive(Debug, Clone, Default)]
pub(super) struct ThinkTags {
    state: ThinkState,
    /// What may be the beginning of a tag.
    held: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ThinkState {
    /// Nothing but white space has come.
    #[default]
    Before,
    Inside,
    /// The blank lines between thoughts and answer.
    Between,
    After,
}

/// A piece of a text that was split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thought {
    Thinking(String),
    Text(String),
}

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

impl ThinkTags {
    pub(super) fn push(&mut self, text: &str, out: &mut Vec<Thought>) {
        if self.state == ThinkState::After {
            out.push(Thought::Text(text.to_owned()));
            return;
        }
        self.held.push_str(text);
        while self.step(out) {}
    }

    /// The text is over: what was held was no tag.
    pub(super) fn finish(&mut self, out: &mut Vec<Thought>) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return;
        }
        out.push(if self.state == ThinkState::Inside {
            Thought::Thinking(held)
        } else {
            Thought::Text(held)
        });
    }

    /// Goes on as far as what is held decides; whether there may be more to decide.
    fn step(&mut self, out: &mut Vec<Thought>) -> bool {
        match self.state {
            ThinkState::Before => {
                let start = self.held.trim_start();
                if let Some(rest) = start.strip_prefix(OPENING) {
                    self.held = rest.to_owned();
                    self.state = ThinkState::Inside;
                    return true;
                }
                if OPENING.starts_with(start) {
                    return false;
                }
                self.state = ThinkState::After;
            }
            ThinkState::Inside => {
                if let Some((thought, rest)) = self.held.split_once(CLOSING) {
                    if !thought.is_empty() {
                        out.push(Thought::Thinking(thought.to_owned()));
                    }
                    self.held = rest.to_owned();
                    self.state = ThinkState::Between;
                    return true;
                }
                let kept = held_back(&self.held, CLOSING);
                let sure = self.held.len() - kept;
                let rest = self.held.split_off(sure);
                let thought = std::mem::replace(&mut self.held, rest);
                if !thought.is_empty() {
                    out.push(Thought::Thinking(thought));
                }
                return false;
            }
            ThinkState::Between => {
                let rest = self.held.trim_start_matches(['\n', '\r']);
                if rest.is_empty() {
                    self.held.clear();
                    return false;
                }
                self.held = rest.to_owned();
                self.state = ThinkState::After;
            }
            ThinkState::After => {}
        }
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            out.push(Thought::Text(held));
        }
        false
    }
}

/// How many bytes at the end of a text may be the beginning of the tag.
fn held_back(text: &str, tag: &str) -> usize {
    let longest = tag.len().saturating_sub(1).min(text.len());
    let begins = |length: &usize| {
        let end = text.as_bytes().get(text.len() - length..).unwrap_or_default();
        tag.as_bytes().starts_with(end)
    };
    (1..=longest).rev().find(begins).unwrap_or(0)
}

/// Appends a list of details that were written one by one.
pub(super) fn write_items(items: &[Vec<u8>], out: &mut Vec<u8>) {
    write_array(items, out, |item, out| out.extend_from_slice(item));
}
