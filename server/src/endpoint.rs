//! What can be asked for: all endpoints on one page.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dialect::codec::InPath;
use dialect::embeddings::Form;
use dialect::gemini_generate::{self, Method as GeminiMethod};
use dialect::refusal::{Code, Refusal};
use dialect::{Counter, Dialect};
use futures_util::FutureExt as _;
use futures_util::future::Either;
use gateway::{Asked, CallId, Gateway, KeepAlive, Operation, Request, Worker, failpoint};
use http::{HeaderName, HeaderValue, Method, Response, Uri};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::answer::{self, Body};
use crate::client::early::{self, Answering};
use crate::client::{call, health, models, presented_key};
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
    /// A call of a model that the body names.
    Call(Operation),
    /// A call of a model that the path names, as Gemini's do.
    CallOf {
        model: String,
        operation: Operation,
        stream: bool,
        is_array: bool,
    },
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

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What all clients of Anthropic's dialect send, and what those of Google's do, whichever of its versions they ask for.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Answers one request. Whatever is wrong with it, there is an answer.
pub(crate) fn answer(
    worker: Arc<Worker>,
    request: http::Request<Incoming>,
    dialect: Dialect,
    limits: FrontLimits,
    started: Instant,
) -> impl Future<Output = Response<Body>> {
    let call_id = CallId::generate();
    let endpoint =
        front::check(&request).and_then(|()| Endpoint::of(request.method(), request.uri(), dialect));
    let answering = match endpoint {
        Ok(Endpoint::ForCallers(endpoint)) => {
            let KeepAlive { every, early } = worker.gateway.settings().keep_alive;
            let early = every.filter(|_| early);
            let wanted = early.map(|_| Arc::<AtomicBool>::default());
            let answered = endpoint.answer(
                worker,
                request,
                dialect,
                limits,
                (call_id, started),
                wanted.clone(),
            );
            let answered = panic::caught_in(answered).map(Result::flatten);
            let or_refused = move |refusal| answer::refusal(dialect, &refusal);
            Either::Left(match wanted.zip(early) {
                // In a box, for it may have to go on when the answer has begun.
                Some((wanted, every)) => {
                    Either::Left(early::answer(answered.boxed(), dialect, wanted, every))
                }
                None => Either::Right(answered.map(move |answered| answered.unwrap_or_else(or_refused))),
            })
        }
        Ok(Endpoint::ForAnybody(endpoint)) => Either::Right(ready(endpoint.answer(&worker.gateway))),
        Err(refusal) => Either::Right(ready(answer::refusal(dialect, &refusal))),
    };
    answering.map(move |mut response| {
        if let Ok(value) = HeaderValue::from_str(call_id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    })
}

/// In which dialect whoever asks for this is answered, be it with a refusal: by the path, and where dialects share one, by
/// the header that all clients of the one send.
pub(crate) fn dialect_of<B>(request: &http::Request<B>) -> Dialect {
    let path = request.uri().path();
    let is_under = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is_under("/v1/messages") {
        Dialect::AnthropicMessages
    } else if is_under("/v1/responses") {
        Dialect::OpenaiResponses
    } else if is_under("/v1beta") || of_model(path).is_some_and(|name| is_call(request.method(), &name)) {
        Dialect::GeminiGenerate
    } else if is_under("/v1/models") && request.headers().contains_key(ANTHROPIC_VERSION) {
        Dialect::AnthropicMessages
    } else if is_under("/v1/models") && request.headers().contains_key(GOOGLE_KEY) {
        Dialect::GeminiGenerate
    } else {
        Dialect::OpenaiChat
    }
}

impl Endpoint {
    #[rustfmt::skip]
    fn of(method: &Method, uri: &Uri, dialect: Dialect) -> Result<Self, Refusal> {
        use ForAnybody::{Health, Live, Ready};
        use ForCallers::{Call, Model, Models};
        use Operation::{CountTokens, Embed, Generate};
        let (endpoint, allowed) = match uri.path() {
            "/v1/chat/completions"
            | "/v1/responses"
            | "/v1/messages"       => (Self::ForCallers(Call(Generate)),  Method::POST),
            "/v1/messages/count_tokens" => {
                let counter = Counter::AnthropicMessages;
                (Self::ForCallers(Call(CountTokens(counter))),            Method::POST)
            }
            "/v1/embeddings"       => (Self::ForCallers(Call(Embed(Form::Openai))), Method::POST),
            "/v1/models"
            | "/v1beta/models"     => (Self::ForCallers(Models),          Method::GET),
            "/livez"               => (Self::ForAnybody(Live),            Method::GET),
            "/readyz"              => (Self::ForAnybody(Ready),           Method::GET),
            "/healthz"             => (Self::ForAnybody(Health),          Method::GET),
            path => match of_model(path) {
                Some(of_model) if dialect == Dialect::GeminiGenerate && is_call(method, &of_model) => {
                    (Self::ForCallers(call_of(&of_model, uri)?),          Method::POST)
                }
                Some(name)         => (Self::ForCallers(Model(name)),     Method::GET),
                None => return Err(unknown()),
            },
        };
        if *method == allowed {
            return Ok(endpoint);
        }
        Err(Refusal::new(Code::MethodNotAllowed, format!("This endpoint takes {allowed} only.")))
    }
}

/// What stands behind the collection of models.
fn of_model(path: &str) -> Option<String> {
    let rest = path
        .strip_prefix("/v1/models/")
        .or_else(|| path.strip_prefix("/v1beta/models/"))?;
    decoded(rest)
}

/// Whether something is done with a model, and not asked about it: names of models have colons, too (`qwen3:8b`).
fn is_call(method: &Method, of_model: &str) -> bool {
    *method == Method::POST || gemini_generate::split_path(of_model).is_some()
}

/// A call whose path names the model, and what is done with it.
fn call_of(path: &str, uri: &Uri) -> Result<ForCallers, Refusal> {
    let (model, method) = gemini_generate::split_path(path).ok_or_else(unknown)?;
    let operation = match method {
        GeminiMethod::GenerateContent | GeminiMethod::StreamGenerateContent => Operation::Generate,
        GeminiMethod::CountTokens => Operation::CountTokens(Counter::GeminiGenerate),
        GeminiMethod::EmbedContent => Operation::Embed(Form::GeminiOne),
        GeminiMethod::BatchEmbedContents => Operation::Embed(Form::GeminiMany),
    };
    let stream = method == GeminiMethod::StreamGenerateContent;
    let in_query = |text: &str| {
        uri.query()
            .is_some_and(|query| query.split('&').any(|pair| pair == text))
    };
    Ok(ForCallers::CallOf {
        model: model.to_owned(),
        operation,
        stream,
        is_array: stream && !in_query("alt=sse"),
    })
}

fn unknown() -> Refusal {
    Refusal::new(Code::UnknownEndpoint, "There is no such endpoint.")
}

impl ForCallers {
    fn answer(
        self,
        worker: Arc<Worker>,
        request: http::Request<Incoming>,
        dialect: Dialect,
        limits: FrontLimits,
        (call_id, started): (CallId, Instant),
        stream_wanted: Option<Arc<AtomicBool>>,
    ) -> Answering {
        let (http::request::Parts { headers, uri, .. }, mut body) = request.into_parts();
        // In a box, since it is large, and all that is put around it would move it once more.
        Box::pin(async move {
            let query = uri.query().filter(|_| dialect == Dialect::GeminiGenerate);
            let call = Request {
                call_id,
                started,
                key: presented_key(&headers, query)?,
                headers: &headers,
                asked: Asked {
                    dialect,
                    in_path: self.in_path(),
                    operation: self.operation(),
                },
                stream_wanted: stream_wanted.as_deref(),
            };
            failpoint("answer");
            match &self {
                Self::Call(_) | Self::CallOf { .. } => call::answer(&worker, &call, &mut body, limits).await,
                // In boxes, since they are large and rare: every request carries room for all that it may wait for.
                Self::Models => Box::pin(models::list(&worker, &call)).await,
                Self::Model(name) => Box::pin(models::one(&worker, &call, name)).await,
            }
        })
    }

    fn in_path(&self) -> InPath<'_> {
        match self {
            Self::CallOf {
                model,
                stream,
                is_array,
                ..
            } => InPath {
                model,
                stream: *stream,
                is_array: *is_array,
            },
            Self::Call(_) | Self::Models | Self::Model(_) => InPath::default(),
        }
    }

    fn operation(&self) -> Operation {
        match self {
            Self::Call(operation) | Self::CallOf { operation, .. } => *operation,
            Self::Models | Self::Model(_) => Operation::Generate,
        }
    }
}

