//! Listening on loopback for processes of our own: whoever answers them is somebody else's business.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;

const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 64 << 20;
const CONNECTIONS_MAX: usize = 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers with what `answer` makes of each request, for ever.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve_loopback<A, F, B>(listener: Arc<TcpListener>, answer: A) -> io::Result<()>
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
    // Dropped with this, so that no connection outlives the listener.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let answer = answer.clone();
                    let _delayed = stream.set_nodelay(true);
                    let service = service_fn(move |request| {
                        let answer = answer.clone();
                        async move { Ok::<_, Infallible>(answered(request, answer).await) }
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service);
                    // One that breaks is the process's business.
                    open.spawn(async move { drop(connection.await) });
                }
                Err(error) => {
                    tracing::warn!(%error, "a process's connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = open.join_next() => {}
        }
    }
}

async fn answered<A, F, B>(request: Request<Incoming>, answer: A) -> Response<Either<B, Full<Bytes>>>
where
    A: Fn(Request<Bytes>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => answer(Request::from_parts(head, body.to_bytes()))
            .await
            .map(Either::Left),
        Err(_) => {
            let mut response = Response::new(Either::Right(Full::default()));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
    }
}
