//! One worker's accept loop, and the limits on what a connection may cost before it has asked for anything.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
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
use tokio_io_timeout::TimeoutStream;

use crate::connections::{Connected, Connections};
use crate::drain::{Drain, Line};
use crate::endpoint;
use crate::limits::FrontLimits;

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
    connections: Arc<Connections>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Dropped by each connection when it ends.
    let (all_ended, open) = watch::channel(());
    let front = Front {
        worker,
        builder: Arc::new(connection_builder(limits)),
        limits,
        connections,
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
    connections: Arc<Connections>,
    drain: Arc<Drain>,
    open: watch::Receiver<()>,
}

impl Front {
    fn take(&self, stream: TcpStream, address: SocketAddr) {
        // Too many: the connection is closed before it costs anything.
        let Some(connected) = self.connections.connect(address.ip()) else {
            return;
        };
        let served = connection(
            self.worker.clone(),
            self.builder.clone(),
            stream,
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

async fn connection(
    worker: Arc<Worker>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    limits: FrontLimits,
    line: Arc<Line>,
) {
    // A chunk is never held back; a socket that cannot be told so works all the same.
    let _slower = stream.set_nodelay(true);
    let on_line = line.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (worker, line) = (worker.clone(), on_line.clone());
        let started = Instant::now();
        line.asked(request.version());
        // In a box of its own, since it is large: the library keeps room for it as long as there is a connection, also
        // while nothing but a stream's body is left of it.
        Box::pin(async move {
            let answer = endpoint::answer(&worker, request, limits, started).await;
            Ok::<_, Infallible>(line.answered(answer))
        })
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_stall));
    let connection = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let mut served = pin!(line.run(connection));
    // The library's own time-out begins with the first byte of a head in HTTP/1: a client that says nothing, or speaks
    // HTTP/2 and asks nothing, would stay for ever.
    let in_time = tokio::time::timeout(limits.head_timeout, &mut served).await;
    if in_time.is_err() && line.was_asked() {
        served.await;
    }
}

fn connection_builder(limits: FrontLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
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
