//! Writing the blocks of a request.

use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::names::{self, Rule};
use crate::neutral::{
    CacheMark, Citation, Losses, Media, MediaKind, MediaSource, Names, Part, Profile, Reasoning, Text,
    ToolCall, ToolResult, data_url,
};
use crate::refusal::Refusal;

use super::super::block::{
    input, joined, write_cache, write_call, write_raws, write_redacted, write_text, write_thinking,
};
use super::messages::Piece;

const OWN: Dialect = Dialect::AnthropicMessages;

/// Ids of calls may have any length here.
pub(crate) const CALL_ID: Rule = Rule {
    bytes_max: 1 << 20,
    ..names::CALL_ID
};

/// What the blocks of one request have in common.
pub(super) struct Blocks<'w> {
    pub(super) profile: &'w Profile,
    pub(super) names: &'w mut Names,
    pub(super) marks: Marks,
    pub(super) losses: &'w mut Losses,
}

/// The marks for the prompt cache in the messages. At most four are taken in a request, and the later reach further.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    skipped: usize,
}

impl Marks {
    /// The most that a request may have.
    pub(super) const MAX: usize = 4;

    /// `fixed` of them stand before the messages, and `found` in these.
    pub(super) fn new(fixed: usize, found: usize) -> Self {
        Self {
            skipped: found.saturating_sub(Self::MAX.saturating_sub(fixed)),
        }
    }

    fn take<'m>(&mut self, mark: Option<&'m CacheMark>) -> Option<&'m CacheMark> {
        let mark = mark?;
        if self.skipped == 0 {
            return Some(mark);
        }
        self.skipped -= 1;
        None
    }
}

/// How many marks a part has.
pub(super) fn marks_of(part: &Part) -> usize {
    match part {
        Part::Text(Text { cache, .. })
        | Part::Media(Media { cache, .. })
        | Part::ToolCall(ToolCall { cache, .. }) => usize::from(cache.is_some()),
        Part::ToolResult(result) => {
            usize::from(result.cache.is_some()) + result.parts.iter().map(marks_of).sum::<usize>()
        }
        Part::Refusal(_) | Part::Reasoning(_) | Part::Raw(_) => 0,
    }
}

