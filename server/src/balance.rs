//! Connections spread evenly over the workers.
//!
//! The kernel spreads them by chance (SO_REUSEPORT): of a few that stay open, one worker easily gets twice as many as
//! another. So a worker that takes a connection while another has fewer hands it to that one. It costs a moment once a
//! connection, and nothing for the calls on it.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The workers, as far as one must know of another.
pub struct Balance(Vec<Worker>);

#[derive(Default)]
struct Worker {
    /// Connections that it serves or was handed.
    open: AtomicUsize,
    handed: Mutex<Handed>,
    was_handed: Notify,
}

#[derive(Default)]
struct Handed {
    /// Whether it takes none any more.
    closed: bool,
    waiting: VecDeque<Taken>,
}

/// A connection that nobody has read from yet.
pub(crate) struct Taken {
    stream: TcpStream,
    address: SocketAddr,
    seated: Seated,
}

/// A connection's place in the count of its worker, until dropped.
pub(crate) struct Seated(Arc<Balance>, usize);

/// One worker's view of them.
#[derive(Clone)]
pub struct Seat {
    balance: Arc<Balance>,
    number: usize,
}

/// A worker keeps what it takes as long as no other has fewer than it by more than this part.
const SLACK_PART: usize = 8;

impl Balance {
    /// A seat for each worker.
    pub fn seats(workers: usize) -> Vec<Seat> {
        let balance = Arc::new(Self((0..workers).map(|_| Worker::default()).collect()));
        let seat = |number| Seat {
            balance: balance.clone(),
            number,
        };
        (0..workers).map(seat).collect()
    }

    fn open(&self, number: usize) -> usize {
        self.0
            .get(number)
            .map_or(0, |worker| worker.open.load(Ordering::Relaxed))
    }
}

impl Seat {
    /// A connection that this worker has taken: its own, unless another worker has got it.
    pub(crate) fn keep_or_hand(&self, stream: TcpStream, address: SocketAddr) -> Option<Taken> {
        let own = self.balance.open(self.number);
        let least = (0..self.balance.0.len()).min_by_key(|number| self.balance.open(*number));
        let other = least.filter(|least| {
            let open = self.balance.open(*least);
            own > open + open / SLACK_PART
        });
        let mut taken = self.keep(stream, address);
        if let Some(number) = other
            && let Some(other) = self.balance.0.get(number)
        {
            let kept = std::mem::replace(&mut taken.seated, self.sit(number));
            let mut refused = other.hand(taken)?;
            refused.seated = kept;
            return Some(refused);
        }
        Some(taken)
    }

    /// A connection that this worker has taken and keeps.
    pub(crate) fn keep(&self, stream: TcpStream, address: SocketAddr) -> Taken {
        let seated = self.sit(self.number);
        Taken {
            stream,
            address,
            seated,
        }
    }

    /// The next connection that another worker has handed to this one. May be given up while it waits.
    pub(crate) async fn handed(&self) -> Taken {
        let Some(own) = self.balance.0.get(self.number) else {
            return std::future::pending().await;
        };
        loop {
            if let Some(taken) = own.handed().waiting.pop_front() {
                return taken;
            }
            own.was_handed.notified().await;
        }
    }

    /// From now on this worker is handed nothing; what it has been handed and not looked at yet.
    pub(crate) fn close(&self) -> impl Iterator<Item = Taken> + use<> {
        let handed = self.balance.0.get(self.number).map(|own| {
            let mut handed = own.handed();
            handed.closed = true;
            std::mem::take(&mut handed.waiting)
        });
        handed.into_iter().flatten()
    }

    /// From now on it may be handed connections: also when it is begun anew after it has fallen.
    pub(crate) fn open(&self) {
        if let Some(own) = self.balance.0.get(self.number) {
            own.handed().closed = false;
        }
    }

    fn sit(&self, number: usize) -> Seated {
        if let Some(worker) = self.balance.0.get(number) {
            worker.open.fetch_add(1, Ordering::Relaxed);
        }
        Seated(self.balance.clone(), number)
    }
}

impl Worker {
    /// Hands it a connection, or gives it back when it takes none any more.
    fn hand(&self, taken: Taken) -> Option<Taken> {
        let mut handed = self.handed();
        if handed.closed {
            return Some(taken);
        }
        handed.waiting.push_back(taken);
        drop(handed);
        self.was_handed.notify_one();
        None
    }

    /// A thread that panicked while it held this leaves it whole.
    fn handed(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    pub(crate) fn into_parts(self) -> (TcpStream, SocketAddr, Seated) {
        (self.stream, self.address, self.seated)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if let Some(worker) = self.0.0.get(self.1) {
            worker.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
