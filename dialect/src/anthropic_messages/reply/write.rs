//! Writing a whole answer for a client.

use std::borrow::Cow;

use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::carry::{CarriedSeal, Place, of_text, opaque_for, tool_call_id};
use crate::neutral::{Finish, Heading, Part, Reasoning, Reply, ToolCall};

use super::super::block::{
    input, joined, write_answer_text, write_call, write_raws, write_redacted, write_thinking,
};
use super::super::usage::write_usage;
use super::super::words;

const OWN: Dialect = Dialect::AnthropicMessages;

/// Writes an answer.
pub fn write_reply(reply: &Reply, heading: &Heading<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    let model = if reply.model.is_empty() {
        heading.model
    } else {
        &reply.model
    };
    let mut object = ObjectWriter::new(&mut out);
    object
        .member("id", heading.id)
        .member("type", "message")
        .member("role", "assistant")
        .member("model", model);
    let parts = reply.parts.iter().filter(|part| is_shown(part, &reply.finish));
    let pieces = ending_with_text(parts.collect());
    write_array(pieces, object.begin("content"), |piece, out| {
        write_part(&piece, out);
    });
    write_stop(&reply.finish, &mut object);
    write_raws(&mut object, &reply.raw);
    write_usage(
        reply.usage.as_ref(),
        reply.service_tier.as_ref(),
        object.begin("usage"),
    );
    object.end();
    out
}

/// `stop_reason` and what stands beside it.
pub(in super::super) fn write_stop(finish: &Finish, object: &mut ObjectWriter<'_>) {
    let sequence = match finish {
        Finish::StopSequence(sequence) => sequence.as_deref(),
        _ => None,
    };
    let (word, native) = words::finish(finish);
    object
        .member("stop_reason", word)
        .member("stop_sequence", &sequence)
        .optional("native_finish_reason", native);
    if let Finish::Refused(Some(explanation)) | Finish::Blocked(Some(explanation)) = finish {
        let mut details = object.object("stop_details");
        details
            .member("type", "refusal")
            .member("category", &None::<&str>)
            .member("explanation", explanation);
        details.end();
    }
}

/// A thinking block, or a redacted one. A client gives back what proves it, whoever made that.
fn write_reasoning(reasoning: &Reasoning, out: &mut Vec<u8>) {
    let seal = reasoning.seal.as_ref().map(|seal| opaque_for(seal, OWN));
    let seal = seal.as_deref().unwrap_or_default();
    if reasoning.redacted {
        write_redacted(seal, out);
    } else {
        write_thinking(&joined(&reasoning.texts), seal, out);
    }
}

/// Blocks without anything in them are not to be sent back, so they are not given out; and a call whose arguments the
/// cap cut off must not be run.
fn is_shown(part: &Part, finish: &Finish) -> bool {
    match part {
        Part::Text(text) => !text.text.is_empty() || text.seal.is_some(),
        Part::Refusal(text) => !text.is_empty(),
        Part::Reasoning(reasoning) => {
            reasoning.seal.is_some() || reasoning.texts.iter().any(|text| !text.is_empty())
        }
        Part::ToolCall(call) => finish.hands_out(call),
        Part::Raw(raw) => raw.origin == OWN,
        // An answer of Anthropic's has no pictures and no results.
        Part::Media(_) | Part::ToolResult(_) => false,
    }
}

/// The parts as the blocks that they come to. Behind a text stands what carries its seal; but agents take the last block for
/// the answer, so before the last text stands what would be the end.
fn ending_with_text(parts: Vec<&Part>) -> Vec<Cow<'_, Part>> {
    let is_said = |part: &&Part| !matches!(part, Part::Text(text) if text.text.is_empty());
    let said = parts.iter().rposition(is_said);
    let last = said.filter(|at| matches!(parts.get(*at), Some(Part::Text(_))));
    let (parts, end) = parts.split_at(last.unwrap_or(parts.len()));
    let mut pieces: Vec<_> = parts
        .iter()
        .flat_map(|part| {
            let carrier = carrier(part, Place::Behind).map(Cow::Owned);
            is_said(part)
                .then_some(Cow::Borrowed(*part))
                .into_iter()
                .chain(carrier)
        })
        .collect();
    // Behind anything else it is not worth an end that no agent expects.
    while end.is_empty() && matches!(pieces.last(), Some(Cow::Owned(_))) {
        pieces.pop();
    }
    pieces.extend(
        end.iter()
            .filter_map(|part| carrier(part, Place::Before).map(Cow::Owned)),
    );
    pieces.extend(end.first().map(|part| Cow::Borrowed(*part)));
    pieces
}

/// What carries the seal of a text.
fn carrier(part: &Part, place: Place) -> Option<Part> {
    let Part::Text(text) = part else {
        return None;
    };
    of_text(text.seal.as_ref()?, OWN, place).map(Part::Reasoning)
}

fn write_part(part: &Part, out: &mut Vec<u8>) {
    match part {
        Part::Text(text) => write_answer_text(&text.text, &text.citations, out),
        Part::Refusal(text) => write_answer_text(text, &[], out),
        Part::Reasoning(reasoning) => write_reasoning(reasoning, out),
        Part::ToolCall(call) => {
            let id = carrying_id(call);
            write_call(&id, &call.name, &input(&call.arguments), None, &call.raw, out);
        }
        Part::Raw(raw) => out.extend_from_slice(raw.json.get().as_bytes()),
        Part::Media(_) | Part::ToolResult(_) => {}
    }
}

/// A call has no opaque member here, so its seal travels in its id.
fn carrying_id(call: &ToolCall) -> String {
    let carried = call.seal.as_ref().map(|seal| CarriedSeal {
        seal: seal.clone(),
        is_reasoning: false,
        redacted: false,
    });
    tool_call_id(&call.id, carried.as_slice())
}
