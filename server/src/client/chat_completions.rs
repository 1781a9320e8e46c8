//! `POST /v1/chat/completions`.

use dialect::refusal::{Code, Refusal};
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
    // Who was too slow already is not waited for again.
    if replied
        .as_ref()
        .is_err_and(|refusal| refusal.code != Code::RequestTimeout)
    {
        body::discard(&mut body).await;
    }
    replied.map(answer::reply)
}
