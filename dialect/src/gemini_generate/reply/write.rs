//! Writing an answer out of the neutral middle, for a client of Gemini's.

use std::borrow::Cow;

use super::super::calls::shown;
use super::super::citations::Gathered;
use super::super::{logprobs, words, write_part};
use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::{ChoiceRef, Finish, Heading, Part, Raw, Reply, Seal, carry};
use crate::usage::Usage;

/// The members of a candidate that come with its end.
pub(in crate::gemini_generate) struct Ending<'a> {
    /// Which of the candidates it is.
    pub(in crate::gemini_generate) number: u32,
    pub(in crate::gemini_generate) finish: &'a Finish,
    /// Whether the answer holds nothing that could be read.
    pub(in crate::gemini_generate) is_empty: bool,
    pub(in crate::gemini_generate) citations: &'a Gathered,
    /// Of a stream, those of each of its pieces.
    pub(in crate::gemini_generate) logprobs: &'a [Raw],
    pub(in crate::gemini_generate) raw: &'a [Raw],
}

/// Thoughts that another vendor has sealed, up to the first call after them. Google's own seals stand beside calls, and
/// there are clients that keep them nowhere else.
#[derive(Debug, Clone, Default)]
pub(in crate::gemini_generate) struct Thoughts {
    seal: Option<String>,
}

/// Writes an answer.
pub fn write_reply(reply: &Reply, heading: &Heading<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = ObjectWriter::new(&mut out);
    // A prompt that was held back has no candidates at all.
    let is_blocked_prompt = reply.parts.is_empty() && own(&reply.raw, "promptFeedback").is_some();
    if !is_blocked_prompt {
        write_array(
            (0..).zip(reply.choices()),
            object.begin("candidates"),
            write_candidate,
        );
    }
    for raw in reply
        .raw
        .iter()
        .filter(|raw| is_own(raw) && !raw.name.contains('.'))
    {
        object.json(&raw.name, raw.json.get());
    }
    let model = if reply.model.is_empty() {
        heading.model
    } else {
        &reply.model
    };
    write_answer_members(reply.usage.as_ref(), model, heading.id, &mut object);
    object.end();
    out
}

fn write_candidate((number, choice): (u32, ChoiceRef<'_>), out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    let mut content = object.object("content");
    let written = |part: &&Part| match part {
        Part::Raw(raw) => is_own(raw),
        Part::ToolResult(_) => false,
        Part::ToolCall(call) => choice.finish.hands_out(call),
        Part::Reasoning(thought) => {
            thought.seal.is_some() || thought.texts.iter().any(|text| !text.is_empty())
        }
        _ => true,
    };
    let mut thoughts = Thoughts::default();
    write_array(
        choice.parts.iter().filter(written),
        content.begin("parts"),
        |part, out| write_answer_part(part, &mut thoughts, out),
    );
    content.member("role", "model");
    content.end();
    let ending = Ending {
        number,
        finish: choice.finish,
        is_empty: choice.parts.is_empty(),
        citations: &Gathered::add_all(choice.parts),
        logprobs: choice.logprobs.map_or(&[], std::slice::from_ref),
        raw: choice.raw,
    };
    ending.write(&mut object);
    object.end();
}

/// A part of an answer. Seals of other vendors stand in the place of Google's, wrapped, and come back from the client.
fn write_answer_part(part: &Part, thoughts: &mut Thoughts, out: &mut Vec<u8>) {
    match part {
        Part::Text(text) => write_part::text(&text.text, carried(text.seal.as_ref()).as_deref(), out),
        Part::Reasoning(reasoning) => {
            if let Some(seal) = &reasoning.seal {
                thoughts.sealed(seal, reasoning.redacted);
            }
            write_part::reasoning(reasoning, carried(reasoning.seal.as_ref()).as_deref(), out);
        }
        Part::ToolCall(call) => {
            let seal = thoughts.beside(call.seal.as_ref());
            write_part::call(call, shown(call), &call.name, seal.as_deref(), out);
        }
        part => write_part::part(part, out),
    }
}

impl Thoughts {
    pub(in crate::gemini_generate) fn sealed(&mut self, seal: &Seal, redacted: bool) {
        let is_foreign = seal.origin != Dialect::GeminiGenerate;
        self.seal = is_foreign.then(|| carry::opaque_thoughts(seal, redacted));
    }

    /// What stands beside a call: its own seal, or that of the thoughts before it.
    pub(in crate::gemini_generate) fn beside<'s>(&mut self, own: Option<&'s Seal>) -> Option<Cow<'s, str>> {
        let before = self.seal.take().map(Cow::Owned);
        carried(own).or(before)
    }
}

