//! Parts of contents, as requests and answers hold them, out of the neutral middle.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Dialect;
use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::{
    Arguments, Media, MediaSource, Part, Raw, Reasoning, Seal, ToolCall, ToolResult, data_url,
};

/// A part that a request holds. Calls and results, of which more must be known, are written by [`call`] and [`result`].
pub(super) fn part(part: &Part, out: &mut Vec<u8>) {
    match part {
        Part::Text(part) => text(&part.text, own_seal(part.seal.as_ref()), out),
        Part::Refusal(words) => text(words, None, out),
        Part::Reasoning(part) => reasoning(part, own_seal(part.seal.as_ref()), out),
        Part::Media(part) => media(part, out),
        Part::Raw(raw) if raw.origin == Dialect::GeminiGenerate => {
            out.extend_from_slice(raw.json.get().as_bytes())
        }
        Part::Raw(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
    }
}

/// The seal, where Google itself made it.
pub(super) fn own_seal(seal: Option<&Seal>) -> Option<&str> {
    let seal = seal.filter(|seal| seal.origin == Dialect::GeminiGenerate)?;
    Some(&seal.data)
}

pub(super) fn text(text: &str, signature: Option<&str>, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("text", text);
    object.optional("thoughtSignature", signature);
    object.end();
}

/// Thoughts, a part for each piece, the last of which is signed. Those that nobody may read have no text at all.
pub(super) fn reasoning(reasoning: &Reasoning, signature: Option<&str>, out: &mut Vec<u8>) {
    let texts: Vec<Option<&str>> = match reasoning.texts.as_slice() {
        [] if reasoning.redacted => vec![None],
        [] => vec![Some("")],
        texts => texts.iter().map(|text| Some(text.as_str())).collect(),
    };
    for (number, text) in texts.iter().enumerate() {
        let is_last = number + 1 == texts.len();
        if number > 0 {
            out.push(b',');
        }
        thought(*text, signature.filter(|_| is_last), out);
    }
}

pub(super) fn thought(text: Option<&str>, signature: Option<&str>, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.optional("text", text);
    object.member("thought", &true);
    object.optional("thoughtSignature", signature);
    object.end();
}

pub(super) fn call(
    call: &ToolCall,
    id: Option<&str>,
    name: &str,
    signature: Option<&str>,
    out: &mut Vec<u8>,
) {
    let mut object = ObjectWriter::new(out);
    let mut inner = object.object("functionCall");
    inner.optional("id", id);
    inner.member("name", name);
    arguments(&call.arguments, inner.begin("args"));
    own(&call.raw, "functionCall.", &mut inner);
    inner.end();
    object.optional("thoughtSignature", signature);
    object.end();
}

/// Arguments, which have to be an object here, whatever the model wrote.
pub(super) fn arguments(arguments: &Arguments, out: &mut Vec<u8>) {
    let (name, text) = match arguments {
        Arguments::Json(json) => {
            let json = json.trim();
            if json.is_empty() {
                out.extend_from_slice(b"{}");
                return;
            }
            if Members::read(json).is_some() {
                out.extend_from_slice(json.as_bytes());
                return;
            }
            ("_raw", json)
        }
        Arguments::Text(text) => ("input", text.as_str()),
    };
    let mut object = ObjectWriter::new(out);
    object.member(name, text);
    object.end();
}

pub(super) fn result(
    result: &ToolResult,
    id: Option<&str>,
    name: &str,
    takes_media: bool,
    out: &mut Vec<u8>,
) {
    let mut object = ObjectWriter::new(out);
    let mut inner = object.object("functionResponse");
    inner.optional("id", id);
    inner.member("name", name);
    response(result, inner.begin("response"));
    let shown = |part: &&Part| {
        matches!(part, Part::Media(_))
            || matches!(part, Part::Raw(raw) if raw.origin == Dialect::GeminiGenerate)
    };
    if takes_media && result.parts.iter().any(|part| shown(&part)) {
        write_array(result.parts.iter().filter(shown), inner.begin("parts"), part);
    }
    own(&result.raw, "functionResponse.", &mut inner);
    inner.end();
    object.end();
}

/// What a tool said has to be an object: one that is goes as it is, all else is wrapped as Google's documents say. Google
/// takes a member `$ref` for a reference to a medium, so such an object goes as a text.
fn response(result: &ToolResult, out: &mut Vec<u8>) {
    let texts = result.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.text.as_str()),
        Part::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    let texts: Vec<_> = texts.collect();
    let text = texts.join("\n");
    let is_object = || !text.contains("\"$ref\"") && Members::read(text.trim()).is_some();
    if !result.is_error && is_object() {
        out.extend_from_slice(text.trim().as_bytes());
        return;
    }
    let mut object = ObjectWriter::new(out);
    object.member(if result.is_error { "error" } else { "result" }, &text);
    object.end();
}

pub(super) fn media(media: &Media, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    match &media.source {
        MediaSource::Base64(data) => {
            let mut inner = object.object("inlineData");
            inner.optional("mimeType", data_url::type_of(media, data));
            inner.member("data", data);
            own(&media.raw, "inlineData.", &mut inner);
            inner.end();
        }
        MediaSource::Text(text) => {
            let mut inner = object.object("inlineData");
            inner.member("mimeType", "text/plain");
            inner.member("data", &STANDARD.encode(text));
            inner.end();
        }
        MediaSource::Url(uri) | MediaSource::File { id: uri, .. } => {
            let mut inner = object.object("fileData");
            inner.optional(
                "mimeType",
                media.media_type.as_deref().or_else(|| guessed_type(uri)),
            );
            inner.member("fileUri", uri);
            own(&media.raw, "fileData.", &mut inner);
            inner.end();
        }
    }
    own(&media.raw, "", &mut object);
    object.end();
}

/// Google wants a type beside an address; its end tells one.
fn guessed_type(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next().unwrap_or(uri).to_ascii_lowercase();
    let by_end = [
        (".png", "image/png"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".gif", "image/gif"),
        (".webp", "image/webp"),
        (".pdf", "application/pdf"),
    ];
    let found = by_end.iter().find(|(end, _)| path.ends_with(end));
    found.map(|(_, media_type)| *media_type)
}

fn is_own(raw: &Raw) -> bool {
    raw.origin == Dialect::GeminiGenerate
}

fn own(raw: &[Raw], prefix: &str, object: &mut ObjectWriter<'_>) {
    for raw in raw.iter().filter(|raw| is_own(raw)) {
        if let Some(name) = raw.name.strip_prefix(prefix)
            && !name.contains('.')
        {
            object.json(name, raw.json.get());
        }
    }
}
