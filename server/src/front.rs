//! What the head of a request must be, before anything looks at what it asks for.
//!
//! The HTTP library refuses what it cannot read. What it reads, but what another server on the way may read otherwise,
//! is refused here: that is how requests are smuggled (RFC 9112, section 11.2) and hosts are confused.

use std::str::FromStr as _;

use dialect::refusal::{Code, Refusal};
use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Version};
use hyper::server::conn::http1;

/// All that stands before the body, and in how many lines.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
const METHOD_BYTES_MAX: usize = 32;
const TARGET_BYTES_MAX: usize = 8 << 10;
const HEADER_BYTES_MAX: usize = 32 << 10;

/// How the HTTP library is to read heads in HTTP/1.
pub(crate) fn parser() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // `Patient` has the time for heads.
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

/// Checks a head.
///
/// # Errors
/// What is wrong with it. The connection is not to be used any further.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    method(request.method())?;
    target(request)?;
    if request
        .headers()
        .values()
        .any(|value| value.len() > HEADER_BYTES_MAX)
    {
        return Err(Refusal::new(Code::HeadTooLarge, "A header is too long."));
    }
    // HTTP/2 has frames for what these say in HTTP/1.
    if request.version() <= Version::HTTP_11 {
        host(request.headers(), request.version())?;
        framing(request.headers())?;
    }
    expectation(request.headers())
}

fn method(method: &Method) -> Result<(), Refusal> {
    if method.as_str().len() > METHOD_BYTES_MAX {
        return Err(malformed("The method is too long."));
    }
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return Err(Refusal::new(Code::MethodNotAllowed, "This method is not served."));
    }
    Ok(())
}

fn target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    let bytes = uri.path().len() + uri.query().map_or(0, str::len);
    if bytes > TARGET_BYTES_MAX {
        return Err(Refusal::new(Code::UriTooLong, "The path is too long."));
    }
    if request.version() <= Version::HTTP_11 && uri.authority().is_some() {
        return Err(malformed("The request names a host where only a path belongs."));
    }
    Ok(())
}

/// Exactly one host, which is one. HTTP/1.0 did not have to name it.
fn host(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let is_host = |text: &str| {
        Authority::from_str(text).is_ok_and(|host| !host.host().is_empty() && !text.contains('@'))
    };
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.to_str().is_ok_and(is_host) => Ok(()),
        (None, _) if version < Version::HTTP_11 => Ok(()),
        _ => Err(malformed(
            "The request has to name one host, as `host` or `host:port`.",
        )),
    }
}

/// Lengths are the HTTP library's: it refuses two that differ, takes one that is told twice for one, and where the body
/// comes chunked it ignores them and closes the connection behind it.
fn framing(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_some() {
        return Err(malformed("The coding of the body is told more than once."));
    }
    match headers.get(TRANSFER_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Err(Refusal::new(
            Code::UnsupportedTransferCoding,
            "The body has to come chunked or with its length.",
        )),
        _ => Ok(()),
    }
}

fn expectation(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_known = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(EXPECT).iter().all(is_known) {
        Ok(())
    } else {
        Err(Refusal::new(
            Code::ExpectationFailed,
            "What the request expects is not known here.",
        ))
    }
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(Code::MalformedRequest, message)
}