impl ForAnybody {
    /// The one at this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match Endpoint::of(&Method::GET, &Uri::try_from(path).ok()?, Dialect::OpenaiChat) {
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
        let find = |method, path: &'static str| {
            let request = http::Request::builder().uri(path).body(()).unwrap();
            Endpoint::of(&method, request.uri(), dialect_of(&request))
                .map_err(|refusal| refusal.code.status())
        };
        let counting = Operation::CountTokens(Counter::AnthropicMessages);
        for (path, operation) in [
            ("/v1/chat/completions", Operation::Generate),
            ("/v1/responses", Operation::Generate),
            ("/v1/messages", Operation::Generate),
            ("/v1/messages/count_tokens", counting),
            ("/v1/embeddings", Operation::Embed(Form::Openai)),
        ] {
            assert_eq!(
                find(Method::POST, path),
                Ok(Endpoint::ForCallers(ForCallers::Call(operation))),
                "{path}"
            );
            assert_eq!(find(Method::GET, path), Err(405), "{path}");
        }
        for path in ["/v1/models", "/v1beta/models"] {
            assert_eq!(
                find(Method::GET, path),
                Ok(Endpoint::ForCallers(ForCallers::Models)),
                "{path}"
            );
        }
        for path in [
            "/v1/models/groq%2Fllama-3:8b",
            "/v1/models/groq/llama-3:8b",
            "/v1beta/models/groq%2Fllama-3%3A8b",
        ] {
            let model = ForCallers::Model("groq/llama-3:8b".to_owned());
            assert_eq!(find(Method::GET, path), Ok(Endpoint::ForCallers(model)), "{path}");
        }
        let generate = Operation::Generate;
        let counting = Operation::CountTokens(Counter::GeminiGenerate);
        for (path, operation, stream, is_array) in [
            (
                "/v1beta/models/gemini-3-pro:generateContent",
                generate,
                false,
                false,
            ),
            (
                "/v1/models/gemini-3-pro:streamGenerateContent",
                generate,
                true,
                true,
            ),
            (
                "/v1beta/models/models%2Fgemini-3-pro:streamGenerateContent?alt=sse&key=k",
                generate,
                true,
                false,
            ),
            (
                "/v1/models/gemini-3-pro:countTokens?alt=sse",
                counting,
                false,
                false,
            ),
            (
                "/v1beta/models/gemini-3-pro:embedContent",
                Operation::Embed(Form::GeminiOne),
                false,
                false,
            ),
            (
                "/v1beta/models/gemini-3-pro:batchEmbedContents",
                Operation::Embed(Form::GeminiMany),
                false,
                false,
            ),
        ] {
            let call = ForCallers::CallOf {
                model: "gemini-3-pro".to_owned(),
                operation,
                stream,
                is_array,
            };
            assert_eq!(find(Method::POST, path), Ok(Endpoint::ForCallers(call)), "{path}");
        }
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
        let predict = "/v1beta/models/gemini-3-pro:predict";
        assert_eq!(find(Method::POST, predict), Err(404));
        let generate = "/v1beta/models/gemini-3-pro:generateContent";
        assert_eq!(find(Method::GET, generate), Err(405));
    }

    #[test]
    fn whoever_asks_is_answered_in_its_own_dialect() {
        let dialect = |path: &'static str, header: &'static str| {
            dialect_of(
                &http::Request::builder()
                    .uri(path)
                    .header(header, "x")
                    .body(())
                    .unwrap(),
            )
        };
        for (path, header, expected) in [
            ("/v1/messages/anything", "accept", Dialect::AnthropicMessages),
            ("/v1/messagesx", "accept", Dialect::OpenaiChat),
            ("/v1/responses", "accept", Dialect::OpenaiResponses),
            ("/v1beta/nothing", "accept", Dialect::GeminiGenerate),
            (
                "/v1/models/gemini-3-pro:generateContent",
                "accept",
                Dialect::GeminiGenerate,
            ),
            ("/v1/models/x:8b", "accept", Dialect::OpenaiChat),
            ("/v1/models/x", "anthropic-version", Dialect::AnthropicMessages),
            ("/v1/models", "x-goog-api-key", Dialect::GeminiGenerate),
            ("/v1/models/x", "x-goog-api-key", Dialect::GeminiGenerate),
            ("/", "accept", Dialect::OpenaiChat),
        ] {
            assert_eq!(dialect(path, header), expected, "{path}");
        }
    }
}
