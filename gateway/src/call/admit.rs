//! May this call go out? A permit says yes, and holds what the call will need until it is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dialect::refusal::{Code, Refusal};
use tokio::sync::Notify;

use crate::gateway::Gateway;
use crate::ledger::LedgerPlace;

/// The door: open while the gateway serves, closed while it drains; it knows how many calls are inside.
#[derive(Default)]
pub struct Admission {
    closed: AtomicBool,
    in_flight: AtomicUsize,
    emptied: Notify,
}

/// The right to send one call, and its place in the ledger. Without one nothing is sent.
pub(super) struct Permit {
    pub place: LedgerPlace,
    pub in_flight: InFlight,
}

/// Counts as one call in flight until dropped.
pub(super) struct InFlight {
    gateway: Arc<Gateway>,
}

const RETRY_S: u64 = 1;

/// Admits one call.
///
/// # Errors
/// 503 while the gateway is draining, and when the ledger has no place left: a call that could not be booked is not
/// made.
pub(super) fn admit(gateway: &Arc<Gateway>) -> Result<Permit, Refusal> {
    let admission = gateway.admission();
    // Counted before the door is looked at: whoever closes it and then sees nobody inside can be sure.
    admission.in_flight.fetch_add(1, Ordering::SeqCst);
    let in_flight = InFlight {
        gateway: gateway.clone(),
    };
    if admission.closed.load(Ordering::SeqCst) {
        return Err(Refusal::new(Code::ShuttingDown, "This gateway is shutting down.").retry_after(RETRY_S));
    }
    let place = gateway.ledger().reserve().ok_or_else(|| {
        Refusal::new(
            Code::Overloaded,
            "The gateway cannot book this call at the moment.",
        )
        .retry_after(RETRY_S)
    })?;
    Ok(Permit { place, in_flight })
}

impl Admission {
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
            let notified = self.emptied.notified();
            if self.in_flight() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let admission = self.gateway.admission();
        if admission.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            admission.emptied.notify_waiters();
        }
    }
}
