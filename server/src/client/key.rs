//! Where a request shows its gateway key.

use dialect::refusal::{Code, Refusal};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

/// Headers that hold the bare key, as the SDKs of Anthropic, Google and Azure send it.
const BARE: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
];
const SCHEME: &str = "bearer ";

/// The key that a request shows, if any: in a header or, where its dialect shows it there, in the query, as `key`. The same
/// key in several places is one key.
///
/// # Errors
/// When two differ: whichever we took, somebody would be served in another's name.
pub(crate) fn presented_key<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> Result<Option<&'a str>, Refusal> {
    // All of them are gone through once: a map of headers takes longer to look four of them up.
    let in_headers = headers.iter().filter_map(|(name, value)| {
        let has_scheme = *name == AUTHORIZATION;
        if !has_scheme && !BARE.contains(name) {
            return None;
        }
        // What is not even text is a key that nobody has.
        let text = value.to_str().unwrap_or_default().trim();
        Some(if has_scheme { without_scheme(text) } else { text })
    });
    let in_query = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("key="));
    let mut found: Option<&str> = None;
    for key in in_headers.chain(in_query) {
        match found {
            Some(other) if other != key => {
                return Err(Refusal::new(
                    Code::AmbiguousCredentials,
                    "The request shows two different keys. Send one.",
                ));
            }
            _ => found = Some(key),
        }
    }
    Ok(found)
}

/// The key after `Bearer `, whose case does not matter (RFC 9110, section 11.1); empty for another scheme.
fn without_scheme(text: &str) -> &str {
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(SCHEME) => key.trim_start(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn key(headers: &[(&'static str, &'static str)]) -> Result<Option<String>, Code> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        presented_key(&map, None)
            .map(|key| key.map(str::to_owned))
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn every_sdk_shows_its_key_in_its_own_place() {
        for headers in [
            ("authorization", "Bearer k"),
            ("authorization", "bEARER   k"),
            ("x-api-key", "k"),
            ("x-goog-api-key", "k"),
            ("api-key", "k"),
        ] {
            assert_eq!(key(&[headers]), Ok(Some("k".to_owned())), "{headers:?}");
        }
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&[("authorization", "Basic k")]), Ok(Some(String::new())));
    }

    #[test]
    fn two_keys_are_refused_unless_they_are_one() {
        assert_eq!(
            key(&[("authorization", "Bearer k"), ("x-api-key", "k")]),
            Ok(Some("k".to_owned()))
        );
        let differing: [&[(&'static str, &'static str)]; 3] = [
            &[("authorization", "Bearer k"), ("x-api-key", "l")],
            &[("authorization", "Bearer k"), ("authorization", "Bearer l")],
            &[("authorization", "Basic k"), ("api-key", "k")],
        ];
        for headers in differing {
            assert_eq!(key(headers), Err(Code::AmbiguousCredentials), "{headers:?}");
        }
    }
}
