//! The door: open while the gateway serves, closed while it drains. It knows how many calls are inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The door.
#[derive(Default)]
pub struct Admission {
    closed: AtomicBool,
    in_flight: AtomicUsize,
    emptied: Notify,
}

/// Counts as one call in flight until dropped.
pub(crate) struct InFlight(Arc<Admission>);

impl Admission {
    /// Lets one call in, unless the door is closed.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        // Counted before the door is looked at: whoever closes it and then sees nobody inside can be sure.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let inside = InFlight(self.clone());
        self.is_open().then_some(inside)
    }

    /// Lets no more calls in.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }

    /// Calls that were admitted and are not settled.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until no call is in flight. Call [`Admission::close`] first, or it may never come.
    pub async fn emptied(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // Waiting begins before the count is looked at, so that the last call cannot leave in between unnoticed.
            emptied.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}
