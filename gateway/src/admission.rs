//! The door: open while the gateway serves, then ajar for those who are on their way, then closed. It knows how many
//! calls are inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The door.
#[derive(Default)]
pub struct Admission {
    state: AtomicU8,
    in_flight: AtomicUsize,
}

const OPEN: u8 = 0;
const AJAR: u8 = 1;
const CLOSED: u8 = 2;

/// Counts as one call in flight until dropped.
pub(crate) struct InFlight(Arc<Admission>);

impl Admission {
    /// Lets one call in, unless the door is closed.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        // Counted before the door is looked at: whoever closes it and then sees nobody inside can be sure.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let inside = InFlight(self.clone());
        (self.state.load(Ordering::SeqCst) != CLOSED).then_some(inside)
    }

    /// Calls should be sent elsewhere. Those that come all the same, on connections that were open, are let in: their
    /// clients could not know.
    pub fn leave_ajar(&self) {
        self.state.fetch_max(AJAR, Ordering::SeqCst);
    }

    /// Lets no more calls in.
    pub fn close(&self) {
        self.state.store(CLOSED, Ordering::SeqCst);
    }

    /// Whether calls should be sent here.
    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::SeqCst) == OPEN
    }

    /// Calls that were admitted and are not settled.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
