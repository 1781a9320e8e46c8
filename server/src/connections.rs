//! How many connections are open: a number for all, and one for each address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open connections of all workers.
pub struct Connections {
    all_max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Addresses with at least one.
    by_address: HashMap<IpAddr, usize>,
}

/// One open connection, until dropped.
pub(crate) struct Connected {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub fn new(all_max: usize, per_address_max: usize) -> Self {
        Self {
            all_max,
            per_address_max,
            open: Mutex::default(),
        }
    }

    /// Counts one more, unless there are too many. This machine's own addresses have no number of their own: they are
    /// those of a proxy in front of us.
    pub(crate) fn connect(self: &Arc<Self>, address: IpAddr) -> Option<Connected> {
        let mut open = self.open();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.all_max || (of_address >= self.per_address_max && !address.is_loopback()) {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Connected {
            connections: self.clone(),
            address,
        })
    }

    /// A thread that panicked while it counted leaves numbers that are at most one too high.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.all = open.all.saturating_sub(1);
        if let Entry::Occupied(mut of_address) = open.by_address.entry(self.address) {
            match of_address.get().saturating_sub(1) {
                0 => drop(of_address.remove()),
                left => drop(of_address.insert(left)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_for_all_and_for_each_address() {
        let connections = Arc::new(Connections::new(4, 2));
        let near: IpAddr = "127.0.0.1".parse().unwrap();
        let [one, two]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let held = [one, one].map(|address| connections.connect(address).unwrap());
        assert!(connections.connect(one).is_none(), "two of one address");
        let more = [near, near].map(|address| connections.connect(address).unwrap());
        assert!(connections.connect(two).is_none(), "four of all");
        drop(held);
        let again = [near, two].map(|address| connections.connect(address).unwrap());
        drop((more, again));
        assert!(connections.open().by_address.is_empty() && connections.open().all == 0);
    }
}