impl Blocks<'_> {
    /// Appends a block. With `is_end` it is the last of an answer that is to be continued, which may not end in white
    /// space.
    pub(super) fn write(&mut self, piece: Piece<'_>, is_end: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match piece {
            Piece::Part(Part::Text(text)) if is_end => self.text(text, text.text.trim_end(), out),
            Piece::Part(part) => self.part(part, out)?,
            Piece::Reminder(text) => {
                let marked = format!("<system-reminder>\n{}\n</system-reminder>", text.text);
                self.text(text, &marked, out);
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match part {
            Part::Text(text) => self.text(text, &text.text, out),
            Part::Refusal(text) => write_text(text, &[], None, out),
            Part::Reasoning(reasoning) => write_own_reasoning(reasoning, out),
            Part::Media(media) => self.media(media, out)?,
            Part::ToolCall(call) => {
                let id = names::fit(&call.id, &CALL_ID);
                let name = self.names.fit(&call.name, &names::ANTHROPIC_TOOL);
                let cache = self.marks.take(call.cache.as_ref());
                write_call(&id, &name, &input(&call.arguments), cache, &call.raw, out);
            }
            Part::ToolResult(result) => self.result(result, out)?,
            Part::Raw(raw) => out.extend_from_slice(raw.json.get().as_bytes()),
        }
        Ok(())
    }

    fn text(&mut self, text: &Text, shown: &str, out: &mut Vec<u8>) {
        let cache = self.marks.take(text.cache.as_ref());
        write_text(shown, own_citations(text), cache, out);
    }

    fn result(&mut self, result: &ToolResult, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut block = ObjectWriter::new(out);
        block
            .member("type", "tool_result")
            .member("tool_use_id", &*names::fit(&result.call_id, &CALL_ID));
        match result.parts.as_slice() {
            [] => {}
            [Part::Text(text)] if text.cache.is_none() => {
                block.member("content", &text.text);
            }
            parts => self.parts(parts, block.begin("content"))?,
        }
        if result.is_error {
            block.member("is_error", &true);
        }
        write_raws(&mut block, &result.raw);
        write_cache(&mut block, self.marks.take(result.cache.as_ref()));
        block.end();
        Ok(())
    }

    /// The parts of a result.
    fn parts(&mut self, parts: &[Part], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let shown = parts.iter().filter(|part| match part {
            Part::Text(text) => !text.text.trim().is_empty(),
            Part::Raw(raw) => raw.origin == OWN,
            _ => true,
        });
        let mut outcome = Ok(());
        write_array(shown, out, |part, out| {
            if outcome.is_ok() {
                outcome = self.part(part, out);
            }
        });
        outcome
    }

    fn media(&mut self, media: &Media, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let kind = match media.kind {
            MediaKind::Image => "image",
            MediaKind::Document => "document",
            MediaKind::Audio => return Err(Losses::refuse("messages.content.input_audio")),
            MediaKind::Video => return Err(Losses::refuse("messages.content.video")),
        };
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.drop("messages.content.detail")?;
        }
        let mut block = ObjectWriter::new(out);
        block.member("type", kind);
        self.source(media, block.begin("source"))?;
        // A picture's name changes nothing.
        if media.kind == MediaKind::Document {
            block.optional("title", media.name.as_ref());
        }
        write_raws(&mut block, &media.raw);
        write_cache(&mut block, self.marks.take(media.cache.as_ref()));
        block.end();
        Ok(())
    }

    fn source(&self, media: &Media, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut source = ObjectWriter::new(out);
        match &media.source {
            MediaSource::Base64(data) => write_data(media, data, &mut source)?,
            MediaSource::Text(text) => {
                source
                    .member("type", "text")
                    .member("media_type", "text/plain")
                    .member("data", text);
            }
            MediaSource::Url(url) if self.profile.image_urls => {
                source.member("type", "url").member("url", url);
            }
            MediaSource::Url(_) => return Err(Losses::refuse("messages.content.url")),
            MediaSource::File { origin, id } if *origin == OWN => {
                source.member("type", "file").member("file_id", id);
            }
            MediaSource::File { .. } => return Err(Losses::refuse("messages.content.file_id")),
        }
        source.end();
        Ok(())
    }
}

/// Images of four kinds, and documents that are PDF or text, of which the bytes decide and not what was said of them.
fn write_data(media: &Media, data: &str, source: &mut ObjectWriter<'_>) -> Result<(), Refusal> {
    const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    let told = media.media_type.as_deref();
    let media_type = data_url::media_type(data).or(told).unwrap_or_default();
    match media.kind {
        MediaKind::Image if IMAGES.contains(&media_type) => {
            source
                .member("type", "base64")
                .member("media_type", media_type)
                .member("data", data);
            Ok(())
        }
        MediaKind::Document if media_type == "application/pdf" => {
            source
                .member("type", "base64")
                .member("media_type", media_type)
                .member("data", data);
            Ok(())
        }
        MediaKind::Document => {
            let text = decoded(data).ok_or_else(|| Losses::refuse("messages.content.media_type"))?;
            source
                .member("type", "text")
                .member("media_type", "text/plain")
                .member("data", &text);
            Ok(())
        }
        _ => Err(Losses::refuse("messages.content.media_type")),
    }
}

/// What a document holds when it is a text.
fn decoded(base64: &str) -> Option<String> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Only what Anthropic cited itself can be sent back to it.
fn own_citations(text: &Text) -> &[Citation] {
    let is_own = |citation: &Citation| matches!(citation, Citation::Raw(raw) if raw.origin == OWN);
    if text.citations.iter().any(is_own) {
        &text.citations
    } else {
        &[]
    }
}

/// A thought of Anthropic's own; others have been left out.
fn write_own_reasoning(reasoning: &Reasoning, out: &mut Vec<u8>) {
    let seal = reasoning.seal.as_ref().map(|seal| seal.data.as_str());
    let seal = seal.unwrap_or_default();
    if reasoning.redacted {
        write_redacted(seal, out);
    } else {
        write_thinking(&joined(&reasoning.texts), seal, out);
    }
}
