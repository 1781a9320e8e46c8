//! The listener for operators: `/metrics` and the health endpoints, on an address of their own.
//!
//! It is apart from the clients' port, so that a firewall can tell them apart, and runs on the control runtime, so that
//! no scrape stands in the way of a call. Whoever asks gets one answer a connection, and not long for it.

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
use tokio::sync::watch;

use crate::answer::{self, Body};
use crate::connections::Connections;
use crate::endpoint::ForAnybody;
use crate::few::Few;
use crate::front;

/// What is looked at.
pub struct Observed {
    pub gateway: Arc<Gateway>,
    pub metrics: Metrics,
    /// Those of clients.
    pub connections: Arc<Connections>,
}

const FEW: Few = Few {
    whose: "an operator's",
    // A few scrapers and people; more is a mistake or worse.
    connections_max: 32,
    head_timeout: Duration::from_secs(10),
    head_bytes_max: 16 << 10,
    headers_max: 64,
    timeout: Some(Duration::from_secs(10)),
};

/// Answers until it is enough, and then to the end what it has begun to answer.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn observe(
    listener: TcpListener,
    observed: Arc<Observed>,
    mut enough: watch::Receiver<bool>,
) -> io::Result<()> {
    let answer = move |request, _| {
        let observed = observed.clone();
        async move { answered(&observed, &request).await }
    };
    let enough = async { drop(enough.wait_for(|enough| *enough).await) };
    FEW.serve(listener, answer, enough).await
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
