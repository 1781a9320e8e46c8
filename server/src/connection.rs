//! One connection of a client: which HTTP it speaks, and what its requests are answered by.

use std::convert::Infallible;
use std::future::ready;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::Either;
use gateway::{CallId, Worker};
use http::{HeaderMap, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::balance::{Seated, Taken};
use crate::connections::Connected;
use crate::door::Door;
use crate::drain::{Drain, Line};
use crate::endpoint::REQUEST_ID;
use crate::limits::FrontLimits;
use crate::patience::{Patient, Turns, holding};
use crate::streams::{Streams, Told};
use crate::ui::Ui;
use crate::{answer, endpoint, front};

/// What the connections of one worker have in common.
pub(crate) struct Front {
    worker: Arc<Worker>,
    door: Arc<Door>,
    drain: Arc<Drain>,
    limits: FrontLimits,
    /// The pages, where they are not on an address of their own.
    ui: Option<Ui>,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
    #[expect(dead_code, reason = "it is held until the last connection ends")]
    open: watch::Receiver<()>,
}

const H2_HEADERS_BYTES_MAX: u32 = 32 << 10;
const H2_STREAMS_MAX: u32 = 100;
const H2_RESETS_MAX: usize = 20;
/// What a stream may hold for a client that does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// How a connection in HTTP/2 begins (RFC 9113, section 3.4), and no request of HTTP/1 does.
const H2_PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// After a beginning that may still become either; longer each time, since who is slow may mean to be.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// What who is one too many is told, if the socket takes it at once: before it has cost anything.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl Front {
    pub(crate) fn new(
        worker: Arc<Worker>,
        limits: FrontLimits,
        door: Arc<Door>,
        ui: Option<Ui>,
        open: watch::Receiver<()>,
    ) -> Self {
        Self {
            worker,
            door,
            drain: Drain::new(limits.drain_linger),
            limits,
            ui,
            http1: front::parser(),
            http2: http2_builder(limits),
            open,
        }
    }

    /// From now on clients are told that their connections end.
    pub(crate) fn drain(&self) {
        self.drain.begin();
    }

    pub(crate) fn take(self: &Arc<Self>, taken: Taken) {
        let (mut stream, address, seated) = taken.into_parts();
        let Some(connected) = self.door.connect(address.ip()) else {
            let _untold = stream.write(TOO_MANY);
            return;
        };
        // One that this runtime cannot watch cannot be served.
        let Ok(stream) = TcpStream::from_std(stream) else {
            return;
        };
        let front = self.clone();
        tokio::spawn(async move {
            let _held: (Connected, Seated) = (connected, seated);
            front.serve(stream, address.ip()).await;
        });
    }

    /// Serves a connection to its end. The library could find out itself which HTTP it speaks, but would read ahead for it,
    /// and keep twice the room for that as long as the connection lasts.
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        // A chunk is never held back; a socket that cannot be told so works all the same.
        let _slower = stream.set_nodelay(true);
        let connected = tokio::time::Instant::now();
        let looking = tokio::time::timeout(self.limits.head_timeout, speaks_http2(&stream));
        let http2 = match looking.await {
            Ok(Ok(http2)) => http2,
            // It has gone already.
            Ok(Err(_)) => return,
            // Too late in either version; the patience with it, which is at its end, says so if there is anything to be said.
            Err(_) => false,
        };
        let line = Line::new(&self.drain);
        let (stream, turns) = Patient::new(stream, self.limits, connected);
        let (front, on_line) = (self.clone(), line.clone());
        // In a box of its own, since it is large: the library keeps room for it as long as there is a connection, also while
        // nothing but a stream's body is left of it.
        let service =
            service_fn(move |request| Box::pin(front.clone().answer(request, peer, on_line.clone(), &turns)));
        let stream = TokioIo::new(stream);
        if http2 {
            // In a box, since it is more than twice as large as one in HTTP/1.
            line.run(Box::pin(self.http2.serve_connection(stream, service)).as_mut())
                .await;
        } else {
            line.run(pin!(self.http1.serve_connection(stream, service))).await;
        }
    }

    /// No `async fn`: whatever that is given it has room for twice, and all of it is moved when the answering begins.
    fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        peer: IpAddr,
        line: Arc<Line>,
        turns: &Arc<Turns>,
    ) -> impl Future<
        Output = Result<
            http::Response<impl http_body::Body<Data = bytes::Bytes, Error = Infallible> + use<>>,
            Infallible,
        >,
    > + use<> {
        let started = Instant::now();
        line.asked(request.version());
        let turn = turns.begin(request.version());
        let dialect = endpoint::dialect_of(&request);
        let answering = match self.door.enter(peer, request.headers()) {
            Ok(visit) => {
                let ui = self.ui.as_ref().filter(|_| Ui::has(request.uri().path()));
                let answering = match ui {
                    Some(ui) => Either::Left(ui.clone().answer(request).boxed()),
                    None => Either::Right(endpoint::answer(
                        self.worker.clone(),
                        request,
                        dialect,
                        self.limits,
                        started,
                    )),
                };
                Either::Left(
                    answering.map(move |answer| (self.door.judge(&visit, dialect, answer), Some(visit))),
                )
            }
            Err(refusal) => Either::Right(ready((answer::refusal(dialect, &refusal), None))),
        };
        answering.map(move |(mut answer, visit)| {
            turn.answered();
            name(answer.headers_mut());
            Ok(holding(line.answered(answer).map(Told), (visit, turn)))
        })
    }
}

/// Gives an answer a name that has none, since it comes from before or beside the endpoints.
fn name(headers: &mut HeaderMap) {
    if !headers.contains_key(REQUEST_ID)
        && let Ok(value) = HeaderValue::from_str(CallId::generate().as_str())
    {
        headers.insert(REQUEST_ID, value);
    }
}

/// Whether the client begins as HTTP/2 does. What it has sent stays where it is.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; H2_PREFACE.len()];
    let mut pause = LOOK_AGAIN;
    loop {
        let seen = stream.peek(&mut begin).await?;
        let begin = begin.get(..seen).unwrap_or_default();
        if seen == 0 || !H2_PREFACE.starts_with(begin) {
            return Ok(false);
        }
        if seen == H2_PREFACE.len() {
            return Ok(true);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_MAX);
    }
}

fn http2_builder(limits: FrontLimits) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams::new(limits));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(H2_HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(H2_RESETS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}
