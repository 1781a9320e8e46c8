//! Parts of contents, as requests and answers hold them, into the neutral middle.

use serde_json::value::RawValue;

use super::calls::Calls;
use super::wire;
use crate::Dialect;
use crate::json::{Members, ObjectWriter};
use crate::neutral::{
    Arguments, Media, MediaKind, MediaSource, Part, Raw, Reasoning, Seal, Text, ToolCall, ToolResult, carry,
    data_url,
};

/// What Google's documents give for histories that never had a signature.
pub(crate) const NO_SEAL: &str = "skip_thought_signature_validator";
/// Where Google's own files live, by which they are told from pages of the web.
const FILES: [&str; 3] = ["gs://", "files/", "https://generativelanguage.googleapis.com/"];

/// Appends a part. What the model thought comes in pieces, of which only the last is sealed: they are one text, as those
/// of an answer would be. Clients give back what a stream brought as so many parts.
pub(super) fn push(part: wire::Part<'_>, calls: &mut Calls, parts: &mut Vec<Part>, raw: &mut Vec<Raw>) {
    if let (Some(_), Some(signature)) = (&part.call, &part.signature)
        && let Some((seal, redacted)) = carry::read_opaque_thoughts(signature.as_str())
    {
        seal_thoughts(seal, redacted, parts);
    }
    let read = read(part, calls, raw);
    if let (Part::Reasoning(next), Some(Part::Reasoning(last))) = (&read, parts.last_mut())
        && last.seal.is_none()
        && !next.redacted
    {
        match last.texts.last_mut() {
            Some(text) => text.extend(next.texts.iter().map(String::as_str)),
            None => last.texts.clone_from(&next.texts),
        }
        last.seal.clone_from(&next.seal);
        return;
    }
    parts.push(read);
}

/// Whether it is a part only because the dialect wants one: a stream ends with such, and clients give it back.
pub(super) fn is_nothing(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.text.is_empty() && text.seal.is_none())
}

/// Seals the thoughts before a call, where the client has kept their seal beside the call alone, and perhaps no thoughts
/// at all. Then they stand at the beginning of what was said, as they did.
fn seal_thoughts(seal: Seal, redacted: bool, parts: &mut Vec<Part>) {
    let is_told = |part: &Part| matches!(part, Part::Reasoning(told) if told.seal.as_ref() == Some(&seal));
    if parts.iter().any(is_told) {
        return;
    }
    let said = parts
        .iter()
        .rev()
        .take_while(|part| matches!(part, Part::Text(_)));
    let at = parts.len() - said.count();
    match parts.iter_mut().take(at).next_back() {
        Some(Part::Reasoning(bare)) if bare.seal.is_none() && !redacted => bare.seal = Some(seal),
        _ => parts.insert(at, reasoning(Vec::new(), Some(seal), redacted)),
    }
}

pub(super) fn read(part: wire::Part<'_>, calls: &mut Calls, raw: &mut Vec<Raw>) -> Part {
    if let Some(call) = part.call {
        gather(part.rest, "", raw);
        return Part::ToolCall(read_call(call, call_seal(part.signature.as_ref()), calls));
    }
    let seal = seal(part.signature.as_ref());
    if let Some(response) = part.response {
        gather(part.rest, "", raw);
        return Part::ToolResult(read_result(response, calls));
    }
    if part.inline.is_some() || part.file.is_some() {
        let mut media = read_media(part.inline, part.file);
        gather(part.rest, "", &mut media.raw);
        return Part::Media(media);
    }
    let thought = part.thought == Some(true);
    match part.text {
        Some(text) if thought => {
            gather(part.rest, "", raw);
            reasoning(vec![text.into_owned()], seal, false)
        }
        Some(text) => {
            gather(part.rest, "", raw);
            Part::Text(Text {
                text: text.into_owned(),
                seal,
                ..Text::default()
            })
        }
        // This is how thoughts that nobody may read are written to clients of this dialect.
        None if thought && part.rest.is_empty() => reasoning(Vec::new(), seal, true),
        None if part.rest.is_empty() => Part::Text(Text {
            seal,
            ..Text::default()
        }),
        None => Part::Raw(whole(&part)),
    }
}

fn reasoning(texts: Vec<String>, seal: Option<Seal>, redacted: bool) -> Part {
    Part::Reasoning(Reasoning {
        texts,
        is_summary: true,
        redacted: redacted && seal.is_some(),
        seal,
        id: None,
    })
}

pub(super) fn seal(signature: Option<&wire::Str<'_>>) -> Option<Seal> {
    let signature = signature.filter(|signature| !signature.as_str().is_empty())?;
    Some(carry::read_opaque(signature.as_str(), Dialect::GeminiGenerate))
}

/// The seal of a call, which is Google's: of others it is that of the thoughts before. What stands for a signature that
/// never was is none.
pub(super) fn call_seal(signature: Option<&wire::Str<'_>>) -> Option<Seal> {
    seal(signature).filter(|seal| seal.origin == Dialect::GeminiGenerate && seal.data != NO_SEAL)
}

/// Members that have no slot, with the names that Google writes.
pub(super) fn gather(rest: wire::Rest<'_>, prefix: &str, raw: &mut Vec<Raw>) {
    for (name, json) in rest {
        let name = format!("{prefix}{}", wire::camel(&name));
        raw.push(Raw::new(Dialect::GeminiGenerate, name, json.to_owned()));
    }
}

