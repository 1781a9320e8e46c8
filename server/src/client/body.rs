//! Reading a request's body, within bounds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dialect::refusal::{Code, Refusal};
use gateway::{BodyRoom, RequestBody};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::limits::FrontLimits;

/// Reads the whole body into `room`, and notes when it begins to: a client may wait to be asked for it.
///
/// # Errors
/// When it is not JSON by its headers, compressed, too large, too slow or incomplete, and when there is no room for it.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Incoming,
    asked_for: &AtomicBool,
    limits: FrontLimits,
    mut room: BodyRoom,
) -> Result<RequestBody, Refusal> {
    accepted(headers)?;
    let max = limits.body_bytes_max;
    let length = body.size_hint().lower();
    if length > max as u64 {
        return Err(too_large(max));
    }
    room.check(length)?;
    asked_for.store(true, Ordering::Relaxed);
    let bytes = collect(body, max, limits.body_timeout, &mut room).await?;
    Ok(RequestBody { bytes, room })
}

fn accepted(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_json) {
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

/// JSON, in the one charset that it has (RFC 8259, section 8.1).
fn is_json(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_other_charset = |parameter: &str| {
        let charset = parameter
            .strip_prefix("charset=")
            .map(|text| text.trim_matches('"'));
        charset.is_some_and(|charset| charset != "utf-8" && charset != "utf8")
    };
    (essence == "application/json" || essence.ends_with("+json")) && !parts.any(is_other_charset)
}

/// A client may take its time at first; then it has to be this fast on the whole, or it holds a place for nothing.
const BYTES_PER_S_MIN: usize = 1 << 10;
const SLOW_START: Duration = Duration::from_secs(5);

/// Reads what is left of the body of a refused request, and forgets it. A client that is still sending reads its answer
/// only then; if the connection were closed under it, it would see that and not the refusal.
pub(super) async fn discard(body: &mut Incoming) {
    let left = body.size_hint().lower();
    if left > LINGER_BYTES_MAX {
        return;
    }
    let discarding = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.into_data().map_or(0, |data| data.len() as u64);
            if discarded > LINGER_BYTES_MAX {
                return;
            }
        }
    };
    // One that is too slow for this sees the closed connection after all.
    let _too_slow = tokio::time::timeout(LINGER, discarding).await;
}

/// How much of a refused body is read, and for how long.
const LINGER_BYTES_MAX: u64 = 64 << 20;
const LINGER: Duration = Duration::from_secs(2);

async fn collect(
    body: &mut Incoming,
    max: usize,
    timeout: Duration,
    room: &mut BodyRoom,
) -> Result<Bytes, Refusal> {
    let started = Instant::now();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let received = first.len().saturating_add(rest.len());
        let earned = Duration::from_secs((received / BYTES_PER_S_MIN) as u64);
        let deadline = started + timeout.min(SLOW_START.saturating_add(earned));
        let frame = tokio::time::timeout_at(deadline, body.frame()).await;
        let frame =
            frame.map_err(|_| Refusal::new(Code::RequestTimeout, "The body does not arrive in time."))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Refusal::new(Code::BodyIncomplete, "The body is not complete."))?;
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers(&frame)?;
                continue;
            }
        };
        if first.len().saturating_add(rest.len()).saturating_add(data.len()) > max {
            return Err(too_large(max));
        }
        room.take(data.len())?;
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

const TRAILER_BYTES_MAX: usize = 16 << 10;

/// Trailers say nothing that we act on, and go nowhere: they are not worth much room.
fn trailers(frame: &Frame<Bytes>) -> Result<(), Refusal> {
    let lines = frame.trailers_ref().into_iter().flatten();
    let bytes: usize = lines.map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > TRAILER_BYTES_MAX {
        return Err(Refusal::new(Code::MalformedRequest, "The trailers are too long."));
    }
    Ok(())
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        format!("The body is larger than {max} bytes."),
    )
}
