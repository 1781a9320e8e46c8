//! One worker's accept loop, and the limits on what a connection may cost before it has asked for anything.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use gateway::{Worker, failpoint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::connections::Connected;
use crate::door::Door;
use crate::drain::{Drain, Line};
use crate::limits::FrontLimits;
use crate::patience::{Patient, holding};
use crate::{answer, endpoint};

/// What a worker is told to do. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Take connections.
    Serve,
    /// Take none, and let the open calls end.
    Drain,
    /// Drop what is left.
    Stop,
}

const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
const H2_HEADERS_BYTES_MAX: u32 = 32 << 10;
const H2_STREAMS_MAX: u32 = 100;
const H2_RESETS_MAX: usize = 20;
/// What a stream may hold for a client that does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// After a failed accept: the usual reason is that there are no file descriptors, which only waiting mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections of `listener` until it is to drain, and then those that are open until their clients have been
/// told and their calls are done, or until it is to stop.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve(
    worker: Arc<Worker>,
    listener: TcpListener,
    limits: FrontLimits,
    door: Arc<Door>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Dropped by each connection when it ends.
    let (all_ended, open) = watch::channel(());
    let front = Front {
        worker,
        builder: Arc::new(connection_builder()),
        limits,
        door,
        drain: Drain::new(limits.drain_linger),
        open,
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase >= Phase::Drain) => break,
        };
        failpoint("accept");
        match accepted {
            Ok((stream, address)) => front.take(stream, address),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    front.drain.begin();
    // Who was queued by the kernel has been told that somebody is there.
    while let Some(Ok((stream, address))) = listener.accept().now_or_never() {
        front.take(stream, address);
    }
    drop((listener, front));
    tokio::select! {
        () = all_ended.closed() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Stop) => {}
    }
    Ok(())
}

/// What a worker needs for each connection.
struct Front {
    worker: Arc<Worker>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    limits: FrontLimits,
    door: Arc<Door>,
    drain: Arc<Drain>,
    open: watch::Receiver<()>,
}

impl Front {
    fn take(&self, stream: TcpStream, address: SocketAddr) {
        let Some(connected) = self.door.connect(address.ip()) else {
            turn_away(&stream);
            return;
        };
        let served = connection(
            self.worker.clone(),
            self.door.clone(),
            self.builder.clone(),
            stream,
            address.ip(),
            self.limits,
            Line::new(&self.drain),
        );
        let open = self.open.clone();
        tokio::spawn(async move {
            let _held: (Connected, watch::Receiver<()>) = (connected, open);
            served.await;
        });
    }
}

/// What who is one too many is told, if the socket takes it at once: before it has cost anything.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn turn_away(stream: &TcpStream) {
    let _untold = stream.try_write(TOO_MANY);
}

async fn connection(
    worker: Arc<Worker>,
    door: Arc<Door>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    peer: IpAddr,
    limits: FrontLimits,
    line: Arc<Line>,
) {
    // A chunk is never held back; a socket that cannot be told so works all the same.
    let _slower = stream.set_nodelay(true);
    let on_line = line.clone();
    let (stream, turns) = Patient::new(stream, limits);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (worker, door, line) = (worker.clone(), door.clone(), on_line.clone());
        let started = Instant::now();
        line.asked(request.version());
        let turn = turns.begin(request.version());
        // In a box of its own, since it is large: the library keeps room for it as long as there is a connection, also
        // while nothing but a stream's body is left of it.
        Box::pin(async move {
            let (answer, visit) = match door.enter(peer, request.headers()) {
                Ok(visit) => {
                    let answer = endpoint::answer(&worker, request, limits, started).await;
                    (door.judge(&visit, answer), Some(visit))
                }
                Err(refusal) => (answer::refusal(&refusal), None),
            };
            Ok::<_, Infallible>(holding(line.answered(answer), (visit, turn)))
        })
    });
    let connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    line.run(connection).await;
}

fn connection_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `Patient` has the time for heads.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(H2_HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(H2_RESETS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}
