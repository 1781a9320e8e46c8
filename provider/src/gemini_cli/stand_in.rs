//! A stand-in for Google's side, for whoever sets the program up: it answers all that a plain model needs, in the way that
//! is wanted next, and remembers what it was asked. As a proxy it refuses every tunnel. Who listens for it is somebody
//! else's business.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// One of them. Copies are the same.
#[derive(Clone, Default)]
pub struct StandIn(Arc<Inner>);

#[derive(Default)]
struct Inner {
    scene: Mutex<Scene>,
    /// What a model was asked, the newest last.
    asked: Mutex<VecDeque<Value>>,
    /// To whom a tunnel was wanted.
    tunnels: Mutex<Vec<String>>,
    given_up: Notify,
}

/// What is answered next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Scene {
    /// A thought, and these words, piece by piece.
    #[default]
    Fine,
    /// An error with this status.
    Fails(u16),
    /// A few words, and nothing more.
    Hangs,
    /// Nothing: the account is not served.
    Refuses,
}

/// What a process gets.
pub struct StandInBody {
    pieces: VecDeque<Bytes>,
    /// Whom to tell that nobody waits any more for what never comes.
    hangs: Option<StandIn>,
}

const REMEMBERED_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 1 << 20;
const GENERATE: &str = "streamGenerateContent";
const PROJECT: &str = "project-of-the-stand-in";
/// What the model says, and that it has thought.
pub(super) const WORDS: [&str; 3] = ["Rome, ", "as far as ", "I know."];
pub(super) const THOUGHT: &str = "It may be so.";
pub(super) const TOKENS: (u64, u64) = (11, 7);

impl StandIn {
    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<StandInBody> {
        let (head, body) = request.into_parts();
        let uri = &head.uri;
        if head.method == Method::CONNECT || uri.authority().is_some() {
            let mut tunnels = locked(&self.0.tunnels);
            if tunnels.len() < REMEMBERED_MAX {
                tunnels.push(uri.authority().map(ToString::to_string).unwrap_or_default());
            }
            return whole(StatusCode::FORBIDDEN, &json!({}));
        }
        let method = uri.path().rsplit(':').next().unwrap_or_default();
        let scene = *locked(&self.0.scene);
        match (method, scene) {
            ("loadCodeAssist", Scene::Refuses) => whole(StatusCode::OK, &refused()),
            ("loadCodeAssist", _) => {
                let tier = json!({"id": "standard-tier", "name": "Gemini Code Assist"});
                whole(
                    StatusCode::OK,
                    &json!({"currentTier": tier, "cloudaicompanionProject": PROJECT}),
                )
            }
            ("retrieveUserQuota", _) => whole(StatusCode::OK, &json!({"buckets": []})),
            ("countTokens", _) => whole(StatusCode::OK, &json!({"totalTokens": TOKENS.0})),
            (GENERATE, scene) => {
                let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
                let body = body.map(Collected::to_bytes).unwrap_or_default();
                self.remember(serde_json::from_slice(&body).unwrap_or_default());
                self.generated(scene)
            }
            _ => whole(StatusCode::OK, &json!({})),
        }
    }

    /// From now on this is answered.
    pub(super) fn play(&self, scene: Scene) {
        *locked(&self.0.scene) = scene;
    }

    /// What was asked of a model since this was asked last.
    pub(super) fn asked(&self) -> Vec<Value> {
        locked(&self.0.asked).drain(..).collect()
    }

    /// To whom a tunnel was wanted, so far.
    pub(super) fn tunnels(&self) -> Vec<String> {
        locked(&self.0.tunnels).clone()
    }

    /// Waits until an answer that hung was given up.
    pub(super) async fn given_up(&self) {
        self.0.given_up.notified().await;
    }

    fn remember(&self, asked: Value) {
        let mut all = locked(&self.0.asked);
        if all.len() >= REMEMBERED_MAX {
            all.pop_front();
        }
        all.push_back(asked);
    }

    fn generated(&self, scene: Scene) -> Response<StandInBody> {
        if let Scene::Fails(status) = scene {
            let message = match status {
                401 => "Request had invalid authentication credentials.",
                429 => "Resource has been exhausted (e.g. check quota).",
                _ => "This was wanted.",
            };
            let error =
                json!({"error": {"code": status, "message": message, "status": "UNKNOWN", "details": []}});
            return whole(StatusCode::from_u16(status).unwrap_or_default(), &error);
        }
        let hangs = matches!(scene, Scene::Hangs);
        let mut pieces = VecDeque::from([chunk(&json!({"thought": true, "text": THOUGHT}), None)]);
        pieces.extend(WORDS.map(|words| chunk(&json!({"text": words}), None)));
        if !hangs {
            pieces.push_back(chunk(&json!({"text": ""}), Some("STOP")));
        }
        let body = StandInBody {
            pieces,
            hangs: hangs.then(|| self.clone()),
        };
        response(StatusCode::OK, "text/event-stream", body)
    }
}

/// What Google says to those who are no longer served.
fn refused() -> Value {
    let reason = json!({
        "reasonCode": "UNSUPPORTED_CLIENT", "tierId": "free-tier", "tierName": "Gemini Code Assist for individuals",
        "reasonMessage": "This client is no longer supported for Gemini Code Assist for individuals.",
    });
    json!({"currentTier": {"id": "free-tier", "name": "free"}, "allowedTiers": [], "ineligibleTiers": [reason]})
}

fn chunk(part: &Value, finish: Option<&str>) -> Bytes {
    let (input, output) = TOKENS;
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
    if let (Some(finish), Some(members)) = (finish, candidate.as_object_mut()) {
        members.insert("finishReason".to_owned(), json!(finish));
    }
    let usage =
        json!({"promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output});
    let told = json!({"response": {"candidates": [candidate], "usageMetadata": usage}, "traceId": "0"});
    Bytes::from(format!("data: {told}\r\n\r\n"))
}

fn whole(status: StatusCode, told: &Value) -> Response<StandInBody> {
    let body = StandInBody {
        pieces: VecDeque::from([Bytes::from(told.to_string())]),
        hangs: None,
    };
    response(status, "application/json", body)
}

fn response(status: StatusCode, kind: &'static str, body: StandInBody) -> Response<StandInBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

impl Body for StandInBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.pieces.pop_front(), &self.hangs) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            // Its connection ends it.
            (None, Some(_)) => Poll::Pending,
            (None, None) => Poll::Ready(None),
        }
    }
}

impl Drop for StandInBody {
    fn drop(&mut self) {
        if let Some(stand_in) = &self.hangs {
            stand_in.0.given_up.notify_one();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
