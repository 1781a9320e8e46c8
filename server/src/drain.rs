//! Going down without cutting anything: what a connection does when its worker takes no more of them.
//!
//! A client that keeps its connection may send its next request at any moment, also at the one at which an idle
//! connection is closed, and then sees it break. So an open connection is told first: in HTTP/2 at once (GOAWAY), in
//! HTTP/1 with the next answer (`connection: close`), for which it has a while. Only one that stays silent for that
//! while is closed.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gateway::failpoint;
use http::header::CONNECTION;
use http::{HeaderValue, Response, Version};
use http_body::{Frame, SizeHint};
use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::answer::Body;
use crate::panic;

/// What a worker's connections have in common.
pub(crate) struct Drain {
    /// Whether clients are to be told that their connection ends.
    closing: AtomicBool,
    /// Wakes the connections, when that is so.
    told: watch::Sender<()>,
    /// How long a silent connection is kept for one more request.
    linger: Duration,
}

/// One connection, as far as it matters here.
pub(crate) struct Line {
    drain: Arc<Drain>,
    /// Requests that have come.
    asked: AtomicUsize,
    /// Of those, the ones whose answer has not ended.
    answering: AtomicUsize,
    http2: AtomicBool,
}

/// The body of an answer, which holds its connection until it ends or is dropped.
pub(crate) struct Answering {
    body: Body,
    line: Arc<Line>,
    /// A body that panicked is not asked again.
    broken: bool,
}

/// One that has begun to be silent is looked at so often until its time is over.
const LOOKS: u32 = 4;

impl Drain {
    pub(crate) fn new(linger: Duration) -> Arc<Self> {
        Arc::new(Self {
            closing: AtomicBool::new(false),
            told: watch::Sender::new(()),
            linger,
        })
    }

    /// From now on connections are told.
    pub(crate) fn begin(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.told.send_replace(());
    }

    fn has_begun(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

impl Line {
    pub(crate) fn new(drain: &Arc<Drain>) -> Arc<Self> {
        Arc::new(Self {
            drain: drain.clone(),
            asked: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
        })
    }

    /// A request has come, and will be answered.
    pub(crate) fn asked(&self, version: Version) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.answering.fetch_add(1, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            self.http2.store(true, Ordering::Relaxed);
        }
    }

    /// Its answer.
    pub(crate) fn answered(self: Arc<Self>, mut response: Response<Body>) -> Response<Answering> {
        if self.drain.has_begun() && !self.http2.load(Ordering::Relaxed) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response.map(|body| Answering {
            body,
            line: self,
            broken: false,
        })
    }

    /// Runs the connection to its end, which it comes to sooner when the worker drains.
    pub(crate) async fn run<C: GracefulConnection>(&self, mut connection: Pin<&mut C>) {
        // A connection that breaks is the client's business; the call in it has been settled by its drop.
        if self.ends_first(connection.as_mut()).await {
            return;
        }
        if !self.http2.load(Ordering::Relaxed) {
            tokio::select! {
                _broken = connection.as_mut() => return,
                () = self.silent() => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        let _broken = connection.await;
    }

    /// Whether the connection ends before the worker drains.
    async fn ends_first<C: GracefulConnection>(&self, mut connection: Pin<&mut C>) -> bool {
        let mut listener = self.drain.told.subscribe();
        let mut told = pin!(listener.changed());
        let mut listening = false;
        poll_fn(|context| {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            if self.drain.has_begun() {
                return Poll::Ready(false);
            }
            // A task is woken in one and the same way all its life: to listen once is enough, and a chunk does not pay
            // for it.
            if !listening {
                listening = true;
                return told.as_mut().poll(context).map(|_| false);
            }
            Poll::Pending
        })
        .await
    }

    /// Waits until nothing has been asked or answered for a while.
    async fn silent(&self) {
        let (mut asked, mut looks) = (self.asked.load(Ordering::Relaxed), 0);
        while looks < LOOKS {
            sleep(self.drain.linger / LOOKS).await;
            let now = self.asked.load(Ordering::Relaxed);
            let busy = self.answering.load(Ordering::Relaxed) > 0 || now != asked;
            looks = if busy { 0 } else { looks + 1 };
            asked = now;
        }
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let answering = self.get_mut();
        if answering.broken {
            return Poll::Ready(None);
        }
        let body = Pin::new(&mut answering.body);
        let polled = panic::caught(|| {
            failpoint("frame");
            body.poll_frame(context)
        });
        polled.unwrap_or_else(|refusal| {
            answering.broken = true;
            let event = panic::caught(|| answering.body.refuse(&refusal));
            Poll::Ready(Some(Ok(Frame::data(event.unwrap_or_default()))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.broken || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.line.answering.fetch_sub(1, Ordering::Relaxed);
    }
}
