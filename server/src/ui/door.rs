//! Who may ask for a page, and what a browser may do with it.
//!
//! A name that somebody points at us (DNS rebinding) is not ours, and a form that another site sends is not from us: both
//! are refused before any page is looked for. Whatever is answered carries the same policy.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::UiParts;
use super::gemini::sorry;

/// Where the pages are, as browsers see it.
#[derive(Debug, Clone)]
pub struct Origin {
    text: String,
    host: String,
    secure: bool,
}

/// An address under which pages cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("it is no address such as https://gateway.example.com")]
    Malformed,
    #[error("pages need https://, except on the machine itself (http://127.0.0.1)")]
    NotSecure,
}

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const CROSS_ORIGIN_OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

impl Origin {
    /// Reads the address under which browsers reach the gateway.
    ///
    /// # Errors
    /// When it is none, or one over which a key must not be sent.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let uri: Uri = url.parse().map_err(|_| OriginError::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(OriginError::Malformed);
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(OriginError::Malformed);
        }
        let host = authority.as_str().to_ascii_lowercase();
        let host = match scheme {
            "https" => host.strip_suffix(":443").unwrap_or(&host),
            "http" if is_this_machine(authority.host()) => host.strip_suffix(":80").unwrap_or(&host),
            "http" => return Err(OriginError::NotSecure),
            _ => return Err(OriginError::Malformed),
        };
        Ok(Self {
            text: format!("{scheme}://{host}"),
            secure: scheme == "https",
            host: host.to_owned(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether browsers keep cookies for it that they send over TLS alone.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    fn is_asked(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let named = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => headers.get(HOST).and_then(|host| host.to_str().ok()),
        };
        let usual = if self.secure { ":443" } else { ":80" };
        named.is_some_and(|host| {
            let host = host.strip_suffix(usual).unwrap_or(host);
            host.eq_ignore_ascii_case(&self.host)
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Lets through what may be asked, and closes what is answered.
pub(super) async fn guard(
    State(parts): State<Arc<UiParts>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let refused = refusal(&parts.origin, &request);
    let mut response = match refused {
        Some(response) => response,
        None => next.run(request).await,
    };
    close(response.headers_mut(), parts.origin.is_secure());
    response
}

fn refusal(origin: &Origin, request: &Request<Body>) -> Option<Response<Body>> {
    let headers = request.headers();
    if !origin.is_asked(request.uri(), headers) {
        let why = format!(
            "These pages are at {}/ui/gemini and nowhere else.",
            origin.as_str()
        );
        return Some(sorry(StatusCode::MISDIRECTED_REQUEST, &why));
    }
    if headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return Some(sorry(
            StatusCode::FORBIDDEN,
            "Other sites may not use these pages.",
        ));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let is_own = |name: &HeaderName, own: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == own) && values.next().is_none()
    };
    if is_own(&ORIGIN, origin.as_str()) && is_own(&FETCH_SITE, "same-origin") {
        return None;
    }
    let why = "This form was not sent from one of our own pages. Open the page again, in a browser of today.";
    Some(sorry(StatusCode::FORBIDDEN, why))
}

fn close(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` browsers would not say from where a form comes either.
        (REFERRER_POLICY, "same-origin"),
        (CROSS_ORIGIN_OPENER, "same-origin"),
        (CROSS_ORIGIN_RESOURCE, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if secure {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, a_year);
    }
}

pub(super) async fn nothing_here() -> Response<Body> {
    sorry(StatusCode::NOT_FOUND, "There is no such page.")
}

pub(super) async fn other_method() -> Response<Body> {
    sorry(
        StatusCode::METHOD_NOT_ALLOWED,
        "This page cannot be asked like that.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_where_a_key_can_be_sent() {
        for (url, expected) in [
            ("https://Gate.example.com:443/", Ok("https://gate.example.com")),
            (
                "https://gate.example.com:8443",
                Ok("https://gate.example.com:8443"),
            ),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("http://localhost", Ok("http://localhost")),
            ("http://gate.example.com", Err(OriginError::NotSecure)),
            ("http://localhost.example.com", Err(OriginError::NotSecure)),
            ("http://0.0.0.0:8080", Err(OriginError::NotSecure)),
            ("https://gate.example.com/path", Err(OriginError::Malformed)),
            ("https://me@gate.example.com", Err(OriginError::Malformed)),
            ("gate.example.com", Err(OriginError::Malformed)),
            ("ftp://127.0.0.1", Err(OriginError::Malformed)),
        ] {
            let origin = Origin::parse(url);
            assert_eq!(
                origin.as_ref().map(Origin::as_str).map_err(|error| *error),
                expected,
                "{url}"
            );
        }
    }
}
