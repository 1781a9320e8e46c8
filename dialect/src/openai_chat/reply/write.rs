//! Writing an answer for a client.

use super::super::figures::{write_annotation, write_logprobs, write_usage};
use super::super::request::{arguments_text, write_google};
use super::super::thoughts::{write_details, write_items};
use super::super::words::{write_finish, write_tier};
use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::carry::{self, CarriedSeal};
use crate::neutral::{
    Arguments, ChoiceRef, Finish, Heading, Media, MediaSource, Part, Raw, Reasoning, Reply, Seal, ToolCall,
    data_url,
};

const OWN: Dialect = Dialect::OpenaiChat;

/// Writes an answer: what OpenAI's clients look for is there even when it is nothing.
pub fn write_reply(reply: &Reply, heading: &Heading<'_>) -> Vec<u8> {
    let model = if reply.model.is_empty() {
        heading.model
    } else {
        &reply.model
    };
    let mut body = Vec::with_capacity(1_024);
    let mut object = ObjectWriter::new(&mut body);
    object
        .member("id", heading.id)
        .member("object", "chat.completion");
    object.member("created", &reply.created_s.unwrap_or(heading.created_s));
    object.member("model", model);
    write_array((0..).zip(reply.choices()), object.begin("choices"), write_choice);
    if let Some(usage) = &reply.usage {
        write_usage(usage, object.begin("usage"));
    }
    object.optional("service_tier", reply.service_tier.as_ref().and_then(write_tier));
    write_own(&reply.raw, "", &mut object);
    object.end();
    body
}

fn write_choice((number, choice): (u32, ChoiceRef<'_>), out: &mut Vec<u8>) {
    let shown = Shown::of(choice);
    let (reason, native) = write_finish(choice.finish, !shown.refusal.is_empty());
    let has_native = has_own(choice.raw, "choices.native_finish_reason");
    let mut object = ObjectWriter::new(out);
    object.member("index", &number);
    let mut message = object.object("message");
    shown.write(&mut message);
    write_own(choice.raw, "choices.message.", &mut message);
    message.end();
    match choice.logprobs {
        Some(raw) => write_logprobs(raw, object.begin("logprobs")),
        None => object.begin("logprobs").extend_from_slice(b"null"),
    }
    object.member("finish_reason", reason);
    object.optional("native_finish_reason", native.filter(|_| !has_native));
    write_own(choice.raw, "choices.", &mut object);
    object.end();
}

fn has_own(raws: &[Raw], name: &str) -> bool {
    raws.iter().any(|raw| raw.origin == OWN && raw.name == name)
}

/// Puts back own members of the level that this prefix names.
fn write_own(raws: &[Raw], prefix: &str, object: &mut ObjectWriter<'_>) {
    for raw in raws.iter().filter(|raw| raw.origin == OWN) {
        if let Some(name) = raw.name.strip_prefix(prefix)
            && !name.starts_with("choices.")
            && !name.starts_with("message.")
        {
            object.json(name, raw.json.get());
        }
    }
}

/// An answer, sorted as a message has it.
#[derive(Default)]
struct Shown<'a> {
    text: Option<String>,
    refusal: String,
    thoughts: Vec<&'a Reasoning>,
    calls: Vec<&'a ToolCall>,
    images: Vec<&'a Media>,
    /// Gemini's signature of a text.
    signature: Option<&'a str>,
    /// Written one by one.
    annotations: Vec<Vec<u8>>,
}

impl<'a> Shown<'a> {
    fn of(choice: ChoiceRef<'a>) -> Self {
        let mut shown = Self::default();
        for part in choice.parts {
            match part {
                Part::Text(text) => {
                    let before = shown.text.get_or_insert_default();
                    let moved = if text.citations.is_empty() {
                        0
                    } else {
                        before.chars().count()
                    };
                    before.push_str(&text.text);
                    let google = |seal: &&Seal| seal.origin == Dialect::GeminiGenerate;
                    let seal = text.seal.as_ref().filter(google);
                    shown.signature = seal.map(|seal| seal.data.as_str()).or(shown.signature);
                    for citation in &text.citations {
                        let mut out = Vec::new();
                        if write_annotation(citation, moved, &mut out) {
                            shown.annotations.push(out);
                        }
                    }
                }
                Part::Refusal(text) => shown.refusal.push_str(text),
                Part::Reasoning(reasoning) => shown.thoughts.push(reasoning),
                Part::ToolCall(call) => shown.calls.push(call),
                Part::Media(media) => shown.images.push(media),
                Part::ToolResult(_) | Part::Raw(_) => {}
            }
        }
        if let Finish::Refused(Some(explanation)) = choice.finish
            && shown.refusal.is_empty()
        {
            shown.refusal.clone_from(explanation);
        }
        shown
    }

