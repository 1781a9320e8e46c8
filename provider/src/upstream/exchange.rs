//! One request and the head of its answer, over a kept connection or a new one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::header::HOST;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service as _;

use super::connect::{ConnectFault, Connector};
use super::pool::{Place, STREAMS_MAX, Stream};
use super::request::Pieces;
use super::{MayGo, SendFault};
use crate::base_url::BaseUrl;

/// What an answer comes over.
pub(super) enum Busy {
    /// Given back when the answer has come to its end; dropped before, it is closed.
    Http1 {
        sender: http1::SendRequest<Pieces>,
        place: Arc<Place>,
        interim: Interim,
    },
    /// One place of many in a connection that looks after itself.
    Http2(#[expect(dead_code, reason = "it is taken until the answer has come to its end")] Stream),
}

/// Counts the interim answers (RFC 9110, section 15.2) that come before the answer. They are for the gateway alone, which
/// makes nothing of them.
pub(super) struct Interim(Arc<AtomicUsize>);

/// In a box, since it is large and handed on a lot: each `async fn` has room for what it is given twice.
pub(super) type Sent = Box<Request<Pieces>>;

/// The head of an answer, and what the rest of it comes over.
pub(super) type Answered = (Response<Incoming>, Busy);

/// The largest head of an answer, and how far an HTTP/1.1 connection reads ahead of whoever takes the answer.
const READ_AHEAD_BYTES: usize = 64 << 10;
const H2_HEAD_BYTES_MAX: u32 = 64 << 10;
/// How far an HTTP/2 connection reads ahead for one answer. All of its answers together have room for as much each: those
/// that nobody takes do not hold up the others.
const H2_READ_AHEAD_BYTES: u32 = 256 << 10;
const H2_READ_AHEAD_OF_ALL_BYTES: u32 = H2_READ_AHEAD_BYTES * STREAMS_MAX as u32;
/// A provider that has more to say before its answer is not one to be listened to.
const INTERIM_MAX: usize = 8;

impl Busy {
    pub(super) fn give_back(self) {
        if let Self::Http1 { sender, place, .. } = self {
            place.keep(sender);
        }
    }

