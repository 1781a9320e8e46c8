//! Writing the conversation: turns of parts become messages, which are flatter.
//!
//! A result of a tool is a message of its own and holds text alone, so media in it move into a user message behind the
//! results, and each place says where they went. Thoughts go into the member in which the provider has them, or nowhere;
//! seals go to none but whoever made them.

use super::super::thoughts::{write_details, write_items};
use super::super::words::write_role;
use super::tools::write_mark;
use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::names::{self, OPENAI_TOOL, Rule};
use crate::neutral::{
    Arguments, CallIds, Losses, Media, MediaKind, MediaSource, Part, Profile, Raw, Reasoning, ReasoningField,
    Request, Role, Text, ToolCall, ToolResult, Turn, Undo, data_url,
};
use crate::refusal::Refusal;

const OWN: Dialect = Dialect::OpenaiChat;
/// OpenAI counts the letters of an id.
const CALL_ID: Rule = Rule {
    bytes_max: 40,
    ..names::CALL_ID
};

/// Messages on their way into a request.
pub(super) struct Messages<'a> {
    pub(super) profile: &'a Profile,
    pub(super) undo: &'a mut Undo,
    pub(super) losses: &'a mut Losses,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) is_empty: bool,
}

/// A medium out of a result of a tool.
struct Moved<'a> {
    media: &'a Media,
    /// Of which tool.
    tool: String,
}

/// What has to wait until every call has its result: between the two no vendor takes anything.
#[derive(Default)]
struct Waiting<'a> {
    /// So many calls have no result yet.
    open: usize,
    /// Turns, but for the results in them, and whether each is an instruction in the middle.
    turns: Vec<(&'a Turn, bool)>,
    moved: Vec<Moved<'a>>,
}

