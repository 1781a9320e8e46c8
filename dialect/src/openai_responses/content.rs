//! Parts of messages and of tools' results, as they are read: `input_text`, `output_text`, `input_image` and so on.

use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::{CacheMark, Citation, Media, MediaKind, MediaSource, Part, Raw, Text, data_url};

/// What stands in `content` or `output`: a text, or a list of parts.
///
/// # Errors
/// When it is neither, or a part lacks what it must have.
pub(super) fn read_content(json: &RawValue, member: &'static str) -> Result<Vec<Part>, WrongType> {
    if json.get().starts_with('"') {
        let text: String = serde_json::from_str(json.get()).map_err(|_| WrongType(member))?;
        return Ok(vec![Part::text(text)]);
    }
    let parts: Vec<&RawValue> = serde_json::from_str(json.get()).map_err(|_| WrongType(member))?;
    parts.into_iter().map(|part| read_part(part, member)).collect()
}

/// Reads a part; one of a kind that is not known is carried as it is.
pub(super) fn read_part(json: &RawValue, member: &'static str) -> Result<Part, WrongType> {
    let mut members = Members::read(json.get()).ok_or(WrongType(member))?;
    let kind = members.text("type")?.unwrap_or_default();
    let cache = members
        .take("prompt_cache_breakpoint")
        .map(|_| CacheMark::default());
    Ok(match kind.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => Part::Text(Text {
            text: members.text("text")?.ok_or(WrongType(member))?,
            citations: read_citations(members.take("annotations")),
            cache,
            seal: None,
        }),
        "refusal" => Part::Refusal(members.text("refusal")?.ok_or(WrongType(member))?),
        "input_image" => Part::Media(image(members, cache)?),
        "input_file" => Part::Media(file(members, cache)?),
        "input_audio" => Part::Media(audio(members, cache)?),
        _ => Part::Raw(Raw::new(Dialect::OpenaiResponses, "", json.to_owned())),
    })
}

/// Annotations; what is no list of objects is none.
pub(super) fn read_citations(json: Option<&RawValue>) -> Vec<Citation> {
    let list: Option<Vec<&RawValue>> = json.and_then(|json| serde_json::from_str(json.get()).ok());
    list.into_iter().flatten().map(read_citation).collect()
}

pub(super) fn read_citation(json: &RawValue) -> Citation {
    #[derive(serde::Deserialize)]
    struct UrlCitation {
        r#type: String,
        url: String,
        title: Option<String>,
        start_index: Option<usize>,
        end_index: Option<usize>,
    }
    match serde_json::from_str::<UrlCitation>(json.get()) {
        Ok(citation) if citation.r#type == "url_citation" => Citation::Url {
            url: citation.url,
            title: citation.title,
            start: citation.start_index,
            end: citation.end_index,
        },
        _ => Citation::Raw(Raw::new(Dialect::OpenaiResponses, "", json.to_owned())),
    }
}

fn image(mut members: Members<'_>, cache: Option<CacheMark>) -> Result<Media, WrongType> {
    let (source, media_type) = match members.text("image_url")? {
        Some(url) => data_url::read(&url).ok_or(WrongType("image_url"))?,
        None => (stored(&mut members)?.ok_or(WrongType("image_url"))?, None),
    };
    Ok(Media {
        kind: MediaKind::Image,
        source,
        media_type,
        name: None,
        detail: members.text("detail")?,
        cache,
        raw: rest(members),
    })
}

fn file(mut members: Members<'_>, cache: Option<CacheMark>) -> Result<Media, WrongType> {
    let name = members.text("filename")?;
    let data = members.text("file_data")?;
    let url = members.text("file_url")?;
    let (source, media_type) = match (data, url) {
        (Some(data), _) => document(&data, name.as_deref()).ok_or(WrongType("file_data"))?,
        (None, Some(url)) => (MediaSource::Url(url), None),
        (None, None) => (stored(&mut members)?.ok_or(WrongType("file_data"))?, None),
    };
    Ok(Media {
        kind: kind_of(media_type.as_deref()),
        source,
        media_type,
        name,
        detail: members.text("detail")?,
        cache,
        raw: rest(members),
    })
}

/// A document's data: a `data:` URL by the API's own words, bare base64 by its older ones.
fn document(data: &str, name: Option<&str>) -> Option<(MediaSource, Option<String>)> {
    if data.starts_with("data:") {
        return data_url::read(data);
    }
    let base64 = data_url::base64(data)?.into_owned();
    let is_pdf = name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".pdf"));
    let told = data_url::media_type(&base64).or(is_pdf.then_some("application/pdf"));
    Some((MediaSource::Base64(base64), told.map(str::to_owned)))
}

fn kind_of(media_type: Option<&str>) -> MediaKind {
    match media_type.and_then(|media_type| media_type.split('/').next()) {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

fn audio(mut members: Members<'_>, cache: Option<CacheMark>) -> Result<Media, WrongType> {
    let wrong = WrongType("input_audio");
    let mut sound: Members<'_> = members.read_member("input_audio")?.ok_or(wrong)?;
    let data = sound.text("data")?.ok_or(wrong)?;
    let format = sound.text("format")?;
    Ok(Media {
        kind: MediaKind::Audio,
        source: MediaSource::Base64(data_url::base64(&data).ok_or(wrong)?.into_owned()),
        media_type: format.map(|format| format!("audio/{format}")),
        name: None,
        detail: None,
        cache,
        raw: rest(members),
    })
}

/// A file that is stored with the vendor.
fn stored(members: &mut Members<'_>) -> Result<Option<MediaSource>, WrongType> {
    let id = members.text("file_id")?;
    Ok(id.map(|id| MediaSource::File {
        origin: Dialect::OpenaiResponses,
        id,
    }))
}

pub(super) fn rest(members: Members<'_>) -> Vec<Raw> {
    let raw = |(name, json): (std::borrow::Cow<'_, str>, &RawValue)| {
        Raw::new(Dialect::OpenaiResponses, name, json.to_owned())
    };
    members
        .rest()
        .filter(|(_, json)| json.get() != "null")
        .map(raw)
        .collect()
}
