//! What can be asked for: all endpoints on one page.

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use dialect::refusal::{Code, Refusal};
use futures_util::FutureExt as _;
use futures_util::future::Either;
use gateway::{CallId, Gateway, Request, Worker, failpoint};
use http::{HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::answer::{self, Body};
use crate::client::{chat_completions, health, models, presented_key};
use crate::front;
use crate::limits::FrontLimits;
use crate::panic;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint {
    ForCallers(ForCallers),
    ForAnybody(ForAnybody),
}

/// What needs a gateway key.
#[derive(Debug, PartialEq, Eq)]
enum ForCallers {
    ChatCompletions,
    Models,
    Model(String),
}

/// What needs none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ForAnybody {
    /// Whether this process runs.
    Live,
    /// Whether it takes calls.
    Ready,
    /// How it is.
    Health,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request. Whatever is wrong with it, there is an answer.
pub(crate) fn answer(
    worker: Arc<Worker>,
    request: http::Request<Incoming>,
    limits: FrontLimits,
    started: Instant,
) -> impl Future<Output = Response<Body>> {
    let call_id = CallId::generate();
    let endpoint = front::check(&request).and_then(|()| Endpoint::of(request.method(), request.uri().path()));
    let answering = match endpoint {
        Ok(Endpoint::ForCallers(endpoint)) => {
            let answered = endpoint.answer(worker, request, limits, call_id, started);
            let or_refused = |refusal| answer::refusal(&refusal);
            Either::Left(
                panic::caught_in(answered).map(move |answered| answered.flatten().unwrap_or_else(or_refused)),
            )
        }
        Ok(Endpoint::ForAnybody(endpoint)) => Either::Right(ready(endpoint.answer(&worker.gateway))),
        Err(refusal) => Either::Right(ready(answer::refusal(&refusal))),
    };
    answering.map(move |mut response| {
        if let Ok(value) = HeaderValue::from_str(call_id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    })
}

impl Endpoint {
    #[rustfmt::skip]
    fn of(method: &Method, path: &str) -> Result<Self, Refusal> {
        use ForAnybody::{Health, Live, Ready};
        use ForCallers::{ChatCompletions, Model, Models};
        let (endpoint, allowed) = match path {
            "/v1/chat/completions" => (Self::ForCallers(ChatCompletions), Method::POST),
            "/v1/models"           => (Self::ForCallers(Models),          Method::GET),
            "/livez"               => (Self::ForAnybody(Live),            Method::GET),
            "/readyz"              => (Self::ForAnybody(Ready),           Method::GET),
            "/healthz"             => (Self::ForAnybody(Health),          Method::GET),
            _ => match path.strip_prefix("/v1/models/").and_then(decoded) {
                Some(name)         => (Self::ForCallers(Model(name)),     Method::GET),
                None => return Err(Refusal::new(Code::UnknownEndpoint, "There is no such endpoint.")),
            },
        };
        if *method == allowed {
            return Ok(endpoint);
        }
        Err(Refusal::new(Code::MethodNotAllowed, format!("This endpoint takes {allowed} only.")))
    }
}

impl ForCallers {
    fn answer(
        self,
        worker: Arc<Worker>,
        request: http::Request<Incoming>,
        limits: FrontLimits,
        call_id: CallId,
        started: Instant,
    ) -> impl Future<Output = Result<Response<Body>, Refusal>> {
        let (http::request::Parts { headers, .. }, mut body) = request.into_parts();
        async move {
            let call = Request {
                call_id,
                started,
                key: presented_key(&headers)?,
                headers: &headers,
            };
            failpoint("answer");
            match self {
                Self::ChatCompletions => chat_completions::answer(&worker, &call, &mut body, limits).await,
                // In boxes, since they are large and rare: every request carries room for all that it may wait for.
                Self::Models => Box::pin(models::list(&worker, &call)).await,
                Self::Model(name) => Box::pin(models::one(&worker, &call, &name)).await,
            }
        }
    }
}

impl ForAnybody {
    /// The one at this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match Endpoint::of(&Method::GET, path) {
            Ok(Endpoint::ForAnybody(endpoint)) => Some(endpoint),
            _ => None,
        }
    }

    pub(crate) fn answer(self, gateway: &Gateway) -> Response<Body> {
        match self {
            Self::Live => health::live(),
            Self::Ready => health::ready(gateway),
            Self::Health => health::health(gateway),
        }
    }
}

/// The end of a path as a model name: SDKs write the slash in `provider/model` as `%2F`.
fn decoded(text: &str) -> Option<String> {
    let name = percent_decode_str(text).decode_utf8().ok()?;
    (!name.is_empty() && !name.contains(char::is_control)).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_by_method_and_path() {
        let find = |method, path| Endpoint::of(&method, path).map_err(|refusal| refusal.code.status());
        assert_eq!(
            find(Method::POST, "/v1/chat/completions"),
            Ok(Endpoint::ForCallers(ForCallers::ChatCompletions))
        );
        assert_eq!(
            find(Method::GET, "/v1/models"),
            Ok(Endpoint::ForCallers(ForCallers::Models))
        );
        assert_eq!(
            find(Method::GET, "/v1/models/groq%2Fllama-3"),
            Ok(Endpoint::ForCallers(ForCallers::Model("groq/llama-3".to_owned())))
        );
        assert_eq!(find(Method::GET, "/v1/chat/completions"), Err(405));
        for path in [
            "/",
            "/v1/models/",
            "/v1/models/%00",
            "/v1/models/%ff",
            "//v1/models",
            "/v1/chat/completions/",
        ] {
            assert_eq!(find(Method::GET, path), Err(404), "{path}");
        }
    }
}