impl Messages<'_> {
    pub(super) fn write(&mut self, request: &Request) -> Result<(), Refusal> {
        let mut is_leading = true;
        let mut waiting = Waiting::default();
        for (at, turn) in request.turns.iter().enumerate() {
            is_leading &= turn.role == Role::System;
            if turn.role == Role::Assistant {
                self.end_of_results(&mut waiting)?;
                self.assistant(turn)?;
                waiting.open += turn.parts.iter().filter_map(call_of).count();
                continue;
            }
            let before = request.turns.get(..at).unwrap_or_default();
            for part in &turn.parts {
                if let Part::ToolResult(result) = part {
                    self.result(result, before, &mut waiting.moved)?;
                    waiting.open = waiting.open.saturating_sub(1);
                }
            }
            let is_reminder = turn.role == Role::System && !is_leading && !self.profile.system_anywhere;
            waiting.turns.push((turn, is_reminder));
            if waiting.open == 0 {
                self.end_of_results(&mut waiting)?;
            }
        }
        self.end_of_results(&mut waiting)
    }

    /// Writes what had to wait; media out of results stand before what the user says next.
    fn end_of_results(&mut self, waiting: &mut Waiting<'_>) -> Result<(), Refusal> {
        let mut moved = std::mem::take(&mut waiting.moved);
        for (turn, is_reminder) in std::mem::take(&mut waiting.turns) {
            if is_reminder {
                self.reminder(turn)?;
            } else if turn.role == Role::User {
                self.others(turn, &std::mem::take(&mut moved))?;
            } else {
                self.others(turn, &[])?;
            }
        }
        Ok(())
    }

    /// An instruction in the middle, for a model that takes none there.
    fn reminder(&mut self, turn: &Turn) -> Result<(), Refusal> {
        let texts = turn.parts.iter().filter_map(text_of);
        let text: Vec<_> = texts.map(|text| text.text.as_str()).collect();
        let text = format!("<system-reminder>\n{}\n</system-reminder>", text.join("\n\n"));
        self.others(&Turn::new(Role::User, vec![Part::text(text)]), &[])
    }

    /// A turn that is not the model's, without the results in it.
    fn others(&mut self, turn: &Turn, moved: &[Moved<'_>]) -> Result<(), Refusal> {
        let kept: Vec<&Part> = turn
            .parts
            .iter()
            .filter(|part| !matches!(part, Part::ToolResult(_)) && !is_foreign(part))
            .collect();
        if kept.is_empty() && moved.is_empty() && !turn.parts.is_empty() {
            return Ok(());
        }
        let plain = match kept.as_slice() {
            [Part::Text(text)] if moved.is_empty() && text.cache.is_none() => Some(text.text.as_str()),
            [] if moved.is_empty() => Some(""),
            _ => None,
        };
        let mut content = Vec::new();
        if plain.is_none() {
            self.content(&kept, moved, &mut content)?;
        }
        let mut message = self.begin();
        message.member("role", write_role(&turn.role));
        match plain {
            Some(text) => {
                message.member("content", text);
            }
            None => message.begin("content").extend_from_slice(&content),
        }
        message.optional("name", turn.name.as_deref());
        write_own(&turn.raw, &mut message);
        message.end();
        Ok(())
    }

    fn content(&mut self, kept: &[&Part], moved: &[Moved<'_>], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut items = Vec::with_capacity(kept.len() + 2 * moved.len());
        for (number, moved) in moved.iter().enumerate() {
            let text = format!("[Attachment {} of the result of `{}`:]", number + 1, moved.tool);
            items.push(self.part(&Part::text(text))?);
            items.push(self.media(moved.media)?);
        }
        for part in kept {
            items.push(self.part(part)?);
        }
        write_array(items.iter().filter(|item| !item.is_empty()), out, |item, out| {
            out.extend_from_slice(item);
        });
        Ok(())
    }

    /// A part of content; empty for one that has no place in it.
    fn part(&mut self, part: &Part) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        match part {
            Part::Text(Text { text, cache, .. }) => {
                let mut object = ObjectWriter::new(&mut out);
                object.member("type", "text").member("text", text);
                write_mark(cache.as_ref(), self.profile.cache_marks, &mut object);
                object.end();
            }
            Part::Refusal(text) => return self.part(&Part::text(text.as_str())),
            Part::Media(media) => return self.media(media),
            Part::Raw(raw) if raw.origin == OWN => out.extend_from_slice(raw.json.get().as_bytes()),
            Part::Raw(_) | Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
        Ok(out)
    }

    fn media(&mut self, media: &Media) -> Result<Vec<u8>, Refusal> {
        if let MediaSource::Text(text) = &media.source {
            return self.part(&Part::Text(Text {
                cache: media.cache.clone(),
                ..Text::new(text.as_str())
            }));
        }
        let mut out = Vec::new();
        let mut object = ObjectWriter::new(&mut out);
        match media.kind {
            MediaKind::Image => self.image(media, &mut object)?,
            MediaKind::Document => document(media, &mut object)?,
            MediaKind::Audio => audio(media, &mut object)?,
            MediaKind::Video => return Err(Losses::refuse("video")),
        }
        write_mark(media.cache.as_ref(), self.profile.cache_marks, &mut object);
        object.end();
        Ok(out)
    }

    fn image(&mut self, media: &Media, object: &mut ObjectWriter<'_>) -> Result<(), Refusal> {
        let url = match &media.source {
            MediaSource::Base64(data) => data_url::write(type_of(media, data, "image/png"), data),
            MediaSource::Url(url) if self.profile.image_urls => url.clone(),
            MediaSource::Url(_) | MediaSource::File { .. } | MediaSource::Text(_) => {
                return Err(Losses::refuse("image"));
            }
        };
        // Only Responses has a word for an image as it is.
        let detail = match media.detail.as_deref() {
            Some("original") => {
                self.losses.drop("detail")?;
                Some("high")
            }
            detail => detail,
        };
        object.member("type", "image_url");
        let mut inner = object.object("image_url");
        inner.member("url", &url);
        inner.optional("detail", detail);
        write_own(&media.raw, &mut inner);
        inner.end();
        Ok(())
    }

    /// The message with a result. What is no text in it is moved.
    fn result<'p>(
        &mut self,
        result: &'p ToolResult,
        before: &[Turn],
        moved: &mut Vec<Moved<'p>>,
    ) -> Result<(), Refusal> {
        let mut texts: Vec<String> = Vec::new();
        for part in &result.parts {
            match part {
                Part::Media(media) if !matches!(media.source, MediaSource::Text(_)) => {
                    let tool = self.tool_of(result, before);
                    moved.push(Moved { media, tool });
                    texts.push(format!(
                        "[Attachment {} follows in the next message.]",
                        moved.len()
                    ));
                }
                Part::Media(Media {
                    source: MediaSource::Text(text),
                    ..
                })
                | Part::Text(Text { text, .. })
                | Part::Refusal(text) => texts.push(text.clone()),
                _ => {}
            }
        }
        let mut text = texts.join("\n");
        // There is no member that says it, and a model that is not told takes the result for a good one.
        if result.is_error
            && !text
                .get(..5)
                .is_some_and(|start| start.eq_ignore_ascii_case("error"))
        {
            text.insert_str(0, "Error: ");
        }
        let marks = self.profile.cache_marks;
        let id = call_id(&result.call_id, self.profile.call_ids);
        let mut message = self.begin();
        message.member("role", "tool").member("tool_call_id", &id);
        if result.cache.is_some() && marks != crate::neutral::CacheMarks::None {
            write_array([()], message.begin("content"), |(), out| {
                let mut part = ObjectWriter::new(out);
                part.member("type", "text").member("text", &text);
                write_mark(result.cache.as_ref(), marks, &mut part);
                part.end();
            });
        } else {
            message.member("content", &text);
        }
        write_own(&result.raw, &mut message);
        message.end();
        Ok(())
    }

    /// The name of the tool whose result this is, as the model knows it.
    fn tool_of(&mut self, result: &ToolResult, before: &[Turn]) -> String {
        let calls = before.iter().rev().flat_map(|turn| &turn.parts);
        let call = calls.filter_map(call_of).find(|call| call.id == result.call_id);
        let name = call.map(|call| call.name.as_str()).or(result.name.as_deref());
        let name = name.unwrap_or(&result.call_id);
        self.undo.names.fit(name, &OPENAI_TOOL).into_owned()
    }

    fn assistant(&mut self, turn: &Turn) -> Result<(), Refusal> {
        let calls: Vec<&ToolCall> = turn.parts.iter().filter_map(call_of).collect();
        let content = self.spoken(turn)?;
        let thoughts = self.thoughts(turn)?;
        let mut written_calls = Vec::with_capacity(calls.len());
        for call in &calls {
            written_calls.push(self.call(call)?);
        }
        let extra = self.profile.extra_content;
        let mut message = self.begin();
        message.member("role", "assistant");
        match content {
            Some(content) => message.begin("content").extend_from_slice(&content),
            None if calls.is_empty() && turn.raw.is_empty() => {
                message.member("content", "");
            }
            None => {
                message.json("content", "null");
            }
        }
        let refusal: Vec<&str> = turn.parts.iter().filter_map(refusal_of).collect();
        if !refusal.is_empty() {
            message.member("refusal", &refusal.join("\n"));
        }
        message.optional("name", turn.name.as_deref());
        if let Some((name, json)) = thoughts {
            message.begin(name).extend_from_slice(&json);
        }
        if !written_calls.is_empty() {
            write_items(&written_calls, message.begin("tool_calls"));
        }
        let sealed = turn
            .parts
            .iter()
            .filter_map(text_of)
            .find_map(|text| text.seal.as_ref());
        if let Some(seal) = sealed.filter(|seal| extra && seal.origin == Dialect::GeminiGenerate) {
            write_google(&seal.data, &mut message);
        }
        write_own(&turn.raw, &mut message);
        message.end();
        Ok(())
    }

    /// What was said, as JSON; several texts are one, which is what most vendors take.
    fn spoken(&mut self, turn: &Turn) -> Result<Option<Vec<u8>>, Refusal> {
        let is_said = |part: &&Part| match part {
            Part::Text(_) | Part::Media(_) => true,
            Part::Raw(raw) => raw.origin == OWN,
            _ => false,
        };
        let said: Vec<&Part> = turn.parts.iter().filter(is_said).collect();
        if said.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::new();
        let marks = self.profile.cache_marks != crate::neutral::CacheMarks::None;
        let is_plain = |part: &&Part| matches!(part, Part::Text(text) if !marks || text.cache.is_none());
        if said.iter().all(is_plain) {
            let text: String = said
                .iter()
                .filter_map(|part| Some(text_of(part)?.text.as_str()))
                .collect();
            crate::json::write(&text, &mut out);
        } else {
            self.content(&said, &[], &mut out)?;
        }
        Ok(Some(out))
    }

    /// The member with the thoughts, where the provider has one.
    fn thoughts(&mut self, turn: &Turn) -> Result<Option<(&'static str, Vec<u8>)>, Refusal> {
        let thoughts = turn.parts.iter().filter_map(|part| match part {
            Part::Reasoning(reasoning) => Some(reasoning),
            _ => None,
        });
        let thoughts: Vec<&Reasoning> = thoughts.collect();
        let is_foreign = |seal: &crate::neutral::Seal| seal.origin != OWN;
        if thoughts
            .iter()
            .any(|thought| thought.seal.as_ref().is_some_and(is_foreign))
            || (self.profile.reasoning == ReasoningField::None && !thoughts.is_empty())
        {
            self.losses.drop("reasoning")?;
        }
        let shown: Vec<&str> = thoughts
            .iter()
            .flat_map(|thought| &thought.texts)
            .map(String::as_str)
            .collect();
        let mut json = Vec::new();
        let name = match self.profile.reasoning {
            ReasoningField::None => return Ok(None),
            ReasoningField::ReasoningContent => "reasoning_content",
            ReasoningField::Reasoning => "reasoning",
            ReasoningField::ReasoningDetails => "reasoning_details",
        };
        if self.profile.reasoning == ReasoningField::ReasoningDetails {
            let mut items = Vec::new();
            for (index, thought) in thoughts.iter().enumerate() {
                write_details(thought, index as u64, false, &mut items);
            }
            write_items(&items, &mut json);
            return Ok((!items.is_empty()).then_some((name, json)));
        }
        crate::json::write(&shown.join("\n\n"), &mut json);
        // DeepSeek and Moonshot refuse an answer without it, were it empty.
        let always = self.profile.reasoning == ReasoningField::ReasoningContent;
        Ok((always || !shown.is_empty()).then_some((name, json)))
    }

    fn call(&mut self, call: &ToolCall) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        let name = self.undo.names.fit(&call.name, &OPENAI_TOOL).into_owned();
        let mut object = ObjectWriter::new(&mut out);
        object.member("id", &call_id(&call.id, self.profile.call_ids));
        match &call.arguments {
            Arguments::Text(input) if self.profile.free_text_tools => {
                object.member("type", "custom");
                let mut custom = object.object("custom");
                custom.member("name", &name).member("input", input);
                custom.end();
            }
            arguments => {
                object.member("type", "function");
                let mut function = object.object("function");
                function.member("name", &name);
                function.member("arguments", &arguments_text(arguments));
                function.end();
            }
        }
        match &call.seal {
            Some(seal) if seal.origin == Dialect::GeminiGenerate && self.profile.extra_content => {
                write_google(&seal.data, &mut object);
            }
            Some(_) => self.losses.drop("reasoning")?,
            None => {}
        }
        write_mark(call.cache.as_ref(), self.profile.cache_marks, &mut object);
        write_own(&call.raw, &mut object);
        object.end();
        Ok(out)
    }

    /// Begins a message.
    fn begin(&mut self) -> ObjectWriter<'_> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        ObjectWriter::new(self.out)
    }
}

