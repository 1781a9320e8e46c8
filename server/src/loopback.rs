//! Listening on loopback for processes of our own: whoever answers them is somebody else's business.

use std::error::Error;
use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;

use crate::few::Few;

const FEW: Few = Few {
    whose: "a process's",
    connections_max: 1024,
    head_timeout: Duration::from_secs(30),
    head_bytes_max: 64 << 10,
    headers_max: 100,
    timeout: None,
};
const BODY_BYTES_MAX: usize = 64 << 20;

/// Answers with what `answer` makes of each request, for ever.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve_loopback<A, F, B>(listener: Arc<TcpListener>, answer: A) -> io::Result<()>
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let answer = move |request, _| answered(request, answer.clone());
    FEW.serve(listener.try_clone()?, answer, pending()).await
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
