//! Tenants that are out of service because a row of theirs makes no sense.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which they are, and how many there were.
pub(super) struct Poisoned {
    /// Until when each is believed to be so without looking again: a row may be mended behind the program's back.
    tenants: Mutex<HashMap<Arc<str>, Instant>>,
    found: AtomicU64,
}

/// Their calls ask the database once in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// More than these are not remembered; each of their calls asks.
const REMEMBERED_MAX: usize = 10_000;

impl Poisoned {
    pub(super) fn new() -> Self {
        Self {
            tenants: Mutex::default(),
            found: AtomicU64::new(0),
        }
    }

    /// Whether this one was found out a moment ago.
    pub(super) fn is_known(&self, tenant_id: &Arc<str>) -> bool {
        let until = self.tenants().get(tenant_id).copied();
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn note(&self, tenant_id: &Arc<str>) {
        self.found.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut tenants = self.tenants();
        if tenants.len() >= REMEMBERED_MAX {
            tenants.retain(|_, until| now < *until);
        }
        if tenants.len() < REMEMBERED_MAX {
            tenants.insert(tenant_id.clone(), now + LOOK_AGAIN);
        }
    }

    /// Routes that hold for every tenant and cannot be read.
    pub(super) fn note_global(&self, routes: u64) {
        self.found.fetch_add(routes, Ordering::Relaxed);
    }

    /// A row of this tenant has changed, or all of them make sense.
    pub(super) fn mended(&self, tenant_id: &Arc<str>) {
        self.tenants().remove(tenant_id);
    }

    pub(super) fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) -> usize {
        self.tenants().len()
    }

    /// A thread that panicked while it held this leaves the map whole.
    fn tenants(&self) -> MutexGuard<'_, HashMap<Arc<str>, Instant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