/// Arguments as the text that they are here. A free text goes as the one member of a function that stands for its tool.
pub(in crate::openai_chat) fn arguments_text(arguments: &Arguments) -> std::borrow::Cow<'_, str> {
    match arguments {
        Arguments::Json(text) if text.trim().is_empty() => "{}".into(),
        Arguments::Json(text) => text.into(),
        Arguments::Text(input) => {
            let mut out = Vec::new();
            let mut object = ObjectWriter::new(&mut out);
            object.member("input", input);
            object.end();
            String::from_utf8(out).unwrap_or_default().into()
        }
    }
}

/// Writes Gemini's signature where its OpenAI endpoint has it.
pub(in crate::openai_chat) fn write_google(signature: &str, object: &mut ObjectWriter<'_>) {
    let mut extra = object.object("extra_content");
    let mut google = extra.object("google");
    google.member("thought_signature", signature);
    google.end();
    extra.end();
}

/// The same id for a call and its result, in a form that the provider takes.
pub(crate) fn call_id(id: &str, rule: CallIds) -> std::borrow::Cow<'_, str> {
    match rule {
        CallIds::Usual => names::fit(id, &CALL_ID),
        CallIds::Nine if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => id.into(),
        CallIds::Nine => format!("c{:08x}", crc32fast::hash(id.as_bytes())).into(),
    }
}

