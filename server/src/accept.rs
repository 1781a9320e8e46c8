//! One worker's accept loop, and the limits on what a connection may cost before it has asked for anything.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Worker, failpoint};
use tokio::sync::watch;

use crate::balance::Seat;
use crate::connection::Front;
use crate::door::Door;
use crate::limits::FrontLimits;
use crate::ui::Ui;

/// What a worker is told to do. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Take connections.
    Serve,
    /// Take none, and let the open calls end.
    Drain,
    /// Drop what is left.
    Stop,
}

/// After a failed accept: the usual reason is that there are no file descriptors, which only waiting mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections of `listener`, and those that other workers hand to this one, until it is to drain, and then those
/// that are open until their clients have been told and their calls are done, or until it is to stop.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve(
    worker: Arc<Worker>,
    listener: TcpListener,
    seat: Seat,
    limits: FrontLimits,
    door: Arc<Door>,
    ui: Option<Ui>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // Held by each connection until it ends.
    let (all_ended, open) = watch::channel(());
    let front = Arc::new(Front::new(worker, limits, door, ui, open));
    seat.open();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            handed = seat.handed() => {
                front.take(handed);
                continue;
            }
            _ = phase.wait_for(|phase| *phase >= Phase::Drain) => break,
        };
        failpoint("accept");
        let accepted = accepted.and_then(|(stream, address)| Ok((stream.into_std()?, address)));
        match accepted {
            Ok((stream, address)) => seat
                .keep_or_hand(stream, address)
                .into_iter()
                .for_each(|taken| front.take(taken)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    front.drain();
    seat.close().for_each(|handed| front.take(handed));
    take_the_queued(&front, &seat, listener);
    drop(front);
    tokio::select! {
        () = all_ended.closed() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Stop) => {}
    }
    Ok(())
}

/// Takes who was queued by the kernel: they have been told that somebody is there. The kernel itself is asked, since the
/// runtime may not have noticed yet that they came.
fn take_the_queued(front: &Arc<Front>, seat: &Seat, listener: tokio::net::TcpListener) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, address)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok() {
            front.take(seat.keep(stream, address));
        }
    }
}
