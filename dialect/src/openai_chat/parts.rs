//! Parts of messages, which requests and answers share: content, calls of tools, thoughts, citations.

use serde_json::value::RawValue;

use super::thoughts::{ThinkTags, Thought, gather, read_details};
use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::{
    Arguments, CacheMark, Citation, Media, MediaKind, MediaSource, Part, Raw, Reasoning, Seal, Text,
    ToolCall, carry, data_url,
};

const OWN: Dialect = Dialect::OpenaiChat;
/// Parts with media; each has a member of the same name.
const MEDIA: [&str; 4] = ["image_url", "video_url", "input_audio", "file"];

pub(super) fn raw(name: impl Into<String>, json: &RawValue) -> Raw {
    Raw::new(OWN, name, json.to_owned())
}

/// All that has not been taken; null says nothing.
pub(super) fn raws(members: Members<'_>) -> Vec<Raw> {
    let told = members.rest().filter(|(_, json)| json.get() != "null");
    told.map(|(name, json)| raw(name, json)).collect()
}

/// An answer of the model, in a request's history or in a reply: thoughts, text, refusal, calls, in this order.
pub(super) fn read_assistant(
    message: &mut Members<'_>,
    think_tags: bool,
    made_id: &dyn Fn(usize) -> String,
) -> Result<Vec<Part>, WrongType> {
    let mut thoughts = read_thoughts(message)?;
    let mut parts = Vec::new();
    if let Some(content) = message.take("content") {
        read_content(content, &mut parts)?;
    }
    if think_tags {
        parts = split_thoughts(parts);
    }
    // What clients echo as an empty text stands for none.
    parts.retain(|part| !matches!(part, Part::Text(text) if text.text.is_empty() && text.cache.is_none()));
    if let Some(refusal) = message.text("refusal")?.filter(|refusal| !refusal.is_empty()) {
        parts.push(Part::Refusal(refusal));
    }
    if let Some(annotations) = message.read_member::<Vec<&RawValue>>("annotations")? {
        cite(&mut parts, annotations.into_iter().map(read_citation).collect());
    }
    let mut calls = Vec::new();
    for (number, json) in message
        .read_member::<Vec<&RawValue>>("tool_calls")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        calls.push(read_call(json, &|| made_id(number), &mut thoughts)?);
    }
    if let Some(json) = message.take("function_call") {
        calls.extend(read_function_call(json, made_id(calls.len()))?);
    }
    if let Some(signature) = google_signature(message)? {
        sign(&mut parts, &mut calls, signature);
    }
    let mut all: Vec<Part> = thoughts.into_iter().map(Part::Reasoning).collect();
    all.append(&mut parts);
    all.extend(calls.into_iter().map(Part::ToolCall));
    Ok(all)
}

fn read_thoughts(message: &mut Members<'_>) -> Result<Vec<Reasoning>, WrongType> {
    let mut thoughts = message
        .take("reasoning_details")
        .map(|json| gather(read_details(json)))
        .unwrap_or_default();
    let (content, reasoning) = (message.text("reasoning_content")?, message.text("reasoning")?);
    let shown = content.filter(|text| !text.is_empty()).or(reasoning);
    if let Some(text) = shown.filter(|text| !text.is_empty())
        && thoughts.iter().all(|reasoning| reasoning.texts.is_empty())
    {
        match thoughts.first_mut() {
            Some(first) if !first.redacted => first.texts.push(text),
            _ => thoughts.insert(0, thought(text)),
        }
    }
    Ok(thoughts)
}

fn thought(text: String) -> Reasoning {
    Reasoning {
        texts: vec![text],
        ..Reasoning::default()
    }
}

/// Reads content: a text, or an array of parts.
pub(super) fn read_content(json: &RawValue, parts: &mut Vec<Part>) -> Result<(), WrongType> {
    let wrong = |_| WrongType("content");
    match json.get().as_bytes().first() {
        Some(b'"') => parts.push(Part::text(
            serde_json::from_str::<String>(json.get()).map_err(wrong)?,
        )),
        Some(b'[') => {
            for json in serde_json::from_str::<Vec<&RawValue>>(json.get()).map_err(wrong)? {
                read_part(json, parts)?;
            }
        }
        Some(b'{') => read_part(json, parts)?,
        _ => return Err(WrongType("content")),
    }
    Ok(())
}

