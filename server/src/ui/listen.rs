//! The pages on an address of their own, apart from the clients' port, so that a firewall can tell them apart.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use dialect::Dialect;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Ui;
use crate::answer::{self, Body};
use crate::door::Door;

/// A browser opens six; more is a mistake or worse.
const CONNECTIONS_MAX: usize = 256;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For a connection, from its first byte to its last: a login through the gemini CLI takes a while.
const TIMEOUT: Duration = Duration::from_secs(180);
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers until it is enough, and then to the end what it has begun to answer.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve_ui(
    listener: Arc<TcpListener>,
    ui: Ui,
    door: Arc<Door>,
    mut enough: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
    // Dropped with this, so that no connection outlives the listener.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut enough) => break,
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => drop(open.spawn(connection(stream, peer.ip(), ui.clone(), door.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "a browser's connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = open.join_next() => {}
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
    Ok(())
}

/// Waits until it is enough.
async fn told(enough: &mut watch::Receiver<bool>) {
    let _enough = enough.wait_for(|enough| *enough).await;
}

async fn connection(stream: TcpStream, peer: IpAddr, ui: Ui, door: Arc<Door>) {
    let service = service_fn(move |request| {
        let (ui, door) = (ui.clone(), door.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, ui, &door).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // One that breaks, or takes too long, is the asker's business.
    let _broken = tokio::time::timeout(TIMEOUT, connection).await;
}

/// The page, or for who has shown too many keys that were none, how long to wait: here and where clients are they are
/// counted together.
async fn answer(request: Request<Incoming>, peer: IpAddr, ui: Ui, door: &Door) -> Response<Body> {
    match door.enter(peer, request.headers()) {
        Ok(visit) => {
            let answer = ui.answer(request).await;
            door.judge(&visit, Dialect::OpenaiChat, answer)
        }
        Err(refusal) => answer::refusal(Dialect::OpenaiChat, &refusal),
    }
}
