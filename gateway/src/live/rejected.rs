//! Which tenants have stored rows that make no sense or cannot be used, for whoever watches over the installation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of such rows by tenant, as of when the tenant was last loaded.
#[derive(Default)]
pub(super) struct Rejected(Mutex<HashMap<Arc<str>, usize>>);

/// More tenants than this with such rows are one and the same alarm.
const TENANTS_MAX: usize = 10_000;

impl Rejected {
    /// Notes how many rows of this tenant are of no use.
    pub(super) fn set(&self, tenant_id: &Arc<str>, rows: usize) {
        let mut tenants = self.tenants();
        if rows == 0 {
            tenants.remove(tenant_id);
        } else if tenants.len() < TENANTS_MAX || tenants.contains_key(tenant_id) {
            tenants.insert(tenant_id.clone(), rows);
        }
    }

    /// All such rows.
    pub(super) fn rows(&self) -> usize {
        self.tenants().values().sum()
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