fn document(media: &Media, object: &mut ObjectWriter<'_>) -> Result<(), Refusal> {
    object.member("type", "file");
    let mut file = object.object("file");
    match &media.source {
        MediaSource::Base64(data) => {
            let name = media.name.as_deref().unwrap_or("document.pdf");
            file.member("filename", name);
            file.member(
                "file_data",
                &data_url::write(type_of(media, data, "application/pdf"), data),
            );
        }
        // Both of OpenAI's dialects have one store of files.
        MediaSource::File {
            origin: Dialect::OpenaiChat | Dialect::OpenaiResponses,
            id,
        } => {
            file.member("file_id", id);
            file.optional("filename", media.name.as_deref());
        }
        MediaSource::Url(_) | MediaSource::File { .. } | MediaSource::Text(_) => {
            return Err(Losses::refuse("document"));
        }
    }
    write_own(&media.raw, &mut file);
    file.end();
    Ok(())
}

fn audio(media: &Media, object: &mut ObjectWriter<'_>) -> Result<(), Refusal> {
    let MediaSource::Base64(data) = &media.source else {
        return Err(Losses::refuse("audio"));
    };
    let format = match media.media_type.as_deref() {
        Some("audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave") => "wav",
        Some("audio/mpeg" | "audio/mp3") => "mp3",
        _ => return Err(Losses::refuse("audio")),
    };
    object.member("type", "input_audio");
    let mut inner = object.object("input_audio");
    inner.member("data", data).member("format", format);
    inner.end();
    Ok(())
}

fn type_of<'m>(media: &'m Media, data: &str, usual: &'m str) -> &'m str {
    data_url::type_of(media, data).unwrap_or(usual)
}

/// Members of our own dialect, put back.
fn write_own(raws: &[Raw], object: &mut ObjectWriter<'_>) {
    for raw in raws.iter().filter(|raw| raw.origin == OWN) {
        object.json(&raw.name, raw.json.get());
    }
}

fn is_foreign(part: &Part) -> bool {
    matches!(part, Part::Raw(raw) if raw.origin != OWN)
}

fn text_of(part: &Part) -> Option<&Text> {
    match part {
        Part::Text(text) => Some(text),
        _ => None,
    }
}

fn call_of(part: &Part) -> Option<&ToolCall> {
    match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    }
}

fn refusal_of(part: &Part) -> Option<&str> {
    match part {
        Part::Refusal(text) => Some(text),
        _ => None,
    }
}
