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
    /// A request that came by way of a proxy is counted for its address alone: the connection is the proxy's.
    in_all: bool,
    address: Option<IpAddr>,
}

impl Connections {
    pub fn new(all_max: usize, per_address_max: usize) -> Self {
        Self {
            all_max,
            per_address_max,
            open: Mutex::default(),
        }
    }

    /// How many are open.
    pub fn total(&self) -> usize {
        self.open().all
    }

    /// Counts one more connection, unless there are too many. Without an address only all of them are counted.
    pub(crate) fn connect(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Connected> {
        self.count(true, address)
    }

    /// Counts one more request that came by way of a proxy, unless its client has too many.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Connected> {
        self.count(false, Some(address))
    }

    fn count(self: &Arc<Self>, in_all: bool, address: Option<IpAddr>) -> Option<Connected> {
        let mut open = self.open();
        let of_address = address.and_then(|address| open.by_address.get(&address).copied());
        let of_address = of_address.unwrap_or(0);
        if (in_all && open.all >= self.all_max) || of_address >= self.per_address_max {
            return None;
        }
        open.all += usize::from(in_all);
        if let Some(address) = address {
            open.by_address.insert(address, of_address + 1);
        }
        Some(Connected {
            connections: self.clone(),
            in_all,
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
        open.all = open.all.saturating_sub(usize::from(self.in_all));
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut of_address) = open.by_address.entry(address) {
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
        let [one, two]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let held = [one, one].map(|address| connections.connect(Some(address)).unwrap());
        assert!(connections.connect(Some(one)).is_none(), "two of one address");
        assert!(connections.enter(one).is_none(), "two, be it over a proxy");
        let more = [None, None].map(|address| connections.connect(address).unwrap());
        assert!(connections.connect(Some(two)).is_none(), "four of all");
        let over_a_proxy = connections.enter(two).unwrap();
        drop(held);
        let again = [None, Some(two)].map(|address| connections.connect(address).unwrap());
        drop((more, again, over_a_proxy));
        assert!(connections.open().by_address.is_empty() && connections.open().all == 0);
    }
}
