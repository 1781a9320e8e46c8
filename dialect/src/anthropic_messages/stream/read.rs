//! Reading a provider's stream.

use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, ObjectWriter};
use crate::neutral::carry::read_opaque;
use crate::neutral::{Block, Citation, Delta, Event, Fault, FaultKind, Finish, Profile, Raw, Start};
use crate::sse;

use super::super::block::{Reading, read_citation};
use super::super::fault::read_event_fault;
use super::super::reply::explanation;
use super::super::usage::{Counts, Tier};
use super::super::words;
use super::incoming::{self, Beginning, Incoming};

const OWN: Dialect = Dialect::AnthropicMessages;

/// Reads one stream, event by event.
#[derive(Debug, Default)]
pub struct StreamReader {
    /// The answer's id, once it has begun.
    id: Option<String>,
    counts: Counts,
    open: Vec<Open>,
    /// The number of the next block.
    next: u32,
    has_tool_call: bool,
    finished: bool,
    /// Whether the stream has ended, well or not: nothing that comes after that counts.
    over: bool,
}

/// A block that is being told. They do not interleave, but nothing here depends on that.
#[derive(Debug)]
struct Open {
    /// Anthropic's number of it, and ours.
    index: u64,
    block: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// What a text cites is told before it, and where it ends is known at its end.
    Text {
        characters: usize,
        citations: Vec<Box<RawValue>>,
    },
    Reasoning,
    Call {
        has_arguments: bool,
        placeholder: String,
    },
    /// A block that stays as it is; what is added to its text or its input.
    Raw {
        beginning: Box<RawValue>,
        added: String,
    },
}

impl StreamReader {
    pub fn new(_profile: &Profile) -> Self {
        Self::default()
    }

