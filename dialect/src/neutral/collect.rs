//! A stream as a whole answer, and a whole answer as a stream: for providers, and clients, that do only one of the two.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    Arguments, Block, Choice, Delta, Event, Fault, Finish, Part, Raw, Reasoning, Reply, Start, Text, ToolCall,
};

/// Gathers the events of a stream.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    start: Start,
    parts: Vec<Part>,
    /// At which part each open block is.
    open: Vec<(u32, usize)>,
    finish: Option<Finish>,
    usage: Option<crate::Usage>,
    logprobs: Vec<Raw>,
    raw: Vec<Raw>,
    fault: Option<Fault>,
    ended: bool,
    /// Answers beside the first, by their numbers.
    others: BTreeMap<u32, Collector>,
}

/// Why a stream is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// The provider told of an error.
    Fault(Fault),
    /// It broke off.
    Cut,
}

impl Collector {
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Start(start) => {
                self.usage = self.usage.or(start.usage);
                self.start = start;
            }
            Event::Open { block, kind } => {
                self.open.push((block, self.parts.len()));
                self.parts.push(part(kind));
            }
            Event::Delta {
                delta: Delta::Logprobs(raw),
                ..
            } => self.logprobs.push(raw),
            Event::Delta { block, delta } => {
                let at = self.open.iter().find(|(open, _)| *open == block);
                if let Some(part) = at.and_then(|(_, at)| self.parts.get_mut(*at)) {
                    add(part, delta);
                }
            }
            Event::Close { block } => self.open.retain(|(open, _)| *open != block),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(finish) => self.finish = Some(finish),
            Event::Fault(fault) => self.fault = Some(fault),
            Event::Raw(raw) => self.raw.push(raw),
            Event::Other { choice, event } => self.others.entry(choice).or_default().event(*event),
            Event::KeepAlive => {}
            Event::End => self.ended = true,
        }
    }

    /// The last usage that was told.
    pub fn usage(&self) -> Option<crate::Usage> {
        self.usage
    }

    /// The whole answer.
    ///
    /// # Errors
    /// When the stream told of an error, or broke off.
    pub fn reply(self) -> Result<Reply, Unfinished> {
        if let Some(fault) = self.fault {
            return Err(Unfinished::Fault(fault));
        }
        let finish = self.finish.filter(|_| self.ended).ok_or(Unfinished::Cut)?;
        let others = self.others.into_values().map(Self::choice);
        Ok(Reply {
            id: self.start.id,
            model: self.start.model,
            created_s: self.start.created_s,
            parts: self.parts,
            finish,
            others: others.collect::<Result<_, _>>()?,
            usage: self.usage,
            service_tier: self.start.service_tier,
            logprobs: joined(self.logprobs),
            raw: self.raw,
        })
    }

    /// An answer beside the first: without an end of its own the stream has broken off.
    fn choice(self) -> Result<Choice, Unfinished> {
        Ok(Choice {
            parts: self.parts,
            finish: self.finish.ok_or(Unfinished::Cut)?,
            logprobs: joined(self.logprobs),
            raw: self.raw,
        })
    }
}

fn part(kind: Block) -> Part {
    match kind {
        Block::Text => Part::Text(Text::default()),
        Block::Refusal => Part::Refusal(String::new()),
        Block::Reasoning { is_summary, id } => Part::Reasoning(Reasoning {
            is_summary,
            id,
            ..Reasoning::default()
        }),
        Block::ToolCall {
            id,
            id_is_ours,
            name,
            is_free_text,
        } => Part::ToolCall(ToolCall {
            id,
            id_is_ours,
            name,
            arguments: if is_free_text {
                Arguments::Text(String::new())
            } else {
                Arguments::Json(String::new())
            },
            seal: None,
            cache: None,
            raw: Vec::new(),
        }),
        Block::Raw(raw) => Part::Raw(raw),
    }
}

fn add(part: &mut Part, delta: Delta) {
    match (part, delta) {
        (Part::Text(part), Delta::Text(text)) => part.text.push_str(&text),
        (Part::Text(part), Delta::Citation(citation)) => part.citations.push(citation),
        (Part::Text(part), Delta::Seal { seal, .. }) => part.seal = Some(seal),
        (Part::Refusal(part), Delta::Text(text)) => part.push_str(&text),
        (Part::Reasoning(part), Delta::Text(text)) => match part.texts.last_mut() {
            Some(last) => last.push_str(&text),
            None => part.texts.push(text),
        },
        (Part::Reasoning(part), Delta::NextPiece) => part.texts.push(String::new()),
        (Part::Reasoning(part), Delta::Seal { seal, redacted }) => {
            part.seal = Some(seal);
            part.redacted = redacted;
        }
        (Part::ToolCall(part), Delta::Arguments(fragment)) => {
            let (Arguments::Json(text) | Arguments::Text(text)) = &mut part.arguments;
            text.push_str(&fragment);
        }
        (Part::ToolCall(part), Delta::Seal { seal, .. }) => part.seal = Some(seal),
        // No reader yields others.
        _ => {}
    }
}

