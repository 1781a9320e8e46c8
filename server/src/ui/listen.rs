//! The pages on an address of their own, apart from the clients' port, so that a firewall can tell them apart.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use dialect::Dialect;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::Ui;
use crate::answer::{self, Body};
use crate::door::Door;
use crate::few::Few;

const FEW: Few = Few {
    whose: "a browser's",
    // A browser opens six; more is a mistake or worse.
    connections_max: 256,
    head_timeout: Duration::from_secs(10),
    head_bytes_max: 64 << 10,
    headers_max: 100,
    // A login through the gemini CLI takes a while.
    timeout: Some(Duration::from_secs(180)),
};

/// Answers until it is enough, and then to the end what it has begun to answer.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve_ui(
    listener: Arc<TcpListener>,
    ui: Ui,
    door: Arc<Door>,
    mut enough: watch::Receiver<bool>,
) -> io::Result<()> {
    let answer = move |request, peer| {
        let (ui, door) = (ui.clone(), door.clone());
        async move { answer(request, peer, ui, &door).await }
    };
    let enough = async { drop(enough.wait_for(|enough| *enough).await) };
    FEW.serve(listener.try_clone()?, answer, enough).await
}

/// The page, or for who has shown too many keys that were none, how long to wait: here and where clients are they are
/// counted together.
async fn answer(request: Request<Incoming>, peer: IpAddr, ui: Ui, door: &Door) -> Response<Body> {
    match door.enter(peer, request.headers()) {
        Ok(visit) => {
            let answer = ui.answer(request).await;
            door.judge(&visit, Dialect::OpenaiChat, answer)
        }
        Err(refusal) => answer::refusal(Dialect::OpenaiChat, &refusal),
    }
}
