//! Writing a whole answer.

use crate::Dialect;
use crate::neutral::carry::{Place, of_text};
use crate::neutral::{Arguments, Finish, Heading, Part, Reasoning, Reply, Text, ToolCall};
use crate::openai_responses::logprobs::logprobs;
use crate::openai_responses::output::{self, Call, Shown};
use crate::openai_responses::response::Response;
use crate::openai_responses::words;

/// How much room an answer gets before it has to grow.
const USUAL_BYTES: usize = 2_048;

/// Writes a whole answer, under an id of ours.
pub fn write_reply(reply: &Reply, heading: &Heading<'_>) -> Vec<u8> {
    let has_refusal = reply.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let status = words::status(&reply.finish, has_refusal);
    let mut items = Items {
        heading: *heading,
        list: Vec::with_capacity(USUAL_BYTES),
        index: 0,
        message: Vec::new(),
        logprobs: reply.logprobs.as_ref().and_then(logprobs).unwrap_or_default(),
    };
    let mut rest = reply.parts.as_slice();
    while let Some((part, after)) = rest.split_first() {
        rest = after;
        let is_cut = status.word == output::INCOMPLETE && rest.is_empty();
        items.part(
            part,
            if is_cut {
                output::INCOMPLETE
            } else {
                output::COMPLETED
            },
        );
    }
    if let (Finish::Refused(Some(explanation)), false) = (&reply.finish, has_refusal) {
        items.refusal(explanation);
    }
    let is_cut = status.word == output::INCOMPLETE;
    items.end_message(if is_cut {
        output::INCOMPLETE
    } else {
        output::COMPLETED
    });
    let model = if reply.model.is_empty() {
        heading.model
    } else {
        &reply.model
    };
    let mut out = Vec::with_capacity(items.list.len() + USUAL_BYTES);
    Response {
        heading: Heading {
            created_s: reply.created_s.unwrap_or(heading.created_s),
            model,
            ..*heading
        },
        status,
        error: words::error_of(&reply.finish),
        native: words::native(&reply.finish),
        output: &items.list,
        usage: reply.usage,
        service_tier: reply.service_tier.as_ref(),
    }
    .write(&mut out);
    out
}

/// The items of an answer. Texts that follow one another are one message.
struct Items<'a> {
    heading: Heading<'a>,
    list: Vec<u8>,
    index: usize,
    /// The parts of the message that has not ended.
    message: Vec<u8>,
    /// What the next text is given.
    logprobs: Vec<u8>,
}

impl Items<'_> {
    fn part(&mut self, part: &Part, status: &str) {
        match part {
            Part::Text(text) => self.text(text),
            Part::Refusal(text) => self.refusal(text),
            Part::Reasoning(reasoning) => self.reasoning(reasoning),
            Part::ToolCall(call) => self.call(call, status),
            Part::Raw(raw) if raw.origin == Dialect::OpenaiResponses => {
                self.begin();
                output::write_line(&raw.json, &mut self.list);
            }
            // Pictures are asked for in no other dialect's words, and results are the client's.
            Part::Raw(_) | Part::Media(_) | Part::ToolResult(_) => {}
        }
    }

    fn text(&mut self, text: &Text) {
        let mut annotations = Vec::new();
        for citation in &text.citations {
            let before = annotations.len();
            if before > 0 {
                annotations.push(b',');
            }
            if !output::write_citation(citation, &text.text, &mut annotations) {
                annotations.truncate(before);
            }
        }
        self.next_of_message();
        let logprobs = std::mem::take(&mut self.logprobs);
        output::write_text(&text.text, &annotations, &logprobs, &mut self.message);
        let seal = text.seal.as_ref();
        if let Some(carrier) = seal.and_then(|seal| of_text(seal, Dialect::OpenaiResponses, Place::Behind)) {
            self.reasoning(&carrier);
        }
    }

    fn refusal(&mut self, text: &str) {
        self.next_of_message();
        output::write_refusal(text, &mut self.message);
    }

    fn reasoning(&mut self, reasoning: &Reasoning) {
        let id = self.begin_as("rs");
        let shown = Shown {
            texts: &reasoning.texts,
            is_summary: reasoning.is_summary,
            redacted: reasoning.redacted,
        };
        output::write_reasoning(&id, shown, reasoning.seal.as_ref(), &mut self.list);
    }

    fn call(&mut self, call: &ToolCall, status: &str) {
        let (is_free_text, text) = match &call.arguments {
            Arguments::Json(json) if json.is_empty() => (false, "{}"),
            Arguments::Json(json) => (false, json.as_str()),
            Arguments::Text(text) => (true, text.as_str()),
        };
        let id = self.begin_as(if is_free_text { "ctc" } else { "fc" });
        let call = Call {
            call_id: &output::call_id(&call.id, call.seal.as_ref()),
            name: &call.name,
            is_free_text,
            text,
        };
        output::write_call(&id, status, call, &mut self.list);
    }

    fn begin_as(&mut self, prefix: &str) -> String {
        self.begin();
        output::item_id(prefix, &self.heading, self.index.saturating_sub(1))
    }

    /// Makes room for an item that is no message.
    fn begin(&mut self) {
        self.end_message(output::COMPLETED);
        self.next();
    }

    fn next(&mut self) {
        if self.index > 0 {
            self.list.push(b',');
        }
        self.index += 1;
    }

    fn next_of_message(&mut self) {
        if !self.message.is_empty() {
            self.message.push(b',');
        }
    }

    fn end_message(&mut self, status: &str) {
        if self.message.is_empty() {
            return;
        }
        let content = std::mem::take(&mut self.message);
        self.next();
        let id = output::item_id("msg", &self.heading, self.index.saturating_sub(1));
        output::write_message(&id, status, &content, &mut self.list);
    }
}