/// The seal as a client of this dialect gets it.
pub(in crate::gemini_generate) fn carried(seal: Option<&Seal>) -> Option<Cow<'_, str>> {
    seal.map(|seal| carry::opaque_for(seal, Dialect::GeminiGenerate))
}

impl Ending<'_> {
    pub(in crate::gemini_generate) fn write(&self, object: &mut ObjectWriter<'_>) {
        let (word, message) = words::write_finish(self.finish, self.is_empty);
        object.member("finishReason", word);
        if own(self.raw, "candidates.finishMessage").is_none() {
            object.optional("finishMessage", message);
        }
        object.member("index", &self.number);
        let is_told = ["candidates.groundingMetadata", "candidates.citationMetadata"];
        if is_told.iter().all(|name| own(self.raw, name).is_none()) {
            self.citations.write(object);
        }
        logprobs::write(self.logprobs, object);
        for raw in self.raw.iter().filter(|raw| is_own(raw)) {
            if let Some(name) = raw.name.strip_prefix("candidates.") {
                object.json(name, raw.json.get());
            }
        }
    }
}

/// The members that every answer and chunk has beside its candidates.
pub(in crate::gemini_generate) fn write_answer_members(
    usage: Option<&Usage>,
    model: &str,
    id: &str,
    object: &mut ObjectWriter<'_>,
) {
    if let Some(usage) = usage {
        let mut counts = object.object("usageMetadata");
        let answer = usage.output_tokens.saturating_sub(usage.reasoning_tokens);
        let some = |count: u64| Some(count).filter(|count| *count > 0);
        counts.member("promptTokenCount", &usage.input_tokens);
        counts.optional("candidatesTokenCount", some(answer));
        counts.member(
            "totalTokenCount",
            &usage.input_tokens.saturating_add(usage.output_tokens),
        );
        counts.optional("cachedContentTokenCount", some(usage.cached_input_tokens));
        counts.optional("thoughtsTokenCount", some(usage.reasoning_tokens));
        let input = (usage.input_tokens, usage.audio_input_tokens);
        write_kinds("promptTokensDetails", input, &mut counts);
        write_kinds(
            "candidatesTokensDetails",
            (answer, usage.audio_output_tokens),
            &mut counts,
        );
        counts.end();
    }
    object.member("modelVersion", model);
    object.member("responseId", id);
}

/// Tokens by their kind, which matters where some of them are sound.
fn write_kinds(name: &str, (all, audio): (u64, u64), counts: &mut ObjectWriter<'_>) {
    if audio == 0 {
        return;
    }
    let kinds = [("TEXT", all.saturating_sub(audio)), ("AUDIO", audio)];
    write_array(kinds, counts.begin(name), |(modality, tokens), out| {
        let mut object = ObjectWriter::new(out);
        object.member("modality", modality).member("tokenCount", &tokens);
        object.end();
    });
}

fn own<'a>(raw: &'a [Raw], name: &str) -> Option<&'a Raw> {
    raw.iter().find(|raw| is_own(raw) && raw.name == name)
}

fn is_own(raw: &Raw) -> bool {
    raw.origin == Dialect::GeminiGenerate
}
