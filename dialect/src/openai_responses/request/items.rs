//! Turns, written as the flat list of items that `input` is: one for each thing that was said.

use std::borrow::Cow;

use super::write::mentions_json;
use crate::Dialect;
use crate::json::{ObjectWriter, write, write_array};
use crate::neutral::names::{CALL_ID, OPENAI_TOOL, fit};
use crate::neutral::undo::free_text;
use crate::neutral::{
    Arguments, CacheMark, CacheMarks, Losses, Media, MediaKind, MediaSource, OutputFormat, Part, Profile,
    Raw, Reasoning, ReasoningField, Request, Role, ToolCall, ToolResult, Turn, Undo, check, data_url,
};
use crate::openai_responses::words;
use crate::refusal::{Code, Refusal};

const ASK_FOR_JSON: &str = "Answer with a JSON object.";

/// Writes `instructions` and `input`.
///
/// # Errors
/// When something cannot be said to this provider, or a call and its result do not belong together.
pub(super) fn write_input(
    request: &Request,
    profile: &Profile,
    undo: &mut Undo,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    check::tools(&request.turns)?;
    refuse_prefill(request, profile)?;
    let mut turns = request.turns.as_slice();
    if let Some((first, rest)) = turns.split_first()
        && let Some(instructions) = plain_instructions(first)
        && !rest.is_empty()
        && !is_needed_in_input(request, first, rest)
    {
        object.member("instructions", instructions);
        turns = rest;
    }
    let mut items = Items {
        profile,
        undo,
        losses,
        out: object.begin("input"),
        is_empty: true,
    };
    items.out.push(b'[');
    for turn in turns {
        items.turn(turn)?;
    }
    if matches!(request.output, OutputFormat::JsonObject) && !mentions_json(turns) {
        items.message(&Role::System, &[&Part::text(ASK_FOR_JSON)], None)?;
    }
    items.out.push(b']');
    Ok(())
}

/// Whether the word JSON is in these instructions alone, of all that is said: beside the input it would not count.
fn is_needed_in_input(request: &Request, first: &Turn, rest: &[Turn]) -> bool {
    let wants_json = matches!(request.output, OutputFormat::JsonObject);
    wants_json && mentions_json(std::slice::from_ref(first)) && !mentions_json(rest)
}

/// The text of a turn that holds one of the application's instructions and nothing else.
fn plain_instructions(turn: &Turn) -> Option<&str> {
    match (&turn.role, turn.parts.as_slice()) {
        (Role::System, [Part::Text(text)]) if turn.name.is_none() && text.cache.is_none() => Some(&text.text),
        _ => None,
    }
}

/// Refuses a conversation that ends with the model's own words, of a client who wants them gone on with: they would be
/// answered.
fn refuse_prefill(request: &Request, profile: &Profile) -> Result<(), Refusal> {
    if request.ends_with_answer() && !request.answers_anew && !profile.prefill {
        let message =
            "the conversation ends with the assistant's own words, which this provider cannot go on with";
        return Err(Refusal::new(Code::CannotTranslate, message).param("messages"));
    }
    Ok(())
}

