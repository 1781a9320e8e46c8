//! A call of a model, in whichever dialect.

use std::pin::pin;

use dialect::refusal::{Code, Refusal};
use gateway::{Request, Worker};
use http::Response;
use hyper::body::Incoming;

use super::body;
use crate::answer::{self, Body};
use crate::limits::FrontLimits;

pub(crate) async fn answer(
    worker: &Worker,
    request: &Request<'_>,
    body: &mut Incoming,
    limits: FrontLimits,
) -> Result<Response<Body>, Refusal> {
    let replied = {
        let reading = pin!(body::read(request.headers, body, limits));
        worker.call(request, reading).await
    };
    // Who was too slow already is not waited for again.
    if replied
        .as_ref()
        .is_err_and(|refusal| refusal.code != Code::RequestTimeout)
    {
        body::discard(body).await;
    }
    replied.map(|reply| answer::reply(request.asked.dialect, reply))
}