fn read_part(json: &RawValue, parts: &mut Vec<Part>) -> Result<(), WrongType> {
    if json.get().starts_with('"') {
        return read_content(json, parts);
    }
    let mut members = Members::read(json.get()).ok_or(WrongType("content"))?;
    let kind = members.text("type")?.unwrap_or_default();
    let cache = read_mark(&mut members)?;
    parts.push(match kind.as_str() {
        "text" => Part::Text(Text {
            text: members.text("text")?.unwrap_or_default(),
            cache,
            ..Text::default()
        }),
        "refusal" => Part::Refusal(members.text("refusal")?.unwrap_or_default()),
        // Mistral's thoughts are a list of texts inside a part.
        "thinking" => {
            let mut inner = Vec::new();
            if let Some(thinking) = members.take("thinking") {
                read_content(thinking, &mut inner)?;
            }
            let texts = inner.into_iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.text),
                _ => None,
            });
            Part::Reasoning(thought(texts.collect()))
        }
        other => {
            let named = MEDIA.into_iter().find(|known| *known == other);
            let media = named
                .map(|kind| read_media(kind, &mut members, cache))
                .transpose()?;
            match media.flatten() {
                Some(media) => Part::Media(media),
                None => Part::Raw(raw("", json)),
            }
        }
    });
    Ok(())
}

pub(super) fn read_mark(members: &mut Members<'_>) -> Result<Option<CacheMark>, WrongType> {
    let breakpoint = members
        .take("prompt_cache_breakpoint")
        .map(|_| CacheMark::default());
    let Some(mut control) = members.read_member::<Members<'_>>("cache_control")? else {
        return Ok(breakpoint);
    };
    Ok(Some(CacheMark {
        ttl: control.text("ttl")?,
    }))
}

/// A part with media; `None` for one that only its own dialect can make sense of.
fn read_media(
    kind: &'static str,
    members: &mut Members<'_>,
    cache: Option<CacheMark>,
) -> Result<Option<Media>, WrongType> {
    let Some(value) = members.take(kind) else {
        return Err(WrongType(kind));
    };
    let mut inner = if value.get().starts_with('"') {
        Members::default()
    } else {
        Members::read(value.get()).ok_or(WrongType(kind))?
    };
    let url = match serde_json::from_str::<String>(value.get()) {
        Ok(url) => Some(url),
        Err(_) => inner.text("url")?,
    };
    let (media_kind, source) = match kind {
        "image_url" => (MediaKind::Image, url.as_deref().and_then(data_url::read)),
        "video_url" => (MediaKind::Video, url.as_deref().and_then(data_url::read)),
        "input_audio" => (MediaKind::Audio, read_audio(&mut inner)?),
        _ => (MediaKind::Document, read_file(&mut inner)?),
    };
    let Some((source, media_type)) = source else {
        return if matches!(kind, "file") {
            Ok(None)
        } else {
            Err(WrongType(kind))
        };
    };
    Ok(Some(Media {
        kind: media_kind,
        source,
        media_type,
        name: inner.text("filename")?,
        detail: inner.text("detail")?,
        cache,
        raw: raws(inner),
    }))
}

type Source = Option<(MediaSource, Option<String>)>;

fn read_audio(inner: &mut Members<'_>) -> Result<Source, WrongType> {
    let format = inner.text("format")?;
    let data = inner.text("data")?.unwrap_or_default();
    let media_type = format.map(|format| match format.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    });
    Ok(data_url::base64(&data).map(|data| (MediaSource::Base64(data.into_owned()), media_type)))
}

fn read_file(inner: &mut Members<'_>) -> Result<Source, WrongType> {
    if let Some(id) = inner.text("file_id")? {
        return Ok(Some((MediaSource::File { origin: OWN, id }, None)));
    }
    let Some(data) = inner.text("file_data")? else {
        return Ok(None);
    };
    if data.starts_with("data:") || data.contains("://") {
        return Ok(data_url::read(&data));
    }
    let data = data_url::base64(&data).map(std::borrow::Cow::into_owned);
    Ok(data.map(|data| {
        let media_type = data_url::media_type(&data).map(str::to_owned);
        (MediaSource::Base64(data), media_type)
    }))
}

fn split_thoughts(parts: Vec<Part>) -> Vec<Part> {
    let mut tags = ThinkTags::default();
    let mut split = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => {
                let mut pieces = Vec::new();
                tags.push(&text.text, &mut pieces);
                tags.finish(&mut pieces);
                split.extend(pieces.into_iter().map(|piece| match piece {
                    Thought::Thinking(thinking) => Part::Reasoning(thought(thinking)),
                    Thought::Text(shown) => Part::Text(Text {
                        text: shown,
                        ..text.clone()
                    }),
                }));
            }
            other => split.push(other),
        }
    }
    split
}

