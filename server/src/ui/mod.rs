//! The pages: made here, readable without JavaScript, answered on the control runtime.
//!
//! They are the one part of the gateway that browsers bring their own authority to, so they are kept apart: only under our
//! own host, only from our own pages, with a policy that lets a browser load nothing else.

mod door;
mod gemini;
mod listen;
mod session;
mod time;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::routing::get;
use bytes::Bytes;
use dialect::Dialect;
use gateway::Sessions;
use gateway::google::Logins;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tower::ServiceExt as _;

use crate::answer::{self, Body};
use crate::front;

pub use door::{Origin, OriginError};
pub use listen::serve_ui;

/// All pages. Its clones are the same.
#[derive(Clone)]
pub struct Ui {
    router: Router,
    control: Handle,
}

/// What pages need.
pub struct UiParts {
    pub origin: Origin,
    pub sessions: Sessions,
    pub logins: Arc<Logins>,
}

/// Forms are small; the largest holds a file with tokens.
const BODY_BYTES_MAX: usize = 128 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const PAGE_BYTES_MAX: usize = 4 << 20;
const STYLE: &str = include_str!("../../assets/ui.css");
const ICON: &str = include_str!("../../assets/icon.svg");

impl Ui {
    /// Pages that are answered on `control`.
    pub fn new(parts: UiParts, control: Handle) -> Self {
        let parts = Arc::new(parts);
        let router = Router::new()
            .route("/ui/style.css", get(|| file(STYLE, "text/css; charset=utf-8")))
            .route("/ui/icon.svg", get(|| file(ICON, "image/svg+xml")))
            .merge(gemini::routes())
            .fallback(door::nothing_here)
            .method_not_allowed_fallback(door::other_method)
            .layer(axum::middleware::from_fn_with_state(parts.clone(), door::guard))
            .with_state(parts);
        Self { router, control }
    }

    /// Whether a path is one of theirs.
    pub(crate) fn has(path: &str) -> bool {
        path == "/ui" || path.starts_with("/ui/")
    }

    /// Answers a request that came in elsewhere.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        if let Err(refusal) = front::check(&request) {
            return answer::refusal(Dialect::OpenaiChat, &refusal);
        }
        let (head, body) = request.into_parts();
        let reading = Limited::new(body, BODY_BYTES_MAX).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return plain(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
        };
        let request = Request::from_parts(head, axum::body::Body::from(body));
        // A panic in a page is its request's alone.
        let answered = self.control.spawn(async move {
            let Ok(response) = self.router.oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = to_bytes(body, PAGE_BYTES_MAX).await.unwrap_or_default();
            Response::from_parts(head, Body::Whole(Some(body)))
        });
        answered
            .await
            .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// A file that pages are made of.
async fn file(text: &'static str, kind: &'static str) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::from(text));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer without a page, for who does not speak as a browser does.
fn plain(status: StatusCode) -> Response<Body> {
    let text = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(Body::Whole(Some(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Sends a browser to another of our own pages.
fn see(path: &'static str) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(path));
    response
}
