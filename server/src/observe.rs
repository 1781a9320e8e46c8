//! The listener for operators: `/metrics` and the health endpoints, on an address of their own.
//!
//! It is apart from the clients' port, so that a firewall can tell them apart, and runs on the control runtime, so that
//! no scrape stands in the way of a call. Whoever asks gets one answer a connection, and not long for it.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use dialect::Dialect;
use dialect::refusal::{Code, Refusal};
use gateway::Gateway;
use gateway::seeing::Metrics;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::answer::{self, Body};
use crate::connections::Connections;
use crate::endpoint::ForAnybody;
use crate::front;

/// What is looked at.
pub struct Observed {
    pub gateway: Arc<Gateway>,
    pub metrics: Metrics,
    /// Those of clients.
    pub connections: Arc<Connections>,
}

/// A few scrapers and people; more is a mistake or worse.
const CONNECTIONS_MAX: usize = 32;
/// For a connection, from its first byte to its last.
const TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers until it is enough, and then to the end what it has begun to answer.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn observe(
    listener: TcpListener,
    observed: Arc<Observed>,
    mut enough: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Dropped with this, so that no connection outlives the listener.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut enough) => break,
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => drop(open.spawn(connection(stream, observed.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
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

async fn connection(stream: TcpStream, observed: Arc<Observed>) {
    let service = service_fn(move |request| {
        let observed = observed.clone();
        async move { Ok::<_, Infallible>(answered(&observed, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // One that breaks, or takes too long, is the asker's business.
    let _broken = tokio::time::timeout(TIMEOUT, connection).await;
}

async fn answered(observed: &Observed, request: &Request<Incoming>) -> Response<Body> {
    let found = front::check(request).and_then(|()| {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::new(
                Code::MethodNotAllowed,
                "This endpoint takes GET only.",
            ));
        }
        Ok(request.uri().path())
    });
    match found {
        Ok("/metrics") => metrics(observed).await,
        Ok(path) => match ForAnybody::at(path) {
            Some(endpoint) => endpoint.answer(&observed.gateway),
            None => answer::refusal(
                Dialect::OpenaiChat,
                &Refusal::new(Code::UnknownEndpoint, "There is no such endpoint."),
            ),
        },
        Err(refusal) => answer::refusal(Dialect::OpenaiChat, &refusal),
    }
}

async fn metrics(observed: &Observed) -> Response<Body> {
    let Observed {
        gateway,
        metrics,
        connections,
    } = observed;
    let text = metrics.text(gateway, connections.total()).await;
    let mut response = Response::new(Body::Whole(Some(text.into())));
    let kind = HeaderValue::from_static(Metrics::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