/// Reads a call. The seals that its id carried go where they belong, unless they came back by themselves.
fn read_call(
    json: &RawValue,
    made_id: &dyn Fn() -> String,
    thoughts: &mut Vec<Reasoning>,
) -> Result<ToolCall, WrongType> {
    let wrong = || WrongType("tool_calls");
    let mut members = Members::read(json.get()).ok_or_else(wrong)?;
    let kind = members.text("type")?;
    let function: Option<Members<'_>> = members.read_member("function")?;
    let custom: Option<Members<'_>> = members.read_member("custom")?;
    // Snowflake sends an empty `custom` beside the function.
    let is_custom = kind.as_deref() == Some("custom") || function.is_none();
    let mut inner = if is_custom { custom } else { function }.ok_or_else(wrong)?;
    let arguments = if is_custom {
        Arguments::Text(inner.text("input")?.unwrap_or_default())
    } else {
        Arguments::Json(read_arguments(&mut inner)?)
    };
    let given = members.text("id")?.filter(|id| !id.is_empty());
    let (id, carried) = given
        .as_deref()
        .map(carry::split_tool_call_id)
        .unwrap_or_default();
    let mut seal = google_signature(&mut members)?;
    for carried in carried {
        if !carried.is_reasoning {
            seal = seal.or(Some(carried.seal));
        } else if thoughts
            .iter()
            .all(|reasoning| reasoning.seal.as_ref() != Some(&carried.seal))
        {
            restore(carried, thoughts);
        }
    }
    members.take("index");
    Ok(ToolCall {
        id_is_ours: id.is_empty(),
        id: if id.is_empty() { made_id() } else { id },
        name: inner.text("name")?.unwrap_or_default(),
        arguments,
        seal,
        cache: read_mark(&mut members)?,
        raw: raws(members),
    })
}

/// Arguments are a text; some servers send the object itself.
fn read_arguments(function: &mut Members<'_>) -> Result<String, WrongType> {
    let Some(json) = function.take("arguments") else {
        return Ok(String::new());
    };
    match json.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(json.get()).map_err(|_| WrongType("arguments")),
        _ => Ok(json.get().to_owned()),
    }
}

/// Gives thoughts that came back without their seal the one that the id of their call carried.
fn restore(carried: carry::CarriedSeal, thoughts: &mut Vec<Reasoning>) {
    let unsealed = thoughts
        .iter_mut()
        .find(|reasoning| reasoning.seal.is_none() && !carried.redacted);
    match unsealed {
        Some(reasoning) => reasoning.seal = Some(carried.seal),
        None => thoughts.push(Reasoning {
            seal: Some(carried.seal),
            redacted: carried.redacted,
            ..Reasoning::default()
        }),
    }
}

/// The call of before there were several (`function_call`). Snowflake sends an empty one with every answer.
fn read_function_call(json: &RawValue, id: String) -> Result<Option<ToolCall>, WrongType> {
    let mut members = Members::read(json.get()).ok_or(WrongType("function_call"))?;
    let name = members.text("name")?.filter(|name| !name.is_empty());
    let arguments = Arguments::Json(read_arguments(&mut members)?);
    Ok(name.map(|name| ToolCall {
        id,
        id_is_ours: true,
        name,
        arguments,
        seal: None,
        cache: None,
        raw: Vec::new(),
    }))
}

/// The signature in `extra_content.google`, at a call or at a message. It is Gemini's own, whoever shows it.
fn google_signature(members: &mut Members<'_>) -> Result<Option<Seal>, WrongType> {
    let Some(extra) = members.take("extra_content") else {
        return Ok(None);
    };
    members.take("thought_signature");
    let mut google = Members::read(extra.get())
        .and_then(|mut extra| extra.take("google"))
        .and_then(|google| Members::read(google.get()))
        .unwrap_or_default();
    let signature = google.text("thought_signature").ok().flatten();
    Ok(signature.map(|data| Seal {
        origin: Dialect::GeminiGenerate,
        data,
    }))
}

/// A signature at the whole message is of its first call, or of its text.
fn sign(parts: &mut [Part], calls: &mut [ToolCall], signature: Seal) {
    if let Some(call) = calls.first_mut() {
        call.seal.get_or_insert(signature);
    } else if let Some(Part::Text(text)) = parts.iter_mut().rev().find(|part| matches!(part, Part::Text(_))) {
        text.seal = Some(signature);
    }
}

pub(super) fn read_citation(json: &RawValue) -> Citation {
    let url = |json: &RawValue| {
        let mut outer = Members::read(json.get())?;
        (outer.text("type").ok()?? == "url_citation").then_some(())?;
        let mut inner = match outer.take("url_citation") {
            Some(inner) => Members::read(inner.get())?,
            None => outer,
        };
        Some(Citation::Url {
            url: inner.text("url").ok()??,
            title: inner.text("title").ok()?,
            start: inner.read_member("start_index").ok()?,
            end: inner.read_member("end_index").ok()?,
        })
    };
    url(json).unwrap_or_else(|| Citation::Raw(raw("annotations", json)))
}

/// Gives citations to the last text, of which their places are counted.
pub(super) fn cite(parts: &mut [Part], mut citations: Vec<Citation>) {
    let text = parts.iter_mut().rev().find_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    if let Some(text) = text {
        text.citations.append(&mut citations);
    }
}