/// The log-probabilities of a stream, as its dialect writes them for a whole answer: lists become one list.
fn joined(raws: Vec<Raw>) -> Option<Raw> {
    let pieces: Vec<_> = raws.iter().map(|raw| raw.json.get()).collect();
    let json = RawValue::from_string(join(&pieces)).ok();
    let first = raws.into_iter().next()?;
    Some(Raw {
        json: json.unwrap_or(first.json),
        ..first
    })
}

/// Lists as one; objects with their members joined; of other values the last. Null is nothing.
fn join(pieces: &[&str]) -> String {
    let pieces: Vec<&str> = pieces.iter().copied().filter(|piece| *piece != "null").collect();
    if pieces.iter().all(|piece| piece.starts_with('[')) {
        let lists = pieces.iter().filter_map(|piece| serde_json::from_str(piece).ok());
        let lists: Vec<Vec<&RawValue>> = lists.collect();
        return match lists.as_slice() {
            [] => "null".to_owned(),
            lists => serde_json::to_string(&lists.concat()).unwrap_or_default(),
        };
    }
    if !pieces.iter().all(|piece| piece.starts_with('{')) {
        return pieces.last().copied().unwrap_or("null").to_owned();
    }
    let mut members: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for piece in &pieces {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(piece).unwrap_or_default();
        for (name, value) in object {
            members.entry(name).or_default().push(value.get());
        }
    }
    let members = members.into_iter().filter_map(|(name, pieces)| {
        let json = RawValue::from_string(join(&pieces)).ok()?;
        Some((name, json))
    });
    serde_json::to_string(&members.collect::<BTreeMap<_, _>>()).unwrap_or_default()
}

/// The events of a stream that would have come to this answer. Media has no events: an answer that holds some is not
/// asked for across dialects.
pub fn events(reply: Reply, out: &mut Vec<Event>) {
    out.push(Event::Start(Start {
        id: reply.id,
        model: reply.model,
        created_s: reply.created_s,
        usage: reply.usage,
        service_tier: reply.service_tier,
    }));
    let first = Choice {
        parts: reply.parts,
        finish: reply.finish,
        logprobs: reply.logprobs,
        raw: reply.raw,
    };
    for (choice, answer) in (0..).zip(std::iter::once(first).chain(reply.others)) {
        let mut events = Vec::new();
        choice_events(answer, &mut events);
        out.extend(events.into_iter().map(|event| event.of(choice)));
    }
    out.extend(reply.usage.map(Event::Usage));
    out.push(Event::End);
}

fn choice_events(choice: Choice, out: &mut Vec<Event>) {
    out.extend(choice.raw.into_iter().map(Event::Raw));
    let mut logprobs = choice.logprobs;
    let mut block = 0;
    for part in choice.parts {
        let is_text = matches!(part, Part::Text(_));
        let Some((kind, mut deltas)) = block_of(part) else {
            continue;
        };
        if is_text {
            deltas.extend(logprobs.take().map(Delta::Logprobs));
        }
        out.push(Event::Open { block, kind });
        out.extend(deltas.into_iter().map(|delta| Event::Delta { block, delta }));
        out.push(Event::Close { block });
        block += 1;
    }
    out.push(Event::Finish(choice.finish));
}

