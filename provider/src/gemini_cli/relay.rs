//! The relay between processes and Google, where an operator wants one: a process is shown where it is, and a capability of
//! its own in place of a token. What it asks of Code Assist goes on with the token; anything else it asks is refused.
//!
//! On the way by, the relay reads what the program does not tell: why the model ended, all of the usage, and when Google may
//! be asked again. Requests and
//! answers are otherwise passed on as they are. Who listens for it is somebody else's business: see [`GeminiCli::relay`].

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::timeout;
use vault::Secret;

use super::GeminiCli;
use super::confined::Confined;
use super::seen::{Reader, Seen};
use super::wait;
use crate::upstream::Courier;

/// It, for all processes.
pub(super) struct Relay {
    address: SocketAddr,
    courier: Courier,
    /// Who starts processes that reach nothing else, where the kernel sees to that.
    confined: Option<Confined>,
    passes: Mutex<Vec<Arc<Pass>>>,
}

/// What one process may.
struct Pass {
    capability: Secret,
    token: Mutex<Secret>,
    /// Where Google's service is, without a slash at the end.
    endpoint: String,
    seen: Mutex<Seen>,
}

/// A process that is let through, for as long as this lives.
pub(super) struct Admitted {
    relay: Arc<Relay>,
    pass: Arc<Pass>,
}

/// What a process gets.
pub struct RelayBody(Source);

enum Source {
    Ours(Option<Bytes>),
    Googles {
        body: Incoming,
        /// Of answers of a model.
        reader: Option<(Arc<Pass>, Reader)>,
    },
}

const GENERATE: &str = "streamGenerateContent";
/// All that a plain model needs.
const METHODS: [&str; 7] = [
    "loadCodeAssist",
    "onboardUser",
    "retrieveUserQuota",
    "listExperiments",
    "fetchAdminControls",
    "countTokens",
    GENERATE,
];
const BEGINS: &str = "/v1internal:";
const OPERATIONS: &str = "/v1internal/operations/";
const QUERY: &str = "alt=sse";
/// Of a request, and how long it may take to come: it does so from this machine.
const BODY_BYTES_MAX: usize = 64 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Of the program's headers, what Google is to see.
const PASSED: [HeaderName; 5] = [
    ACCEPT,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("x-goog-api-client"),
    HeaderName::from_static("x-goog-user-project"),
];
const PASSED_BACK: [HeaderName; 2] = [CONTENT_TYPE, RETRY_AFTER];

impl Relay {
    pub(super) fn new(address: SocketAddr, courier: Courier, confined: Option<Confined>) -> Self {
        Self {
            address,
            courier,
            confined,
            passes: Mutex::default(),
        }
    }

