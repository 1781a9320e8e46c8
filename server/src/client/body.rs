//! Reading a request's body, within bounds.

use bytes::{Bytes, BytesMut};
use dialect::refusal::{Code, Refusal};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::limits::FrontLimits;

/// Reads the whole body.
///
/// # Errors
/// When it is not JSON by its headers, compressed, too large, too slow or incomplete.
pub(super) async fn read(headers: &HeaderMap, body: Incoming, limits: FrontLimits) -> Result<Bytes, Refusal> {
    accepted(headers)?;
    let max = limits.body_bytes_max;
    if body.size_hint().lower() > max as u64 {
        return Err(too_large(max));
    }
    match tokio::time::timeout(limits.body_timeout, collect(body, max)).await {
        Ok(collected) => collected,
        Err(_) => Err(Refusal::new(
            Code::RequestTimeout,
            "The body did not arrive in time.",
        )),
    }
}

fn accepted(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or_default());
    // Several clients send none; then the body itself decides.
    if content_type.is_some_and(|text| !is_json(text)) {
        let message = "The body has to be JSON: send `content-type: application/json`.";
        return Err(Refusal::new(Code::UnsupportedMediaType, message));
    }
    if headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| value != "identity")
    {
        let message = "The body must not be compressed.";
        return Err(Refusal::new(Code::UnsupportedContentEncoding, message));
    }
    Ok(())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::new(Code::BodyIncomplete, "The body is not complete."))?;
        // Trailers say nothing that we act on.
        let Ok(data) = frame.into_data() else { continue };
        if first.len().saturating_add(rest.len()).saturating_add(data.len()) > max {
            return Err(too_large(max));
        }
        // Most bodies come in one piece, which then is not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        format!("The body is larger than {max} bytes."),
    )
}