    /// Reads an event, from its first line to the blank line that ends it.
    pub fn read(&mut self, event: &[u8], out: &mut Vec<Event>) {
        if self.over {
            return;
        }
        let data = sse::data(event);
        if data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Incoming<'_>>(&data) {
            Ok(incoming) => self.take(incoming, &data, out),
            Err(_) => self.fail(
                "an event of the stream is not what its dialect says".to_owned(),
                out,
            ),
        }
    }

    /// The body has ended. Without its own last event the stream was cut, and nothing more is told.
    pub fn finish(&mut self, _out: &mut Vec<Event>) {
        self.over = true;
    }

    fn take(&mut self, incoming: Incoming<'_>, data: &[u8], out: &mut Vec<Event>) {
        let Incoming {
            r#type,
            index,
            message,
            content_block,
            delta,
            usage,
            error,
        } = incoming;
        match (r#type.as_deref(), index) {
            (Some("message_start"), _) => {
                if let Some(message) = message {
                    self.start(&message, out);
                }
            }
            (Some("content_block_start"), Some(index)) => {
                if let Some(block) = content_block {
                    self.open(index, block, out);
                }
            }
            (Some("content_block_delta"), Some(index)) => {
                if let Some(delta) = delta {
                    self.add(index, delta, out);
                }
            }
            (Some("content_block_stop"), Some(index)) => {
                if let Some(at) = self.open.iter().position(|open| open.index == index) {
                    let open = self.open.remove(at);
                    self.close(open, out);
                }
            }
            (Some("message_delta"), _) => self.delta(delta, usage, out),
            (Some("message_stop"), _) => self.stop(out),
            (Some("ping"), _) => out.push(Event::KeepAlive),
            (kind, _) => match (error, kind) {
                (Some(error), Some("error") | None) => {
                    self.over = true;
                    out.push(Event::Fault(read_event_fault(error)));
                }
                (_, kind) => out.extend(kind.and_then(|kind| raw(kind, data))),
            },
        }
    }

    /// A second beginning of the same answer is a slip; one of another answer means that two streams were mixed up.
    fn start(&mut self, message: &incoming::Message<'_>, out: &mut Vec<Event>) {
        match &self.id {
            Some(id) if *id == message.id => return,
            Some(_) => return self.fail("a second answer begins inside the stream".to_owned(), out),
            None => self.id = Some(message.id.clone().into_owned()),
        }
        let counts = message
            .usage
            .and_then(|usage| serde_json::from_str::<Counts>(usage.get()).ok());
        self.counts = counts.unwrap_or_default();
        let tier = message
            .usage
            .and_then(|usage| serde_json::from_str::<Tier>(usage.get()).ok());
        out.push(Event::Start(Start {
            id: message.id.clone().into_owned(),
            model: message.model.clone().into_owned(),
            created_s: None,
            usage: self.counts.usage(),
            service_tier: tier.and_then(|tier| tier.service_tier).map(words::read_tier),
        }));
    }

    fn open(&mut self, index: u64, json: &RawValue, out: &mut Vec<Event>) {
        let Ok(beginning) = serde_json::from_str::<Beginning<'_>>(json.get()) else {
            return self.fail(
                "a block of the stream is not what its dialect says".to_owned(),
                out,
            );
        };
        let block = self.next;
        let (kind, opened) = match &*beginning.r#type {
            "text" => (
                Kind::Text {
                    characters: 0,
                    citations: beginning
                        .citations
                        .iter()
                        .flatten()
                        .map(|raw| (*raw).to_owned())
                        .collect(),
                },
                Block::Text,
            ),
            "thinking" | "redacted_thinking" => (
                Kind::Reasoning,
                Block::Reasoning {
                    is_summary: &*beginning.r#type == "thinking",
                    id: None,
                },
            ),
            "tool_use" => {
                self.has_tool_call = true;
                (
                    Kind::Call {
                        has_arguments: false,
                        placeholder: beginning.input.map_or("{}", RawValue::get).to_owned(),
                    },
                    Block::ToolCall {
                        id: beginning.id.clone().into_owned(),
                        id_is_ours: false,
                        name: beginning.name.clone().into_owned(),
                        is_free_text: false,
                    },
                )
            }
            // Told when it is complete.
            _ => {
                let kind = Kind::Raw {
                    beginning: json.to_owned(),
                    added: String::new(),
                };
                self.open.push(Open { index, block, kind });
                return;
            }
        };
        self.next += 1;
        out.push(Event::Open { block, kind: opened });
        self.open.push(Open { index, block, kind });
        self.begin(index, &beginning, out);
    }

    /// What a block holds from its beginning.
    fn begin(&mut self, index: u64, beginning: &Beginning<'_>, out: &mut Vec<Event>) {
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else {
            return;
        };
        let text = beginning.text.as_deref().or(beginning.thinking.as_deref());
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            open.text(text, out);
        }
        let seal = beginning.signature.as_deref().or(beginning.data.as_deref());
        if let Some(seal) = seal.filter(|seal| !seal.is_empty()) {
            open.seal(seal, beginning.data.is_some(), out);
        }
    }

    fn add(&mut self, index: u64, delta: incoming::Delta<'_>, out: &mut Vec<Event>) {
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else {
            return;
        };
        match delta.r#type.as_deref() {
            Some("text_delta") => open.text(delta.text.as_deref().unwrap_or_default(), out),
            Some("thinking_delta") => open.text(delta.thinking.as_deref().unwrap_or_default(), out),
            Some("input_json_delta") => {
                open.arguments(delta.partial_json.as_deref().unwrap_or_default(), out)
            }
            Some("signature_delta") => open.seal(delta.signature.as_deref().unwrap_or_default(), false, out),
            Some("citations_delta") => open.cite(delta.citation),
            Some("compaction_delta") => open.compact(delta.content),
            // A kind of addition that is not known can only be to a block that is not known.
            _ => {}
        }
    }

    fn close(&mut self, open: Open, out: &mut Vec<Event>) {
        let mut block = open.block;
        match open.kind {
            Kind::Text {
                characters,
                citations,
            } => {
                let mut told = Vec::new();
                for citation in &citations {
                    read_citation(citation, Reading::Reply, Some(characters), &mut told);
                }
                let delta = |citation: Citation| Event::Delta {
                    block,
                    delta: Delta::Citation(citation),
                };
                out.extend(told.into_iter().map(delta));
            }
            Kind::Call {
                has_arguments: false,
                placeholder,
            } => out.push(Event::Delta {
                block,
                delta: Delta::Arguments(placeholder),
            }),
            Kind::Raw { beginning, added } => {
                block = self.next;
                self.next += 1;
                out.push(Event::Open {
                    block,
                    kind: Block::Raw(Raw::new(OWN, "", completed(beginning, &added))),
                });
            }
            Kind::Reasoning | Kind::Call { .. } => {}
        }
        out.push(Event::Close { block });
    }

    fn delta(&mut self, delta: Option<incoming::Delta<'_>>, counts: Option<Counts>, out: &mut Vec<Event>) {
        if let Some(counts) = counts {
            self.counts = self.counts.then(counts);
            out.extend(self.counts.usage().map(Event::Usage));
        }
        let Some((word, delta)) = delta.and_then(|delta| Some((delta.stop_reason.clone()?, delta))) else {
            return;
        };
        let explained = delta.stop_details.and_then(explanation);
        self.end(words::read_finish(&word, delta.stop_sequence, explained), out);
    }

    fn stop(&mut self, out: &mut Vec<Event>) {
        self.end(Finish::End, out);
        self.over = true;
        out.push(Event::End);
    }

    /// The reason for the end is known. A call that the cap has cut is not closed by Anthropic, only by its end.
    fn end(&mut self, finish: Finish, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        for open in std::mem::take(&mut self.open) {
            self.close(open, out);
        }
        out.push(Event::Finish(finish.by_content(self.has_tool_call)));
    }

    fn fail(&mut self, message: String, out: &mut Vec<Event>) {
        self.over = true;
        out.push(Event::Fault(Fault {
            kind: FaultKind::Internal,
            message,
            param: None,
            code: None,
            retry_after_ms: None,
        }));
    }
}

