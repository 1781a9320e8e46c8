//! Answers as HTTP: a whole body, a stream, or a refusal.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dialect::Dialect;
use dialect::refusal::{Code, Refusal};
use gateway::{ClientStream, Reply, ReplyBody, ReplyHead};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};

use crate::client::Early;
use crate::rates;

/// The body of every answer.
pub(crate) enum Body {
    Whole(Option<Bytes>),
    Stream(ClientStream),
    /// One that has begun before its provider has.
    Early(Box<Early>),
}

const PROVIDER: HeaderName = HeaderName::from_static("x-tollgate-provider");
const MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
const CREDENTIAL: HeaderName = HeaderName::from_static("x-tollgate-credential");
const LOSSY: HeaderName = HeaderName::from_static("x-tollgate-lossy");
const ESTIMATED: HeaderName = HeaderName::from_static("x-tollgate-estimated");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const COST_USD: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
const OVERHEAD_US: HeaderName = HeaderName::from_static("x-tollgate-overhead-us");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON body with this status.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A refusal in the caller's own shape.
pub(crate) fn refusal(dialect: Dialect, refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, dialect.write_refusal(refusal));
    let headers = response.headers_mut();
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(rates) = &refusal.rates {
        rates::insert(rates, dialect, headers);
    }
    if refusal.attempts > 0 {
        headers.insert(ATTEMPTS, HeaderValue::from(refusal.attempts));
    }
    if closes(refusal.code) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    match refusal.code {
        Code::MethodNotAllowed => drop(headers.insert(ALLOW, HeaderValue::from_static("GET, POST"))),
        Code::MissingApiKey | Code::InvalidApiKey => {
            drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        _ => {}
    }
    response
}

/// Whether the connection ends with this refusal: where the head or the length of the body was wrong, or the body was
/// not read to its end, what follows may not be what it seems. (HTTP/2, whose frames cannot be confused, has no such
/// header; the library takes it out there.)
fn closes(code: Code) -> bool {
    matches!(
        code,
        Code::MalformedRequest
            | Code::HeadTooLarge
            | Code::UriTooLong
            | Code::ExpectationFailed
            | Code::UnsupportedTransferCoding
            | Code::BodyTooLarge
            | Code::BodyIncomplete
            | Code::RequestTimeout
    )
}

/// An answer of a provider.
pub(crate) fn reply(dialect: Dialect, reply: Reply) -> Response<Body> {
    let body = match reply.body {
        ReplyBody::Whole(bytes) => Body::Whole(Some(bytes)),
        ReplyBody::Stream(stream) => Body::Stream(stream),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.head.status;
    *response.headers_mut() = headers(dialect, reply.head);
    response
}

fn headers(dialect: Dialect, head: ReplyHead) -> HeaderMap {
    let ReplyHead {
        headers: mut map,
        target,
        credential_name,
        attempts,
        lossy,
        estimated,
        rates,
        cost_nano,
        overhead_us,
        ..
    } = head;
    let texts = [
        (PROVIDER, Some(target.provider)),
        (MODEL, Some(target.model)),
        (CREDENTIAL, credential_name),
        (LOSSY, lossy),
        (COST_USD, cost_nano.map(dollars)),
    ];
    map.reserve(texts.len() + 3);
    for (name, text) in texts {
        // A name that no header can hold is left out.
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            map.insert(name, value);
        }
    }
    if estimated {
        map.insert(ESTIMATED, HeaderValue::from_static("true"));
    }
    if let Some(rates) = &rates {
        rates::insert(rates, dialect, &mut map);
    }
    map.insert(ATTEMPTS, HeaderValue::from(attempts));
    map.insert(OVERHEAD_US, HeaderValue::from(overhead_us));
    map
}

/// All nine places, so that nothing is rounded.
fn dollars(nano: i64) -> String {
    let nano = nano.unsigned_abs();
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

impl Body {
    /// What a client is told whose answer breaks off on this side.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) -> Bytes {
        match self {
            Self::Whole(_) => Bytes::new(),
            Self::Stream(stream) => stream.refuse(refusal),
            Self::Early(early) => early.refuse(refusal),
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Whole(body) => Poll::Ready(body.take()),
            Self::Stream(stream) => stream.poll_next(context),
            Self::Early(early) => early.poll_next(context),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.get_mut().poll_next(context);
        next.map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) | Self::Early(_) => SizeHint::default(),
        }
    }
}
