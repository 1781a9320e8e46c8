//! Building what is sent. The one place in which an upstream request comes into being.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};

use super::exchange::Sent;
use super::{Errand, SendFault};
use crate::catalog::AuthStyle;

/// A body in pieces, of a known length, so that it is sent with `content-length`.
pub(super) struct Pieces(VecDeque<Bytes>);

const AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// Headers of a client that reach the provider: switches of its API that stand outside the body.
const FROM_CLIENT: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];

/// A request whose target is a path; its host is named when it is known over what it goes.
pub(super) fn build(errand: Errand<'_>) -> Result<Sent, SendFault> {
    let uri = errand.base_url.target(errand.path).ok_or(SendFault::BadRequest)?;
    let headers = headers(&errand)?;
    let mut request = Box::new(Request::new(Pieces(errand.body.into())));
    *request.method_mut() = errand.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn headers(errand: &Errand<'_>) -> Result<HeaderMap, SendFault> {
    let mut headers = HeaderMap::with_capacity(10);
    let accept = if errand.streamed {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    if !errand.body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let attempt_id = HeaderValue::from_str(errand.attempt_id).map_err(|_| SendFault::BadRequest)?;
    headers.insert(HeaderName::from_static("x-request-id"), attempt_id);
    for name in FROM_CLIENT {
        if let Some(value) = errand.client_headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some((name, value)) = credential(errand)? {
        headers.insert(name, value);
    }
    Ok(headers)
}

fn credential(errand: &Errand<'_>) -> Result<Option<(HeaderName, HeaderValue)>, SendFault> {
    let Some(secret) = errand.secret else {
        return Ok(None);
    };
    let secret = secret.expose();
    let (name, text) = match errand.auth {
        AuthStyle::Bearer => (header::AUTHORIZATION, format!("Bearer {secret}")),
        AuthStyle::XApiKey => (HeaderName::from_static("x-api-key"), secret.to_owned()),
        AuthStyle::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), secret.to_owned()),
        AuthStyle::None => return Ok(None),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| SendFault::BadSecret)?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.remaining() as u64).sum())
    }
}
