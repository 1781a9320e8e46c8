//! Building what is sent. The one place in which an upstream request comes into being.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use dialect::Dialect;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};

use super::exchange::Sent;
use super::{Errand, SendFault};
use crate::catalog::AuthStyle;

/// A body in pieces, of a known length, so that it is sent with `content-length`.
///
/// In a box, so that a request is small: a connection keeps room for 32 of them for as long as it lasts, which would be
/// more than eight kilobytes, and so three pages of memory instead of two.
#[expect(clippy::box_collection, reason = "see above")]
pub(super) struct Pieces(Box<VecDeque<Bytes>>);

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// Headers of a client that reach the provider: switches of its API that stand outside the body, in the dialect that has
/// them.
const FROM_CLIENT: [(HeaderName, &[Dialect]); 1] = [(
    HeaderName::from_static("openai-beta"),
    &[Dialect::OpenaiChat, Dialect::OpenaiResponses],
)];
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The one that Anthropic's dialect is written for, where the client names none.
const ANTHROPIC_VERSION_USUAL: HeaderValue = HeaderValue::from_static("2023-06-01");

/// A request whose target is a path; its host is named when it is known over what it goes.
pub(super) fn build(errand: Errand<'_>, content_type: HeaderValue) -> Result<Sent, SendFault> {
    let uri = errand.base_url.target(errand.path).ok_or(SendFault::BadRequest)?;
    let headers = headers(&errand, content_type)?;
    let mut request = Box::new(Request::new(Pieces(Box::new(errand.body.into()))));
    *request.method_mut() = errand.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

fn headers(errand: &Errand<'_>, content_type: HeaderValue) -> Result<HeaderMap, SendFault> {
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
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let attempt_id = HeaderValue::from_str(errand.attempt_id).map_err(|_| SendFault::BadRequest)?;
    headers.insert(HeaderName::from_static("x-request-id"), attempt_id);
    for (name, dialects) in FROM_CLIENT {
        if let Some(value) = errand.client_headers.get(&name)
            && dialects.contains(&errand.dialect)
        {
            headers.insert(name, value.clone());
        }
    }
    if errand.dialect == Dialect::AnthropicMessages {
        anthropic(errand, &mut headers);
    }
    if let Some((name, value)) = credential(errand)? {
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The version, which Anthropic wants named, and of the betas those that this provider knows.
fn anthropic(errand: &Errand<'_>, headers: &mut HeaderMap) {
    let version = errand.client_headers.get(ANTHROPIC_VERSION);
    headers.insert(
        ANTHROPIC_VERSION,
        version.cloned().unwrap_or(ANTHROPIC_VERSION_USUAL),
    );
    let asked = errand.client_headers.get_all(ANTHROPIC_BETA);
    let betas: Vec<&str> = asked
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|beta| !beta.is_empty() && errand.betas.iter().any(|known| known.matches(beta)))
        .collect();
    if let Ok(value) = HeaderValue::from_str(&betas.join(","))
        && !betas.is_empty()
    {
        headers.insert(ANTHROPIC_BETA, value);
    }
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
        AuthStyle::ApiKey => (HeaderName::from_static("api-key"), secret.to_owned()),
        // A service account shows no more than the token that it got, which is sent as a bearer's.
        AuthStyle::None | AuthStyle::GoogleServiceAccount => return Ok(None),
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

#[cfg(test)]
mod tests {
    use http::Method;
    use vault::Secret;

    use super::*;
    use crate::upstream::{AT_ANY_TIME, Timeouts};
    use crate::{BaseUrl, Glob, Trust};

    /// What is sent of a client's switches to a provider of that dialect which knows these betas.
    fn sent(client: &HeaderMap, dialect: Dialect, betas: &[&str]) -> Vec<(String, String)> {
        let errand = Errand {
            credential_id: "cred-1",
            base_url: &BaseUrl::parse("https://h/v1", Trust::Operator).unwrap(),
            auth: AuthStyle::ApiKey,
            dialect,
            betas: &betas.iter().copied().map(Glob::from).collect::<Vec<_>>(),
            secret: Some(&Secret::new("s".to_owned())),
            method: Method::POST,
            path: "/messages",
            body: Vec::new(),
            streamed: false,
            attempt_id: "call-1",
            client_headers: client,
            timeouts: &Timeouts::default(),
            may_go: AT_ANY_TIME,
        };
        let headers = headers(&errand, JSON).unwrap();
        assert_eq!(headers["api-key"], "s");
        headers
            .iter()
            .filter(|(name, _)| name.as_str().contains("openai") || name.as_str().contains("anthropic"))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn switches_reach_only_who_speaks_the_dialect_that_has_them() {
        let mut client = HeaderMap::new();
        client.insert("openai-beta", HeaderValue::from_static("x=1"));
        client.insert("anthropic-version", HeaderValue::from_static("2025-01-01"));
        client.append(
            "anthropic-beta",
            HeaderValue::from_static("context-1m-2025, ,skills-1"),
        );
        client.append("anthropic-beta", HeaderValue::from_static("other-2"));
        client.insert("openai-organization", HeaderValue::from_static("org"));
        for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses] {
            assert_eq!(sent(&client, dialect, &["*"]), [pair("openai-beta", "x=1")]);
        }
        assert_eq!(sent(&client, Dialect::GeminiGenerate, &["*"]), []);
        let version = pair("anthropic-version", "2025-01-01");
        let all = pair("anthropic-beta", "context-1m-2025,skills-1,other-2");
        let some = pair("anthropic-beta", "context-1m-2025");
        let to_anthropic = |betas: &[&str]| sent(&client, Dialect::AnthropicMessages, betas);
        assert_eq!(to_anthropic(&["*"]), [version.clone(), all]);
        assert_eq!(to_anthropic(&["context-1m-*"]), [version.clone(), some]);
        assert_eq!(to_anthropic(&[]), [version]);
    }

    #[test]
    fn anthropic_is_told_a_version_where_the_client_names_none() {
        let usual = [pair("anthropic-version", "2023-06-01")];
        assert_eq!(sent(&HeaderMap::new(), Dialect::AnthropicMessages, &["*"]), usual);
    }
}
