//! `data:` URLs (RFC 2397), in which OpenAI's dialects send images and documents, and base64 as it really comes: in
//! either alphabet, wrapped in lines, without its padding, under a media type that is missing or wrong (pitfall P39).

use std::borrow::Cow;

use super::{Media, MediaSource};

/// What a URL holds and of which media type it is, where that is known; a URL that is no `data:` URL stays one. `None`
/// when the data are no base64.
pub fn read(url: &str) -> Option<(MediaSource, Option<String>)> {
    let is_data = url
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let Some((head, data)) = url
        .get(5..)
        .filter(|_| is_data)
        .and_then(|rest| rest.split_once(','))
    else {
        return (!is_data).then(|| (MediaSource::Url(url.to_owned()), None));
    };
    let mut parameters = head.split(';').map(str::trim);
    let named = parameters.next().filter(|name| name.contains('/'));
    let data = unescape(data);
    let base64 = if parameters.any(|parameter| parameter.eq_ignore_ascii_case("base64")) {
        base64(std::str::from_utf8(&data).ok()?)?.into_owned()
    } else {
        encode(&data)
    };
    let media_type = media_type(&base64).or(named).map(str::to_ascii_lowercase);
    Some((MediaSource::Base64(base64), media_type))
}

pub fn write(media_type: &str, base64: &str) -> String {
    format!("data:{media_type};base64,{base64}")
}

/// The same data in the standard alphabet, with padding and without white space; `None` when they are no base64.
pub fn base64(text: &str) -> Option<Cow<'_, str>> {
    let is_standard = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let body = text.trim_end_matches('=');
    if text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.bytes().all(is_standard) {
        return Some(Cow::Borrowed(text));
    }
    let mut clean = String::with_capacity(text.len() + 2);
    for letter in text.chars() {
        match letter {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => clean.push(letter),
            '-' => clean.push('+'),
            '_' => clean.push('/'),
            '=' | ' ' | '\t' | '\r' | '\n' => {}
            _ => return None,
        }
    }
    match clean.len() % 4 {
        0 => {}
        2 => clean.push_str("=="),
        3 => clean.push('='),
        _ => return None,
    }
    Some(Cow::Owned(clean))
}

/// The media type that the first bytes tell, of those that vendors check them for.
pub fn media_type(base64: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 6] = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGODdh", "image/gif"),
        ("R0lGODlh", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi0", "application/pdf"),
    ];
    let (_, found) = BEGINNINGS.iter().find(|(start, _)| base64.starts_with(start))?;
    // Sounds and films begin with RIFF too; which it is stands in bytes 9 to 12: WEBP.
    let is_other_riff = *found == "image/webp" && base64.get(12..16) != Some("RUJQ");
    (!is_other_riff).then_some(*found)
}

/// The type that is told, or else the one that the first bytes show. Clients mistake one kind of image for another; the
/// bytes do not.
pub fn type_of<'a>(media: &'a Media, data: &str) -> Option<&'a str> {
    let shown = media_type(data);
    match media.media_type.as_deref() {
        Some(told) if told.starts_with("image/") => {
            shown.filter(|shown| shown.starts_with("image/")).or(Some(told))
        }
        told => told.or(shown),
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Percent escapes, of which `%2B` and `%3D` are seen in base64.
fn unescape(data: &str) -> Cow<'_, [u8]> {
    if !data.contains('%') {
        return Cow::Borrowed(data.as_bytes());
    }
    let mut rest = data.as_bytes();
    let mut plain = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|_| *first == b'%')
        {
            Some(byte) => {
                plain.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p39_data_urls_are_read_as_they_really_come() {
        let held = |url: &str| match read(url) {
            Some((MediaSource::Base64(data), media_type)) => Some((data, media_type.unwrap_or_default())),
            _ => None,
        };
        let table = [
            ("data:image/png;base64,AAEC", "AAEC", "image/png"),
            ("DATA:Image/PNG;charset=utf-8;BASE64,AAEC", "AAEC", "image/png"),
            (
                "data:image/png;base64,iVBO\r\nRw0KGgo=",
                "iVBORw0KGgo=",
                "image/png",
            ),
            ("data:image/png;base64,-_8", "+/8=", "image/png"),
            ("data:image/png;base64,%2B/8%3D", "+/8=", "image/png"),
            ("data:image/png;base64,/9j/4AAQ", "/9j/4AAQ", "image/jpeg"),
            ("data:;base64,JVBERi0x", "JVBERi0x", "application/pdf"),
            (
                "data:image/png;base64,UklGRhAAAABXQVZF",
                "UklGRhAAAABXQVZF",
                "image/png",
            ),
            (
                "data:;base64,UklGRhAAAABXRUJQVlA4",
                "UklGRhAAAABXRUJQVlA4",
                "image/webp",
            ),
            ("data:text/plain,a%20b", "YSBi", "text/plain"),
            ("data:;base64,AAEC", "AAEC", ""),
        ];
        for (url, data, media_type) in table {
            assert_eq!(held(url), Some((data.to_owned(), media_type.to_owned())), "{url}");
        }
        for url in [
            "data:image/png;base64,\u{e9}",
            "data:image/png;base64,A",
            "data:image/png",
        ] {
            assert_eq!(read(url), None, "{url}");
        }
        let url = "https://example.com/a,b.png";
        assert_eq!(read(url), Some((MediaSource::Url(url.to_owned()), None)));
        assert_eq!(write("image/png", "AAEC"), "data:image/png;base64,AAEC");
    }
}
