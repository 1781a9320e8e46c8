//! One worker's accept loop, and the limits on what a connection may cost before it has asked for anything.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway::Worker;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;

use crate::connections::Connections;
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

/// Serves connections of `listener` until it is to drain, and then those that are open until their calls are done, or
/// until it is to stop.
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
    let builder = Arc::new(connection_builder(limits));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase >= Phase::Drain) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                // Too many: the connection is closed before it costs anything.
                let Some(connected) = connections.connect(address.ip()) else {
                    continue;
                };
                let (worker, builder) = (worker.clone(), builder.clone());
                let watcher = open.watcher();
                tokio::spawn(async move {
                    connection(worker, &builder, stream, limits, watcher).await;
                    drop(connected);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tokio::select! {
        () = open.shutdown() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Stop) => {}
    }
    Ok(())
}

async fn connection(
    worker: Arc<Worker>,
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    limits: FrontLimits,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // A chunk is never held back; a socket that cannot be told so works all the same.
    let _slower = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let first = asked.clone();
    let service = service_fn(move |request| {
        let worker = worker.clone();
        let started = Instant::now();
        first.store(true, Ordering::Relaxed);
        async move { Ok::<_, Infallible>(endpoint::answer(&worker, request, limits, started).await) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_stall));
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(watcher.watch(connection));
    // The library's own time-out begins with the first byte of a head in HTTP/1: a client that says nothing, or speaks
    // HTTP/2 and asks nothing, would stay for ever.
    let in_time = tokio::time::timeout(limits.head_timeout, &mut connection).await;
    if in_time.is_err() && asked.load(Ordering::Relaxed) {
        // A connection that breaks is the client's business; the call in it has been settled by its drop.
        let _broken = connection.await;
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
