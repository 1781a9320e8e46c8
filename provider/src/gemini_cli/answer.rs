//! What the program says, as an answer in the dialect gemini_generate: whole, or as a stream of server-sent events or of
//! one array.

use bytes::Bytes;
use serde_json::{Value, json};

use super::stop::StopCutter;

/// A piece of what the program says.
#[derive(Debug)]
pub(super) enum Said {
    Thought(String),
    Text(String),
    /// It has ended in good order; why, in Google's word, where that is known.
    Done(Option<Counts>, Option<String>),
    Failed(super::fault::Failure),
}

/// Tokens, as far as the program tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: u64,
    /// Without thoughts.
    pub(super) output: u64,
    pub(super) thoughts: Option<u64>,
    pub(super) cached: Option<u64>,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Whole,
    Events,
    Array,
}

/// Writes one answer.
pub(super) struct Writer {
    pub(super) framing: Framing,
    pub(super) model: String,
    pub(super) id: String,
    pub(super) shows_thoughts: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: StopCutter,
    /// Of a whole answer, what it has so far.
    pub(super) thoughts: String,
    pub(super) text: String,
    pub(super) has_begun: bool,
}

impl Writer {
    /// What the client gets for this piece; empty for nothing yet.
    pub(super) fn push(&mut self, said: &Said) -> Bytes {
        match said {
            Said::Thought(thought) if self.shows_thoughts => self.part(thought, true),
            Said::Text(text) => {
                let passed = self.stop.push(text);
                self.part(&passed, false)
            }
            Said::Thought(_) | Said::Done(..) | Said::Failed(_) => Bytes::new(),
        }
    }

    /// Whether a stop sequence has come, after which nothing is of interest.
    pub(super) fn is_cut(&self) -> bool {
        self.stop.is_cut()
    }

    /// The end of the answer.
    pub(super) fn finish(&mut self, counts: Option<Counts>, reason: Option<&str>) -> Bytes {
        let rest = self.stop.rest();
        let mut out = self.part(&rest, false).to_vec();
        let mut last = json!({"candidates": [self.last_candidate(counts, reason)]});
        if let (Some(counts), Some(members)) = (counts, last.as_object_mut()) {
            members.insert("usageMetadata".to_owned(), counts.write());
        }
        out.extend_from_slice(&self.chunk(last));
        if self.framing == Framing::Array {
            out.extend_from_slice(b"]");
        }
        Bytes::from(out)
    }

    fn last_candidate(&self, counts: Option<Counts>, reason: Option<&str>) -> Value {
        // The program does not tell why the model ended: only that it said as much as it was let. The relay sees it.
        let output = counts.map_or(0, |counts| counts.output + counts.thoughts.unwrap_or(0));
        let is_full = self.max_tokens.is_some_and(|max| output >= max) && !self.is_cut();
        let guessed = if is_full { "MAX_TOKENS" } else { "STOP" };
        let reason = reason.filter(|_| !self.is_cut()).unwrap_or(guessed);
        let parts = match self.framing {
            Framing::Whole if !self.thoughts.is_empty() => {
                json!([{"text": self.thoughts, "thought": true}, {"text": self.text}])
            }
            Framing::Whole => json!([{"text": self.text}]),
            Framing::Events | Framing::Array => json!([{"text": ""}]),
        };
        json!({"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": reason})
    }

    fn part(&mut self, text: &str, is_thought: bool) -> Bytes {
        if text.is_empty() {
            return Bytes::new();
        }
        if self.framing == Framing::Whole {
            let all = if is_thought {
                &mut self.thoughts
            } else {
                &mut self.text
            };
            all.push_str(text);
            return Bytes::new();
        }
        let part = if is_thought {
            json!({"text": text, "thought": true})
        } else {
            json!({"text": text})
        };
        let candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
        let chunk = self.chunk(json!({"candidates": [candidate]}));
        Bytes::from(chunk)
    }

    fn chunk(&mut self, mut chunk: Value) -> Vec<u8> {
        if let Some(members) = chunk.as_object_mut() {
            members.insert("modelVersion".to_owned(), json!(self.model));
            members.insert("responseId".to_owned(), json!(self.id));
        }
        let begins = !std::mem::replace(&mut self.has_begun, true);
        match self.framing {
            Framing::Whole => chunk.to_string().into_bytes(),
            Framing::Events => format!("data: {chunk}\r\n\r\n").into_bytes(),
            Framing::Array => format!("{}{chunk}", if begins { '[' } else { ',' }).into_bytes(),
        }
    }
}

impl Counts {
    fn write(self) -> Value {
        let thoughts = self.thoughts.unwrap_or(0);
        let total = self.input.saturating_add(self.output).saturating_add(thoughts);
        let mut usage = json!({
            "promptTokenCount": self.input, "candidatesTokenCount": self.output, "totalTokenCount": total,
        });
        if let Some(members) = usage.as_object_mut() {
            if self.thoughts.is_some() {
                members.insert("thoughtsTokenCount".to_owned(), json!(thoughts));
            }
            if let Some(cached) = self.cached {
                members.insert("cachedContentTokenCount".to_owned(), json!(cached));
            }
        }
        usage
    }
}