impl Open {
    fn text(&mut self, text: &str, out: &mut Vec<Event>) {
        match &mut self.kind {
            Kind::Text { characters, .. } => *characters += text.chars().count(),
            Kind::Reasoning => {}
            Kind::Call { .. } | Kind::Raw { .. } => return,
        }
        if !text.is_empty() {
            self.told(Delta::Text(text.to_owned()), out);
        }
    }

    fn arguments(&mut self, fragment: &str, out: &mut Vec<Event>) {
        match &mut self.kind {
            Kind::Call { has_arguments, .. } if !fragment.is_empty() => {
                *has_arguments = true;
                self.told(Delta::Arguments(fragment.to_owned()), out);
            }
            Kind::Raw { added, .. } => added.push_str(fragment),
            _ => {}
        }
    }

    fn seal(&mut self, data: &str, redacted: bool, out: &mut Vec<Event>) {
        if matches!(self.kind, Kind::Reasoning) {
            let seal = read_opaque(data, OWN);
            self.told(Delta::Seal { seal, redacted }, out);
        }
    }

    fn cite(&mut self, citation: Option<&RawValue>) {
        if let (Kind::Text { citations, .. }, Some(citation)) = (&mut self.kind, citation) {
            citations.push(citation.to_owned());
        }
    }

    fn compact(&mut self, content: Option<&RawValue>) {
        let text = content.and_then(|content| serde_json::from_str::<String>(content.get()).ok());
        if let (Kind::Raw { added, .. }, Some(text)) = (&mut self.kind, text) {
            added.push_str(&text);
        }
    }

    fn told(&self, delta: Delta, out: &mut Vec<Event>) {
        out.push(Event::Delta {
            block: self.block,
            delta,
        });
    }
}

/// A block that is not understood, with what came after its beginning: the input of a server's tool, or the text of a
/// compaction.
fn completed(beginning: Box<RawValue>, added: &str) -> Box<RawValue> {
    let Some(mut members) = Members::read(beginning.get()).filter(|_| !added.is_empty()) else {
        return beginning;
    };
    let mut json = Vec::new();
    let mut object = ObjectWriter::new(&mut json);
    if members.take("input").is_some() {
        object.json("input", added);
    } else {
        members.take("content");
        object.member("content", added);
    }
    for (name, value) in members.rest() {
        object.json(&name, value.get());
    }
    object.end();
    let text = String::from_utf8(json).unwrap_or_default();
    RawValue::from_string(text).unwrap_or(beginning)
}

/// An event that no document names.
fn raw(kind: &str, data: &[u8]) -> Option<Event> {
    let json = RawValue::from_string(std::str::from_utf8(data).ok()?.to_owned()).ok()?;
    Some(Event::Raw(Raw::new(OWN, kind, json)))
}
