//! `POST /v1/chat/completions`.

use dialect::refusal::Refusal;
use gateway::{Request, Worker};
use http::Response;
use hyper::body::Incoming;

use super::body;
use crate::answer::{self, Body};
use crate::limits::FrontLimits;

pub(crate) async fn answer(
    worker: &Worker,
    request: Request<'_>,
    body: Incoming,
    limits: FrontLimits,
) -> Result<Response<Body>, Refusal> {
    let body = body::read(request.headers, body, limits);
    worker.chat_completions(request, body).await.map(answer::reply)
}
