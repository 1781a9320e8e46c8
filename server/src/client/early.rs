//! An answer that begins before its provider does: with signs of life, for a client whose way to the gateway gives up on a
//! connection on which nothing moves.
//!
//! From the first of them on the status is 200. What goes wrong after it is told as a stream tells it, by an event.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dialect::Dialect;
use dialect::refusal::{Code, Refusal};
use gateway::Beat;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use crate::answer::{self, Body};

/// What is being answered, with a status of its own until the first sign of life.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send>>;

/// The body of an answer that has begun before its provider has.
pub(crate) struct Early {
    dialect: Dialect,
    beat: Beat,
    /// Whether the first sign has been given.
    begun: bool,
    next: Next,
}

enum Next {
    Answering(Answering),
    Body(Body),
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Answers; after so long, and as soon as it is known that a stream is wanted, with a stream that has nothing to say yet.
pub(crate) async fn answer(
    mut answering: Answering,
    dialect: Dialect,
    wants_stream: Arc<AtomicBool>,
    every: Duration,
) -> Response<Body> {
    loop {
        match tokio::time::timeout(every, &mut answering).await {
            Ok(answered) => {
                return answered.unwrap_or_else(|refusal| answer::refusal(dialect, &refusal));
            }
            Err(_) if wants_stream.load(Ordering::Relaxed) => {
                let early = Early {
                    dialect,
                    beat: Beat::new(every),
                    begun: false,
                    next: Next::Answering(answering),
                };
                let mut response = Response::new(Body::Early(Box::new(early)));
                response.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
                return response;
            }
            Err(_) => {}
        }
    }
}

impl Early {
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(self.sign()));
        }
        loop {
            match &mut self.next {
                Next::Body(body) => return body.poll_next(context),
                Next::Answering(answering) => match answering.as_mut().poll(context) {
                    Poll::Ready(answered) => self.next = Next::Body(self.body(answered)),
                    Poll::Pending => {
                        ready!(self.beat.poll(context));
                        return Poll::Ready(Some(self.sign()));
                    }
                },
            }
        }
    }

    /// What a client is told whose answer breaks off on this side.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) -> Bytes {
        match &mut self.next {
            Next::Body(body) => body.refuse(refusal),
            Next::Answering(_) => Bytes::from(self.dialect.write_refusal_event(refusal, 0)),
        }
    }

    fn sign(&self) -> Bytes {
        Bytes::from_static(self.dialect.keep_alive())
    }

    /// What follows on the signs of life: the stream, or what went wrong.
    fn body(&self, answered: Result<Response<Body>, Refusal>) -> Body {
        let told = |event: Vec<u8>| Body::Whole(Some(Bytes::from(event)));
        let response = match answered {
            Ok(response) => response,
            Err(refusal) => return told(self.dialect.write_refusal_event(&refusal, 0)),
        };
        let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|said| {
            let said = said.as_bytes().to_ascii_lowercase();
            said.starts_with(EVENT_STREAM.as_bytes())
        });
        let status = response.status();
        match response.into_body() {
            body if status.is_success() && is_stream => body,
            Body::Whole(whole) if !status.is_success() => {
                let fault = self
                    .dialect
                    .read_fault(status.as_u16(), &whole.unwrap_or_default());
                told(self.dialect.write_fault_event(&fault))
            }
            _ => {
                let message = "The provider has answered with a whole answer where a stream was asked for.";
                let refusal = Refusal::new(Code::ProviderBadAnswer, message);
                told(self.dialect.write_refusal_event(&refusal, 0))
            }
        }
    }
}