    /// Whether the answer came after more interim ones than a provider can need. (In HTTP/2 the library counts frames.)
    pub(super) fn was_flooded(&self) -> bool {
        match self {
            Self::Http1 { interim, .. } => interim.0.load(Ordering::Relaxed) > INTERIM_MAX,
            Self::Http2(_) => false,
        }
    }
}

impl Interim {
    fn count(request: &mut Request<Pieces>) -> Self {
        let interim = Arc::new(AtomicUsize::new(0));
        let counted = interim.clone();
        hyper::ext::on_informational(request, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        Self(interim)
    }
}

/// Sends the request, whose target is a path, and waits for the head of the answer. A kept connection that turns out to
/// be closed before anything was written is passed over; what may have been written is never sent again.
///
/// # Errors
/// When no connection comes about, or the one used breaks; or when one stands too late.
pub(super) async fn exchange(
    place: &Arc<Place>,
    connector: &Connector,
    (base_url, may_go): (&BaseUrl, MayGo<'_>),
    (mut request, now): (Sent, Instant),
) -> Result<Answered, SendFault> {
    while let Some(mut stream) = place.stream(now) {
        if stream.sender.ready().await.is_ok() {
            in_time(may_go)?;
            match over_http2(&mut stream, base_url, request).await {
                Ok(response) => return Ok((response, Busy::Http2(stream))),
                Err(error) => request = unsent(error)?,
            }
        }
        place.forget(&stream);
    }
    while let Some(mut sender) = place.take() {
        // It may have been closed since, or still be at the end of its last answer.
        if sender.ready().await.is_err() {
            continue;
        }
        in_time(may_go)?;
        match over_http1(sender, place, base_url, request).await {
            Ok(answered) => return Ok(answered),
            Err(error) => request = unsent(error)?,
        }
    }
    // In a box, since it is large and hardly ever needed: a call carries room for all that it may wait for.
    Box::pin(over_a_new_one(place, connector, (base_url, may_go), request)).await
}

fn in_time(may_go: MayGo<'_>) -> Result<(), SendFault> {
    if may_go() { Ok(()) } else { Err(SendFault::Late) }
}

async fn over_a_new_one(
    place: &Arc<Place>,
    connector: &Connector,
    (base_url, may_go): (&BaseUrl, MayGo<'_>),
    request: Sent,
) -> Result<Answered, SendFault> {
    let stream = connector
        .clone()
        .call(base_url.uri().clone())
        .await
        .map_err(|error| ConnectFault::as_send_fault(error.as_ref()))?;
    let failed = |_| SendFault::Broken;
    let answered = if stream.connected().is_negotiated_h2() {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(H2_HEAD_BYTES_MAX)
            .initial_stream_window_size(H2_READ_AHEAD_BYTES)
            .initial_connection_window_size(H2_READ_AHEAD_OF_ALL_BYTES)
            .handshake(stream)
            .await
            .map_err(failed)?;
        let streams_max = Arc::new(AtomicUsize::new(STREAMS_MAX));
        tokio::spawn(run(Box::pin(connection), streams_max.clone()));
        let mut stream = place.share(sender, streams_max);
        in_time(may_go)?;
        let response = over_http2(&mut stream, base_url, request).await;
        response.map(|response| (response, Busy::Http2(stream)))
    } else {
        // Each by itself: what TLS needs is larger than all else, and a connection without it would have room for it too.
        let sender = match stream {
            MaybeHttpsStream::Http(stream) => shake_hands(stream).await,
            MaybeHttpsStream::Https(stream) => shake_hands(stream).await,
        };
        let sender = sender.map_err(failed)?;
        in_time(may_go)?;
        over_http1(sender, place, base_url, request).await
    };
    answered.map_err(|_| SendFault::Broken)
}

/// Runs an HTTP/2 connection to its end, and notes how many requests at once the provider takes on it.
async fn run<C>(mut connection: Pin<Box<C>>, streams_max: Arc<AtomicUsize>)
where
    C: Future + TakesStreams,
{
    poll_fn(|context| {
        let polled = connection.as_mut().poll(context);
        let takes = connection.streams_max().min(STREAMS_MAX);
        streams_max.store(takes, Ordering::Relaxed);
        polled.map(drop)
    })
    .await;
}

/// An HTTP/2 connection over whatever it goes.
trait TakesStreams {
    fn streams_max(&self) -> usize;
}

impl<T, E> TakesStreams for http2::Connection<T, Pieces, E>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    E: hyper::rt::bounds::Http2ClientConnExec<Pieces, T> + Unpin,
{
    fn streams_max(&self) -> usize {
        self.current_max_send_streams()
    }
}

/// Begins to speak HTTP/1.1 over a connection.
async fn shake_hands<I>(stream: I) -> hyper::Result<http1::SendRequest<Pieces>>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_header_size(READ_AHEAD_BYTES)
        .max_buf_size(READ_AHEAD_BYTES)
        .handshake(stream)
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn over_http1(
    mut sender: http1::SendRequest<Pieces>,
    place: &Arc<Place>,
    base_url: &BaseUrl,
    mut request: Sent,
) -> Result<Answered, TrySendError<Request<Pieces>>> {
    request.headers_mut().insert(HOST, base_url.host_header().clone());
    let interim = Interim::count(&mut request);
    let response = sender.try_send_request(*request).await?;
    let place = place.clone();
    let busy = Busy::Http1 {
        sender,
        place,
        interim,
    };
    Ok((response, busy))
}

/// HTTP/2 has the host in the target.
async fn over_http2(
    stream: &mut Stream,
    base_url: &BaseUrl,
    mut request: Sent,
) -> Result<Response<Incoming>, TrySendError<Request<Pieces>>> {
    request.headers_mut().remove(HOST);
    *request.uri_mut() = base_url.with_path_of(request.uri());
    stream.sender.try_send_request(*request).await
}

/// The request, when none of it was written.
fn unsent(mut error: TrySendError<Request<Pieces>>) -> Result<Sent, SendFault> {
    error.take_message().map(Box::new).ok_or(SendFault::Broken)
}
