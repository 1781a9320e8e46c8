//! Listening on loopback for processes of our own: whoever answers them is somebody else's business, and also whose bodies
//! are read.

use std::error::Error;
use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
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

/// Answers with what `answer` makes of each request, for ever.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve_loopback<A, F, B>(listener: Arc<TcpListener>, answer: A) -> io::Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let answer = move |request, _| answer(request);
    FEW.serve(listener.try_clone()?, answer, pending()).await
}