    fn write(&self, message: &mut ObjectWriter<'_>) {
        message.member("role", "assistant");
        let is_answer = self.calls.is_empty() && self.refusal.is_empty();
        message.member("content", &self.text.as_deref().or(is_answer.then_some("")));
        message.member("refusal", &(!self.refusal.is_empty()).then_some(&self.refusal));
        self.write_thoughts(message);
        if !self.calls.is_empty() {
            let mut carried = carried(&self.thoughts);
            write_array(&self.calls, message.begin("tool_calls"), |call, out| {
                write_call(call, std::mem::take(&mut carried), out);
            });
        }
        if !self.annotations.is_empty() {
            write_items(&self.annotations, message.begin("annotations"));
        }
        // Beside calls it would be taken for that of a call.
        if let Some(signature) = self.signature.filter(|_| self.calls.is_empty()) {
            write_google(signature, message);
        }
        if !self.images.is_empty() {
            write_array(&self.images, message.begin("images"), |image, out| {
                write_image(image, out);
            });
        }
    }

    fn write_thoughts(&self, message: &mut ObjectWriter<'_>) {
        let texts = self.thoughts.iter().flat_map(|thought| &thought.texts);
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        if !texts.is_empty() {
            message.member("reasoning_content", &texts.join("\n\n"));
        }
        if self.thoughts.iter().all(|thought| thought.seal.is_none()) {
            return;
        }
        let mut items = Vec::new();
        for (index, thought) in (0..).zip(&self.thoughts) {
            write_details(thought, index, true, &mut items);
        }
        write_items(&items, message.begin("reasoning_details"));
    }
}

/// The seals of thoughts, as the id of the call after them carries them.
fn carried(thoughts: &[&Reasoning]) -> Vec<CarriedSeal> {
    let seals = thoughts.iter().filter_map(|thought| {
        Some(CarriedSeal {
            seal: thought.seal.clone().filter(|seal| seal.origin != OWN)?,
            is_reasoning: true,
            redacted: thought.redacted,
        })
    });
    seals.collect()
}

fn write_call(call: &ToolCall, mut carried: Vec<CarriedSeal>, out: &mut Vec<u8>) {
    let seal = call.seal.as_ref().filter(|seal| seal.origin != OWN);
    carried.extend(seal.map(|seal| CarriedSeal {
        seal: seal.clone(),
        is_reasoning: false,
        redacted: false,
    }));
    let mut object = ObjectWriter::new(out);
    object.member("id", &carry::tool_call_id(&call.id, &carried));
    match &call.arguments {
        Arguments::Text(input) => {
            object.member("type", "custom");
            let mut custom = object.object("custom");
            custom.member("name", &call.name).member("input", input);
            custom.end();
        }
        Arguments::Json(_) => {
            object.member("type", "function");
            let mut function = object.object("function");
            function.member("name", &call.name);
            function.member("arguments", &arguments_text(&call.arguments));
            function.end();
        }
    }
    if let Some(seal) = seal.filter(|seal| seal.origin == Dialect::GeminiGenerate) {
        write_google(&seal.data, &mut object);
    }
    for raw in call.raw.iter().filter(|raw| raw.origin == OWN) {
        object.json(&raw.name, raw.json.get());
    }
    object.end();
}

/// An image that the model made, where OpenRouter has them.
fn write_image(media: &Media, out: &mut Vec<u8>) {
    let url = match &media.source {
        MediaSource::Base64(data) => {
            data_url::write(media.media_type.as_deref().unwrap_or("image/png"), data)
        }
        MediaSource::Url(url) | MediaSource::Text(url) => url.clone(),
        MediaSource::File { id, .. } => id.clone(),
    };
    let mut object = ObjectWriter::new(out);
    object.member("type", "image_url");
    let mut inner = object.object("image_url");
    inner.member("url", &url);
    inner.end();
    object.end();
}
