//! A call of a model, in whichever dialect.

use std::sync::atomic::{AtomicBool, Ordering};

use dialect::refusal::{Code, Refusal};
use gateway::{Request, Worker};
use http::Response;
use http::header::EXPECT;
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
    let asked_for = AtomicBool::new(false);
    let replied = {
        let (incoming, asked_for) = (&mut *body, &asked_for);
        worker
            .call(request, move |room| {
                body::read(request.headers, incoming, asked_for, limits, room)
            })
            .await
    };
    // Who was too slow already is not waited for again; and who waits to be asked for the body is not asked for nothing.
    let waits = request.headers.contains_key(EXPECT) && !asked_for.load(Ordering::Relaxed);
    if !waits
        && replied
            .as_ref()
            .is_err_and(|refusal| refusal.code != Code::RequestTimeout)
    {
        body::discard(body).await;
    }
    replied.map(|reply| answer::reply(request.asked.dialect, reply))
}
