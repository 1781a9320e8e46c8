//! Reading content blocks. A kind that is not among those that dialects have in common (server tools and what they
//! found, compactions, what is yet to come) stays as it is written.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::carry::{read_opaque, split_tool_call_id};
use crate::neutral::{
    Arguments, CacheMark, Citation, Media, MediaKind, MediaSource, Part, Raw, Reasoning, Text, ToolCall,
    ToolResult, data_url,
};

const OWN: Dialect = Dialect::AnthropicMessages;

/// What is read, as far as it makes a difference for a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Reading {
    /// A client's request: what it cites goes back as it came.
    Request,
    /// A provider's answer: a client of another dialect wants to know which pages are cited.
    Reply,
}

#[derive(Deserialize)]
struct CacheControl {
    ttl: Option<String>,
}

/// The parts of a `content`: a text alone, or blocks.
pub(in super::super) fn read_parts(
    content: &RawValue,
    member: &'static str,
    reading: Reading,
) -> Result<Vec<Part>, WrongType> {
    let wrong = |_| WrongType(member);
    if content.get().starts_with('"') {
        let text: String = serde_json::from_str(content.get()).map_err(wrong)?;
        return Ok(vec![Part::text(text)]);
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(content.get()).map_err(wrong)?;
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        read_block(block, reading, &mut parts)?;
    }
    Ok(parts)
}

/// Reads a block. It may hold a second part: the reasoning that a call's id carries.
fn read_block(block: &RawValue, reading: Reading, parts: &mut Vec<Part>) -> Result<(), WrongType> {
    let mut members = Members::read(block.get()).ok_or(WrongType("messages"))?;
    let kind = members.text("type")?.ok_or(WrongType("messages"))?;
    let part = match kind.as_str() {
        "text" => Part::Text(read_text(&mut members, reading)?),
        "thinking" => Part::Reasoning(read_thinking(&mut members)?),
        "redacted_thinking" => Part::Reasoning(Reasoning {
            seal: members.text("data")?.map(|data| read_opaque(&data, OWN)),
            redacted: true,
            ..Reasoning::default()
        }),
        "tool_use" => Part::ToolCall(read_call(members, parts)?),
        "tool_result" => Part::ToolResult(read_result(members, reading)?),
        "image" => read_media(MediaKind::Image, members)?.unwrap_or_else(|| raw(block)),
        "document" => read_media(MediaKind::Document, members)?.unwrap_or_else(|| raw(block)),
        _ => raw(block),
    };
    parts.push(part);
    Ok(())
}

/// The mark that `cache_control` sets.
pub(in super::super) fn cache_mark(members: &mut Members<'_>) -> Result<Option<CacheMark>, WrongType> {
    let control: Option<CacheControl> = members.read_member("cache_control")?;
    Ok(control.map(|control| CacheMark { ttl: control.ttl }))
}

/// Appends a citation: as it is written and, in an answer, as what clients of other dialects can show.
pub(in super::super) fn read_citation(
    citation: &RawValue,
    reading: Reading,
    characters: Option<usize>,
    citations: &mut Vec<Citation>,
) {
    citations.push(Citation::Raw(Raw::new(OWN, "", citation.to_owned())));
    let page = |mut members: Members<'_>| {
        let url = members.text("url").ok()??;
        let title = members.text("title").ok().flatten();
        Some(Citation::Url {
            url,
            title,
            // A block is cited as a whole.
            start: characters.map(|_| 0),
            end: characters,
        })
    };
    if reading == Reading::Reply
        && let Some(page) = Members::read(citation.get()).and_then(page)
    {
        citations.push(page);
    }
}

fn read_text(members: &mut Members<'_>, reading: Reading) -> Result<Text, WrongType> {
    let text = members.text("text")?.ok_or(WrongType("messages"))?;
    let found: Option<Vec<&RawValue>> = members.read_member("citations")?;
    let mut citations = Vec::new();
    for citation in found.unwrap_or_default() {
        read_citation(citation, reading, Some(text.chars().count()), &mut citations);
    }
    Ok(Text {
        text,
        citations,
        cache: cache_mark(members)?,
        seal: None,
    })
}

