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
    mut body: Incoming,
    limits: FrontLimits,
) -> Result<Response<Body>, Refusal> {
    let reading = body::read(request.headers, &mut body, limits);
    let replied = worker.chat_completions(request, reading).await;
    if replied.is_err() {
        body::discard(&mut body).await;
    }
    replied.map(answer::reply)
}