/// A part of a kind that has no slot, as a whole.
fn whole(part: &wire::Part<'_>) -> Raw {
    let mut json = Vec::new();
    let mut object = ObjectWriter::new(&mut json);
    for (name, value) in &part.rest {
        object.json(name, value.get());
    }
    object.optional("thought", part.thought);
    object.optional("thoughtSignature", part.signature.as_ref().map(wire::Str::as_str));
    object.end();
    let name = part.rest.first().map(|(name, _)| wire::camel(name));
    Raw::new(Dialect::GeminiGenerate, name.unwrap_or_default(), raw_value(json))
}

/// JSON that was just written.
pub(super) fn raw_value(json: Vec<u8>) -> Box<RawValue> {
    let text = String::from_utf8(json).unwrap_or_default();
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

pub(super) fn read_call(call: wire::FunctionCall<'_>, seal: Option<Seal>, calls: &mut Calls) -> ToolCall {
    let name = call.name.map(wire::Str::into_owned).unwrap_or_default();
    let (id, id_is_ours) = calls.next(call.id.as_ref().map(wire::Str::as_str), &name);
    let mut raw = Vec::new();
    gather(call.rest, "functionCall.", &mut raw);
    ToolCall {
        id,
        id_is_ours,
        name,
        arguments: Arguments::Json(call.args.map_or("{}", RawValue::get).to_owned()),
        seal,
        cache: None,
        raw,
    }
}

fn read_result(response: wire::FunctionResponse<'_>, calls: &mut Calls) -> ToolResult {
    let name = response.name.map(wire::Str::into_owned).unwrap_or_default();
    let call_id = calls.answered(response.id.as_ref().map(wire::Str::as_str), &name);
    let mut raw = Vec::new();
    gather(response.rest, "functionResponse.", &mut raw);
    let (text, is_error) = response.response.map_or((None, false), unwrap);
    let mut parts: Vec<_> = text.map(Part::text).into_iter().collect();
    for part in response.parts.unwrap_or_default().0 {
        parts.push(match part {
            wire::Part {
                inline: None,
                file: None,
                ..
            } => Part::Raw(whole(&part)),
            part => Part::Media(read_media(part.inline, part.file)),
        });
    }
    ToolResult {
        call_id,
        name: Some(name).filter(|name| !name.is_empty()),
        parts,
        is_error,
        is_free_text: false,
        cache: None,
        raw,
    }
}

/// What a tool said: the text alone where Google's own wrapping is all that is around it, else the object.
fn unwrap(response: &RawValue) -> (Option<String>, bool) {
    let whole = || Some(response.get().to_owned());
    let mut members = Members::read(response.get()).unwrap_or_default().rest();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => {
            let text = serde_json::from_str::<String>(value.get()).ok();
            match (name.as_ref(), text) {
                ("error", text) => (text.or_else(|| Some(value.get().to_owned())), true),
                ("result" | "output", Some(text)) => (Some(text), false),
                _ => (whole(), false),
            }
        }
        _ => (whole(), false),
    }
}

pub(super) fn read_media(inline: Option<wire::Blob<'_>>, file: Option<wire::FileData<'_>>) -> Media {
    let mut raw = Vec::new();
    let (media_type, name, source) = match (inline, file) {
        (Some(blob), _) => {
            gather(blob.rest, "inlineData.", &mut raw);
            let data = blob.data.unwrap_or_default();
            (
                blob.media_type,
                blob.name,
                MediaSource::Base64(standard(data.as_str())),
            )
        }
        (None, file) => {
            let file = file.unwrap_or_default();
            gather(file.rest, "fileData.", &mut raw);
            (
                file.media_type,
                file.name,
                address(file.uri.unwrap_or_default().as_str()),
            )
        }
    };
    let media_type = media_type
        .map(wire::Str::into_owned)
        .filter(|media_type| !media_type.is_empty());
    Media {
        kind: kind(media_type.as_deref(), &source),
        source,
        media_type,
        name: name.map(wire::Str::into_owned),
        detail: None,
        cache: None,
        raw,
    }
}

fn address(uri: &str) -> MediaSource {
    if FILES.iter().any(|files| uri.starts_with(files)) {
        MediaSource::File {
            origin: Dialect::GeminiGenerate,
            id: uri.to_owned(),
        }
    } else {
        MediaSource::Url(uri.to_owned())
    }
}

/// Films are most often named by an address without a type.
fn kind(media_type: Option<&str>, source: &MediaSource) -> MediaKind {
    let is_film = |url: &str| {
        ["youtube.com/", "youtu.be/"]
            .iter()
            .any(|host| url.contains(host))
    };
    let group = media_type.and_then(|media_type| media_type.split('/').next());
    match (group, source) {
        (Some("image"), _) => MediaKind::Image,
        (Some("audio"), _) => MediaKind::Audio,
        (Some("video"), _) => MediaKind::Video,
        (None, MediaSource::Url(url)) if is_film(url) => MediaKind::Video,
        (None, MediaSource::Url(_)) => MediaKind::Image,
        _ => MediaKind::Document,
    }
}

/// Protocol buffers take both alphabets of base64, with and without padding; others take the standard one. What is no
/// base64 at all stays as it is, for Google to refuse.
fn standard(data: &str) -> String {
    data_url::base64(data).map_or_else(|| data.to_owned(), std::borrow::Cow::into_owned)
}