/// The list that is being written.
struct Items<'a, 'o> {
    profile: &'a Profile,
    undo: &'a mut Undo,
    losses: &'a mut Losses,
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl Items<'_, '_> {
    fn turn(&mut self, turn: &Turn) -> Result<(), Refusal> {
        if turn.name.is_some() {
            self.losses.drop("messages.name")?;
        }
        if turn.role == Role::Assistant {
            return self.said(turn);
        }
        let mut together = Vec::new();
        for part in &turn.parts {
            match part {
                Part::ToolResult(result) => {
                    self.flush(&turn.role, &mut together)?;
                    self.result(result)?;
                }
                Part::Raw(raw) if !is_content(raw) => {
                    self.flush(&turn.role, &mut together)?;
                    self.raw(raw);
                }
                _ => together.push(part),
            }
        }
        self.flush(&turn.role, &mut together)
    }

    fn flush(&mut self, role: &Role, together: &mut Vec<&Part>) -> Result<(), Refusal> {
        if together.is_empty() {
            return Ok(());
        }
        let parts = std::mem::take(together);
        self.message(role, &parts, None)
    }

    /// One item for each thing that the model said, in its order.
    fn said(&mut self, turn: &Turn) -> Result<(), Refusal> {
        let mut phases = turn.raw.iter().filter(|raw| raw.name == "phase");
        let mut rest = turn.parts.as_slice();
        while let Some((part, after)) = rest.split_first() {
            rest = after;
            match part {
                Part::Text(_) | Part::Refusal(_) => self.message(&turn.role, &[part], phases.next())?,
                Part::Reasoning(reasoning) => self.reasoning(reasoning, after)?,
                Part::ToolCall(call) => self.call(call),
                Part::Raw(raw) => self.raw(raw),
                Part::Media(_) => return Err(Losses::refuse("messages.content")),
                Part::ToolResult(result) => self.result(result)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> ObjectWriter<'_> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        ObjectWriter::new(self.out)
    }

    fn raw(&mut self, raw: &Raw) {
        if raw.origin == Dialect::OpenaiResponses {
            if !std::mem::take(&mut self.is_empty) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(raw.json.get().as_bytes());
        }
    }

    /// A message. Of the model's own it has no id: by that name nothing is stored (pitfall P67). What a message of the
    /// model's without an id may hold is a plain text.
    fn message(&mut self, role: &Role, parts: &[&Part], phase: Option<&Raw>) -> Result<(), Refusal> {
        let content = self.content(parts)?;
        let mut item = self.begin();
        item.member("type", "message").member("role", words::role(role));
        item.begin("content").extend_from_slice(&content);
        if let Some(phase) = phase.filter(|phase| phase.json.get() != "null") {
            item.json("phase", phase.json.get());
        }
        item.end();
        Ok(())
    }

    /// A text alone as such, several parts as a list.
    fn content(&mut self, parts: &[&Part]) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        match parts {
            [Part::Text(text)] if !self.marks(text.cache.as_ref()) => write(&text.text, &mut out),
            [Part::Refusal(text)] => write(text, &mut out),
            _ => {
                out.push(b'[');
                for part in parts {
                    if out.len() > 1 {
                        out.push(b',');
                    }
                    self.part(part, &mut out)?;
                }
                out.push(b']');
            }
        }
        Ok(out)
    }

    fn part(&mut self, part: &Part, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match part {
            Part::Text(text) => {
                let is_marked = self.marks(text.cache.as_ref());
                input_text(&text.text, is_marked, out);
            }
            Part::Refusal(text) => input_text(text, false, out),
            Part::Media(media) => {
                let is_marked = self.marks(media.cache.as_ref());
                write_media(media, self.profile, is_marked, out)?;
            }
            Part::Raw(raw) if raw.origin == Dialect::OpenaiResponses => {
                out.extend_from_slice(raw.json.get().as_bytes());
            }
            Part::Raw(_) | Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
                return Err(Losses::refuse("messages.content"));
            }
        }
        Ok(())
    }

    /// Whether a mark for the prompt cache is written. Prompts are cached without being asked; up to where is not known
    /// to every model.
    fn marks(&mut self, mark: Option<&CacheMark>) -> bool {
        if mark.is_some() && self.profile.cache_marks != CacheMarks::Breakpoint {
            self.losses.mention("cache_control");
            return false;
        }
        mark.is_some()
    }

    /// Reasoning goes to the vendor who sealed it, without the id by which it is not stored, and never as the last
    /// thing of a turn: alone it is refused (pitfalls P9, P67).
    fn reasoning(&mut self, reasoning: &Reasoning, after: &[Part]) -> Result<(), Refusal> {
        let seal = reasoning.seal.as_ref();
        let own = seal.filter(|seal| seal.origin == Dialect::OpenaiResponses);
        let is_plain = self.profile.reasoning != ReasoningField::None && !reasoning.texts.is_empty();
        if own.is_none() && !is_plain {
            return self.losses.drop("reasoning");
        }
        let is_followed = after.iter().any(|part| !matches!(part, Part::Reasoning(_)));
        if !is_followed {
            return Ok(());
        }
        let is_summary = reasoning.is_summary && own.is_some();
        let texts = reasoning.texts.as_slice();
        let (summary, content) = if is_summary {
            (texts, &[][..])
        } else {
            (&[][..], texts)
        };
        let mut item = self.begin();
        item.member("type", "reasoning");
        write_texts(summary, "summary_text", item.begin("summary"));
        if !content.is_empty() {
            write_texts(content, "reasoning_text", item.begin("content"));
        }
        item.optional("encrypted_content", own.map(|seal| seal.data.as_str()));
        item.end();
        Ok(())
    }

    fn call(&mut self, call: &ToolCall) {
        let name = self.undo.names.fit(&call.name, &OPENAI_TOOL).into_owned();
        let as_function = !self.profile.free_text_tools;
        let (kind, member, arguments) = match &call.arguments {
            Arguments::Json(json) if json.is_empty() => ("function_call", "arguments", Cow::Borrowed("{}")),
            Arguments::Json(json) => ("function_call", "arguments", Cow::Borrowed(json.as_str())),
            Arguments::Text(text) if as_function => {
                ("function_call", "arguments", free_text::arguments(text).into())
            }
            Arguments::Text(text) => ("custom_tool_call", "input", Cow::Borrowed(text.as_str())),
        };
        let mut item = self.begin();
        item.member("type", kind)
            .member("call_id", &fit(&call.id, &CALL_ID))
            .member("name", &name)
            .member(member, &arguments);
        for raw in call
            .raw
            .iter()
            .filter(|raw| raw.origin == Dialect::OpenaiResponses)
        {
            item.json(&raw.name, raw.json.get());
        }
        item.end();
    }

    fn result(&mut self, result: &ToolResult) -> Result<(), Refusal> {
        if result.is_error {
            self.losses.drop("messages.content.is_error")?;
        }
        // A mark stands on a part; a result as a whole has no place for one.
        if result.cache.is_some() {
            self.losses.mention("cache_control");
        }
        let parts: Vec<&Part> = result.parts.iter().collect();
        let output = if parts.is_empty() {
            b"\"\"".to_vec()
        } else {
            self.content(&parts)?
        };
        let kind = if result.is_free_text && self.profile.free_text_tools {
            "custom_tool_call_output"
        } else {
            "function_call_output"
        };
        let mut item = self.begin();
        item.member("type", kind)
            .member("call_id", &fit(&result.call_id, &CALL_ID));
        item.begin("output").extend_from_slice(&output);
        for raw in result
            .raw
            .iter()
            .filter(|raw| raw.origin == Dialect::OpenaiResponses)
        {
            item.json(&raw.name, raw.json.get());
        }
        item.end();
        Ok(())
    }
}

/// Whether a carried piece is a part of a message, and not an item of its own.
fn is_content(raw: &Raw) -> bool {
    #[derive(serde::Deserialize)]
    struct Typed {
        r#type: String,
    }
    let typed = serde_json::from_str::<Typed>(raw.json.get());
    typed.is_ok_and(|part| part.r#type.starts_with("input_") || part.r#type.starts_with("output_"))
}

fn input_text(text: &str, is_marked: bool, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("type", "input_text").member("text", text);
    write_mark(is_marked, &mut object);
    object.end();
}

fn write_mark(is_marked: bool, object: &mut ObjectWriter<'_>) {
    if is_marked {
        object.json("prompt_cache_breakpoint", r#"{"mode":"explicit"}"#);
    }
}

fn write_texts(texts: &[String], kind: &str, out: &mut Vec<u8>) {
    write_array(texts, out, |text, out| {
        let mut object = ObjectWriter::new(out);
        object.member("type", kind).member("text", text);
        object.end();
    });
}

fn write_media(media: &Media, profile: &Profile, is_marked: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match media.kind {
        MediaKind::Image => write_image(media, profile, is_marked, out),
        MediaKind::Document => write_document(media, is_marked, out),
        MediaKind::Audio => Err(Losses::refuse("input_audio")),
        MediaKind::Video => Err(Losses::refuse("video")),
    }
}

fn write_image(media: &Media, profile: &Profile, is_marked: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let (member, value) = match &media.source {
        MediaSource::Base64(data) => {
            let told = data_url::type_of(media, data);
            ("image_url", data_url::write(told.unwrap_or("image/png"), data))
        }
        MediaSource::Url(url) if profile.image_urls => ("image_url", url.clone()),
        MediaSource::File { origin, id } if is_openais(*origin) => ("file_id", id.clone()),
        MediaSource::Url(_) => return Err(Losses::refuse("image_url")),
        MediaSource::File { .. } | MediaSource::Text(_) => {
            return Err(Losses::refuse("messages.content.source"));
        }
    };
    let mut object = ObjectWriter::new(out);
    object
        .member("type", "input_image")
        .member(member, &value)
        .member("detail", media.detail.as_deref().unwrap_or("auto"));
    write_mark(is_marked, &mut object);
    object.end();
    Ok(())
}

fn write_document(media: &Media, is_marked: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let (member, value) = match &media.source {
        MediaSource::Text(text) => {
            input_text(text, is_marked, out);
            return Ok(());
        }
        MediaSource::Base64(data) => {
            let told = data_url::type_of(media, data);
            (
                "file_data",
                data_url::write(told.unwrap_or("application/pdf"), data),
            )
        }
        MediaSource::Url(url) => ("file_url", url.clone()),
        MediaSource::File { origin, id } if is_openais(*origin) => ("file_id", id.clone()),
        MediaSource::File { .. } => return Err(Losses::refuse("messages.content.source")),
    };
    let mut object = ObjectWriter::new(out);
    object.member("type", "input_file").member(member, &value);
    if member == "file_data" {
        object.member(
            "filename",
            media.name.as_deref().unwrap_or_else(|| file_name(media)),
        );
    }
    write_mark(is_marked, &mut object);
    object.end();
    Ok(())
}

/// Whether a file is stored with the vendor of this dialect, which has another one beside it.
fn is_openais(origin: Dialect) -> bool {
    matches!(origin, Dialect::OpenaiResponses | Dialect::OpenaiChat)
}

/// What a document without a name is called, since one has to have a name; it tells the type, which vendors go by.
fn file_name(media: &Media) -> &'static str {
    match media.media_type.as_deref().unwrap_or_default() {
        "text/plain" => "document.txt",
        "text/csv" => "document.csv",
        "text/markdown" => "document.md",
        "text/html" => "document.html",
        "application/json" => "document.json",
        _ => "document.pdf",
    }
}