fn block_of(part: Part) -> Option<(Block, Vec<Delta>)> {
    let texts = |text: String| Some(text).filter(|text| !text.is_empty());
    let block = match part {
        Part::Text(text) => {
            let mut deltas: Vec<_> = texts(text.text).map(Delta::Text).into_iter().collect();
            deltas.extend(text.citations.into_iter().map(Delta::Citation));
            deltas.extend(text.seal.map(|seal| Delta::Seal {
                seal,
                redacted: false,
            }));
            (Block::Text, deltas)
        }
        Part::Refusal(text) => (Block::Refusal, texts(text).map(Delta::Text).into_iter().collect()),
        Part::Reasoning(reasoning) => {
            let mut deltas = Vec::new();
            for (number, text) in reasoning.texts.into_iter().enumerate() {
                deltas.extend((number > 0).then_some(Delta::NextPiece));
                deltas.push(Delta::Text(text));
            }
            let redacted = reasoning.redacted;
            deltas.extend(reasoning.seal.map(|seal| Delta::Seal { seal, redacted }));
            let kind = Block::Reasoning {
                is_summary: reasoning.is_summary,
                id: reasoning.id,
            };
            (kind, deltas)
        }
        Part::ToolCall(call) => {
            let is_free_text = matches!(call.arguments, Arguments::Text(_));
            let (Arguments::Json(text) | Arguments::Text(text)) = call.arguments;
            // First, for some dialects carry it in the call's id.
            let seal = call.seal.map(|seal| Delta::Seal {
                seal,
                redacted: false,
            });
            let mut deltas: Vec<_> = seal.into_iter().collect();
            deltas.extend(texts(text).map(Delta::Arguments));
            let kind = Block::ToolCall {
                id: call.id,
                id_is_ours: call.id_is_ours,
                name: call.name,
                is_free_text,
            };
            (kind, deltas)
        }
        Part::Raw(raw) => (Block::Raw(raw), Vec::new()),
        Part::Media(_) | Part::ToolResult(_) => return None,
    };
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use crate::neutral::{Citation, Seal};

    fn raw(json: &str) -> Raw {
        let json = RawValue::from_string(json.to_owned()).unwrap();
        Raw::new(Dialect::OpenaiChat, "logprobs", json)
    }

    fn full() -> Reply {
        let seal = |data: &str| {
            Some(Seal {
                origin: Dialect::AnthropicMessages,
                data: data.to_owned(),
            })
        };
        let call = |arguments| ToolCall {
            id: "call_1".to_owned(),
            id_is_ours: true,
            name: "tool".to_owned(),
            arguments,
            seal: seal("c"),
            cache: None,
            raw: Vec::new(),
        };
        Reply {
            id: "id".to_owned(),
            model: "model".to_owned(),
            created_s: Some(5),
            parts: vec![
                Part::Reasoning(Reasoning {
                    texts: vec!["one".to_owned(), "two".to_owned()],
                    is_summary: true,
                    seal: seal("a"),
                    redacted: false,
                    id: Some("rs_1".to_owned()),
                }),
                Part::Reasoning(Reasoning {
                    seal: seal("b"),
                    redacted: true,
                    ..Reasoning::default()
                }),
                Part::Text(Text {
                    text: "text".to_owned(),
                    citations: vec![Citation::Url {
                        url: "https://example.com".to_owned(),
                        title: None,
                        start: Some(0),
                        end: Some(4),
                    }],
                    cache: None,
                    seal: seal("d"),
                }),
                Part::text(""),
                Part::Refusal("no".to_owned()),
                Part::ToolCall(call(Arguments::Json("{\"a\": 1.0}".to_owned()))),
                Part::ToolCall(call(Arguments::Text("free".to_owned()))),
                Part::Raw(raw("{\"type\":\"new\"}")),
            ],
            finish: Finish::ToolCall,
            others: vec![
                Choice {
                    parts: vec![Part::text("other")],
                    finish: Finish::End,
                    logprobs: Some(raw("{\"content\":[2]}")),
                    raw: vec![raw("\"own\"")],
                },
                Choice {
                    parts: vec![Part::ToolCall(call(Arguments::Json("{}".to_owned())))],
                    finish: Finish::MaxTokens,
                    logprobs: None,
                    raw: Vec::new(),
                },
            ],
            usage: Some(crate::Usage {
                input_tokens: 3,
                ..crate::Usage::default()
            }),
            service_tier: None,
            logprobs: Some(raw("{\"content\":[1]}")),
            raw: vec![raw("\"fp\"")],
        }
    }

    fn collected(events: Vec<Event>) -> Result<Reply, Unfinished> {
        let mut collector = Collector::default();
        events.into_iter().for_each(|event| collector.event(event));
        collector.reply()
    }

    #[test]
    fn an_answer_is_the_same_after_it_was_a_stream() {
        let mut stream = Vec::new();
        events(full(), &mut stream);
        assert_eq!(collected(stream.clone()), Ok(full()));
        let end = stream.pop();
        assert_eq!(end, Some(Event::End));
        assert_eq!(collected(stream), Err(Unfinished::Cut));
    }

    #[test]
    fn interleaved_blocks_and_pieces_of_log_probabilities_come_together() {
        let open = |block, name: &str| Event::Open {
            block,
            kind: Block::ToolCall {
                id: name.to_owned(),
                id_is_ours: false,
                name: name.to_owned(),
                is_free_text: false,
            },
        };
        let delta = |block, delta| Event::Delta { block, delta };
        let arguments = |block, text: &str| delta(block, Delta::Arguments(text.to_owned()));
        let stream = vec![
            Event::Start(Start::default()),
            open(0, "a"),
            open(1, "b"),
            arguments(1, "{\"x\""),
            arguments(0, "{}"),
            arguments(1, ":1}"),
            Event::Close { block: 1 },
            delta(
                0,
                Delta::Logprobs(raw(r#"{"content":[{"a":1.0}],"refusal":null}"#)),
            ),
            delta(0, Delta::Logprobs(raw(r#"{"content":[2, 3],"refusal":[4]}"#))),
            Event::Close { block: 0 },
            Event::Finish(Finish::ToolCall),
            Event::End,
        ];
        let reply = collected(stream).unwrap();
        let texts: Vec<_> = reply
            .parts
            .iter()
            .map(|part| match part {
                Part::ToolCall(call) => (call.name.as_str(), call.arguments.clone()),
                other => panic!("{other:?}"),
            })
            .collect();
        let json = |text: &str| Arguments::Json(text.to_owned());
        assert_eq!(texts, [("a", json("{}")), ("b", json("{\"x\":1}"))]);
        let logprobs = reply.logprobs.unwrap();
        assert_eq!(
            logprobs.json.get(),
            r#"{"content":[{"a":1.0},2,3],"refusal":[4]}"#
        );
    }
}