/// An empty text with a signature is a thought that is not shown, and has to be kept.
fn read_thinking(members: &mut Members<'_>) -> Result<Reasoning, WrongType> {
    let text = members.text("thinking")?.filter(|text| !text.is_empty());
    let signature = members.text("signature")?.filter(|text| !text.is_empty());
    Ok(Reasoning {
        texts: text.into_iter().collect(),
        is_summary: true,
        seal: signature.map(|signature| read_opaque(&signature, OWN)),
        ..Reasoning::default()
    })
}

fn read_call(mut members: Members<'_>, parts: &mut Vec<Part>) -> Result<ToolCall, WrongType> {
    let id = members.text("id")?.ok_or(WrongType("messages"))?;
    let (id, seals) = split_tool_call_id(&id);
    let mut own = None;
    for carried in seals {
        if carried.is_reasoning {
            parts.push(Part::Reasoning(Reasoning {
                seal: Some(carried.seal),
                redacted: carried.redacted,
                is_summary: !carried.redacted,
                ..Reasoning::default()
            }));
        } else {
            own = Some(carried.seal);
        }
    }
    Ok(ToolCall {
        id,
        id_is_ours: false,
        name: members.text("name")?.ok_or(WrongType("messages"))?,
        arguments: Arguments::Json(members.take("input").map_or("{}", RawValue::get).to_owned()),
        seal: own,
        cache: cache_mark(&mut members)?,
        raw: rest(members),
    })
}

fn read_result(mut members: Members<'_>, reading: Reading) -> Result<ToolResult, WrongType> {
    let id = members.text("tool_use_id")?.ok_or(WrongType("messages"))?;
    let content = members.take("content");
    let parts = content.map(|content| read_parts(content, "messages", reading));
    Ok(ToolResult {
        call_id: split_tool_call_id(&id).0,
        name: None,
        parts: parts.transpose()?.unwrap_or_default(),
        is_error: members.read_member("is_error")?.unwrap_or(false),
        is_free_text: false,
        cache: cache_mark(&mut members)?,
        raw: rest(members),
    })
}

/// `None` for a source of a kind that is not known, or that holds blocks itself.
fn read_media(kind: MediaKind, mut members: Members<'_>) -> Result<Option<Part>, WrongType> {
    let mut source: Members<'_> = members.read_member("source")?.ok_or(WrongType("messages"))?;
    let media_type = source.text("media_type")?;
    let data = |source: &mut Members<'_>, name| source.text(name)?.ok_or(WrongType("messages"));
    let found = match source.text("type")?.as_deref() {
        Some("base64") => {
            let data = data(&mut source, "data")?;
            let data = data_url::base64(&data).ok_or(WrongType("messages"))?.into_owned();
            let told = data_url::media_type(&data).map(str::to_owned);
            (told.or(media_type), MediaSource::Base64(data))
        }
        Some("text") => (media_type, MediaSource::Text(data(&mut source, "data")?)),
        Some("url") => (media_type, MediaSource::Url(data(&mut source, "url")?)),
        Some("file") => {
            let id = data(&mut source, "file_id")?;
            (media_type, MediaSource::File { origin: OWN, id })
        }
        _ => return Ok(None),
    };
    let (media_type, source) = found;
    Ok(Some(Part::Media(Media {
        kind,
        source,
        media_type,
        name: members.text("title")?,
        detail: None,
        cache: cache_mark(&mut members)?,
        raw: rest(members),
    })))
}

fn raw(block: &RawValue) -> Part {
    Part::Raw(Raw::new(OWN, "", block.to_owned()))
}

/// The members that nobody took.
fn rest(members: Members<'_>) -> Vec<Raw> {
    let raw = |(name, value): (std::borrow::Cow<'_, str>, &RawValue)| Raw::new(OWN, name, value.to_owned());
    members.rest().map(raw).collect()
}