    /// Where processes find it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn confined(&self) -> Option<&Confined> {
        self.confined.as_ref()
    }

    /// Lets a process through. None when there is no chance to be had for a capability.
    pub(super) fn admit(self: &Arc<Self>, token: &Secret, endpoint: &str) -> Option<Admitted> {
        let pass = Arc::new(Pass {
            capability: Secret::random().ok()?,
            token: Mutex::new(token.clone()),
            endpoint: endpoint.to_owned(),
            seen: Mutex::default(),
        });
        locked(&self.passes).push(pass.clone());
        Some(Admitted {
            relay: self.clone(),
            pass,
        })
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Response<RelayBody> {
        let (head, body) = request.into_parts();
        // A tunnel, or a request to somebody else: it takes us for its proxy.
        if head.method == Method::CONNECT || head.uri.authority().is_some() {
            return refused(StatusCode::FORBIDDEN, "This leads to nobody else.");
        }
        let Some(pass) = self.pass(&head.headers) else {
            return refused(StatusCode::UNAUTHORIZED, "This is no process of the gateway's.");
        };
        if !is_allowed(&head.method, head.uri.path(), head.uri.query()) {
            return refused(StatusCode::FORBIDDEN, "This is not asked of Google from here.");
        }
        // Nothing is read of whoever may not ask.
        let reading = Limited::new(body, BODY_BYTES_MAX).collect();
        let Ok(Ok(body)) = timeout(BODY_TIMEOUT, reading).await else {
            return refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "This is too much, or takes too long.",
            );
        };
        let body = body.to_bytes();
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let url = format!("{}{path}", pass.endpoint);
        let Some(request) = request_to(&head.method, &url, &head.headers, &locked(&pass.token), body) else {
            return refused(StatusCode::BAD_REQUEST, "This cannot be passed on.");
        };
        let answer = match self.courier.open(request).await {
            Ok(answer) => answer,
            Err(_) => return refused(StatusCode::BAD_GATEWAY, "Google does not answer."),
        };
        let (googles, body) = answer.into_parts();
        let reader = head.uri.path().ends_with(GENERATE).then(|| {
            locked(&pass.seen).wait_s = seconds(&googles.headers);
            (pass, Reader::of(googles.status.is_success()))
        });
        let mut response = Response::new(RelayBody(Source::Googles { body, reader }));
        *response.status_mut() = googles.status;
        for name in PASSED_BACK {
            if let Some(value) = googles.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    fn pass(&self, headers: &HeaderMap) -> Option<Arc<Pass>> {
        let shown = headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        let shown = Secret::new(shown.to_owned());
        let passes = locked(&self.passes);
        passes
            .iter()
            .find(|pass| pass.capability.matches(&shown))
            .cloned()
    }
}

impl Admitted {
    pub(super) fn capability(&self) -> &Secret {
        &self.pass.capability
    }

    pub(super) fn url(&self) -> String {
        self.relay.url()
    }

    /// From now on requests go with this token.
    pub(super) fn renew(&self, token: &Secret) {
        *locked(&self.pass.token) = token.clone();
    }

    /// What was seen since this was asked last.
    pub(super) fn seen(&self) -> Seen {
        std::mem::take(&mut locked(&self.pass.seen))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        locked(&self.relay.passes).retain(|pass| !Arc::ptr_eq(pass, &self.pass));
    }
}

impl GeminiCli {
    /// Answers what a process has asked of the relay. Without a relay it is nobody's.
    pub async fn relay(&self, request: Request<Incoming>) -> Response<RelayBody> {
        match self.0.relay() {
            Some(relay) => relay.pass_on(request).await,
            None => refused(StatusCode::NOT_FOUND, "There is nothing here."),
        }
    }
}

fn is_allowed(method: &Method, path: &str, query: Option<&str>) -> bool {
    if query.is_some_and(|query| query != QUERY) {
        return false;
    }
    let is_operation = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match *method {
        Method::POST => path
            .strip_prefix(BEGINS)
            .is_some_and(|name| METHODS.contains(&name)),
        Method::GET => path.strip_prefix(OPERATIONS).is_some_and(is_operation),
        _ => false,
    }
}

fn request_to(
    method: &Method,
    url: &str,
    headers: &HeaderMap,
    token: &Secret,
    body: Bytes,
) -> Option<Request<Bytes>> {
    let mut bearer = HeaderValue::from_str(&["Bearer ", token.expose()].concat()).ok()?;
    bearer.set_sensitive(true);
    let mut request = Request::builder().method(method).uri(url).body(body).ok()?;
    for name in PASSED {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Some(request)
}

/// When Google may be asked again, where its headers say so.
fn seconds(headers: &HeaderMap) -> Option<u64> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds <= wait::SECONDS_MAX).then_some(seconds)
}

/// An answer of our own, as Google would write it.
fn refused(status: StatusCode, message: &str) -> Response<RelayBody> {
    let error =
        json!({"error": {"code": status.as_u16(), "message": message, "status": "PERMISSION_DENIED"}});
    let mut response = Response::new(RelayBody(Source::Ours(Some(Bytes::from(error.to_string())))));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Source::Ours(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Googles { body, reader } => {
                let polled = Pin::new(body).poll_frame(context);
                if let (Poll::Ready(Some(Ok(frame))), Some((pass, reader))) = (&polled, reader)
                    && let Some(bytes) = frame.data_ref()
                {
                    reader.read(bytes, &mut locked(&pass.seen));
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Ours(bytes) => bytes.is_none(),
            Source::Googles { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Googles { body, .. } => body.size_hint(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plain_model_needs_is_asked() {
        let post = |path: &str, query| is_allowed(&Method::POST, path, query);
        assert!(post("/v1internal:streamGenerateContent", Some("alt=sse")));
        assert!(post("/v1internal:loadCodeAssist", None));
        assert!(is_allowed(&Method::GET, "/v1internal/operations/abc-1", None));
        for (path, query) in [
            ("/v1internal:recordCodeAssistMetrics", None),
            ("/v1internal:setCodeAssistGlobalUserSetting", None),
            ("/v1internal:loadCodeAssist", Some("alt=json")),
            ("/v1internal:loadCodeAssist/..", None),
            ("/x/v1internal:loadCodeAssist", None),
            ("/oauth2/v2/userinfo", None),
            ("/", None),
        ] {
            assert!(!post(path, query), "{path}");
        }
        assert!(!is_allowed(&Method::GET, "/v1internal:loadCodeAssist", None));
        assert!(!is_allowed(&Method::GET, "/v1internal/operations/../x", None));
    }
}
