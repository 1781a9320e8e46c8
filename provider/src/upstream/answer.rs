//! A provider's answer: the head at once, the body piece by piece.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::SendFault;
use super::exchange::Busy;
use crate::gemini_cli;

/// An answer whose body has not been read.
pub struct Answer {
    pub status: StatusCode,
    /// Only those that a client can use.
    pub headers: HeaderMap,
    pub body: AnswerBody,
}

/// The body of an answer. Dropping it closes the connection, or resets the stream, so that the provider stops.
pub struct AnswerBody {
    source: Source,
    /// What was looked at, and not taken yet.
    peeked: Option<Option<Result<Bytes, BodyFault>>>,
}

enum Source {
    Provider(Arriving),
    /// Made in this process.
    Ready(VecDeque<Bytes>),
    /// Said by another.
    GeminiCli(Box<gemini_cli::Body>),
}

/// A body that is on its way.
struct Arriving {
    body: Incoming,
    /// Given back when the body has come to its end.
    connection: Option<Busy>,
    gap: Duration,
    /// For as long as the pieces say nothing.
    quiet: Duration,
    /// Since when they do.
    quiet_since: Option<Instant>,
    deadline: Instant,
    /// Since when the next piece has been waited for: time that nobody waits is the client's, not the provider's.
    waiting_since: Option<Instant>,
    /// The one that stood by for the head of the answer.
    timer: Pin<Box<Sleep>>,
}

/// Why a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the answer paused for too long")]
    GapTimeout,
    #[error("the answer said nothing for too long")]
    QuietTimeout,
    #[error("the answer took too long")]
    TotalTimeout,
    #[error("the answer broke off")]
    Cut,
}

/// Headers of an answer that a client may see. Everything else concerns the provider and us.
const PASSED: [HeaderName; 6] = [
    CONTENT_TYPE,
    RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
];

/// Those, and what the gateway adds to them. The client's connection keeps the room for its next answer.
const USUAL_HEADERS: usize = 12;

impl Answer {
    pub(super) fn new(
        response: Response<Incoming>,
        connection: Busy,
        gap: Duration,
        quiet: Duration,
        deadline: Instant,
        timer: Pin<Box<Sleep>>,
    ) -> Result<Self, SendFault> {
        let (head, body) = response.into_parts();
        // All of them are gone through once: a map of headers takes longer to look seven of them up.
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        for (name, value) in &head.headers {
            if *name == CONTENT_ENCODING && value != "identity" {
                return Err(SendFault::Encoded);
            }
            // Of one that stands twice the first counts.
            if PASSED.contains(name) && !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
        let body = Arriving {
            body,
            connection: Some(connection),
            gap,
            quiet,
            quiet_since: None,
            deadline,
            waiting_since: None,
            timer,
        };
        let body = AnswerBody::new(Source::Provider(body));
        Ok(Self {
            status: head.status,
            headers,
            body,
        })
    }

    /// An answer made in this process.
    pub fn ready(status: StatusCode, content_type: &'static str, body: Vec<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self {
            status,
            headers,
            body: AnswerBody::new(Source::Ready(body.into())),
        }
    }
}

impl AnswerBody {
    pub(crate) fn of_gemini_cli(body: gemini_cli::Body) -> Self {
        Self::new(Source::GeminiCli(Box::new(body)))
    }

    fn new(source: Source) -> Self {
        Self { source, peeked: None }
    }

    /// How the body begins; empty where nothing comes any more. It stays to be read.
    pub async fn peek(&mut self) -> Bytes {
        let first = match self.peeked.take() {
            Some(first) => first,
            None => self.next().await,
        };
        match self.peeked.insert(first) {
            Some(Ok(first)) => first.clone(),
            Some(Err(_)) | None => Bytes::new(),
        }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyFault>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Whether there was anything in the last piece, as its reader knows: a provider that thinks may keep the connection
    /// busy with comments, but not for ever.
    ///
    /// # Errors
    /// When there has been nothing for too long.
    pub fn judged(&mut self, said: bool) -> Result<(), BodyFault> {
        match &mut self.source {
            Source::Provider(arriving) if said => arriving.quiet_since = None,
            Source::Provider(arriving) => {
                let since = *arriving.quiet_since.get_or_insert_with(Instant::now);
                if since.elapsed() > arriving.quiet {
                    return Err(BodyFault::QuietTimeout);
                }
            }
            Source::Ready(_) | Source::GeminiCli(_) => {}
        }
        Ok(())
    }

    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        if let Some(first) = self.peeked.take() {
            return Poll::Ready(first);
        }
        match &mut self.source {
            Source::Provider(arriving) => arriving.poll_next(context),
            Source::Ready(pieces) => Poll::Ready(pieces.pop_front().map(Ok)),
            Source::GeminiCli(body) => body.poll_next(context),
        }
    }
}

impl Arriving {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting_since = None;
            match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                None => {
                    if let Some(connection) = self.connection.take() {
                        connection.give_back();
                    }
                    return Poll::Ready(None);
                }
                // Also one that never pauses has an end.
                Some(Ok(Ok(_))) if Instant::now() >= self.deadline => {
                    return Poll::Ready(Some(Err(BodyFault::TotalTimeout)));
                }
                Some(Ok(Ok(data))) => return Poll::Ready(Some(Ok(data))),
                // Trailers, of which no vendor makes use.
                Some(Ok(Err(_))) => {}
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyFault::Cut))),
            }
        }
        let fault = ready!(self.poll_timeout(context));
        Poll::Ready(Some(Err(fault)))
    }

    /// Waits until the provider has taken too long. The timer is moved only when it has fired or stands too late, so
    /// that a busy stream does not set it for each of its pieces.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<BodyFault> {
        loop {
            let now = Instant::now();
            let since = *self.waiting_since.get_or_insert(now);
            if now >= self.deadline {
                return Poll::Ready(BodyFault::TotalTimeout);
            }
            let gap_ends = since + self.gap;
            if now >= gap_ends {
                return Poll::Ready(BodyFault::GapTimeout);
            }
            let due = tokio::time::Instant::from_std(gap_ends.min(self.deadline));
            if self.timer.is_elapsed() || self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(context));
        }
    }
}
