//! The listening sockets, in one place: whoever needs one gets a duplicate, and a socket is closed when this has let it
//! go and the duplicates are gone.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle on them. Its clones mean the same sockets.
#[derive(Clone)]
pub(super) struct Sockets {
    workers: usize,
    held: Arc<Mutex<Vec<TcpListener>>>,
}

impl Sockets {
    /// One for each worker, and what others listen on.
    pub(super) fn new(
        of_workers: Vec<TcpListener>,
        of_others: impl IntoIterator<Item = TcpListener>,
    ) -> Self {
        Self {
            workers: of_workers.len(),
            held: Arc::new(Mutex::new(of_workers.into_iter().chain(of_others).collect())),
        }
    }

    /// Those of workers; they come first.
    pub(super) fn count(&self) -> usize {
        self.workers
    }

    /// One of them, for its worker.
    pub(super) fn one(&self, number: usize) -> io::Result<TcpListener> {
        let held = self.held();
        let socket = held.get(number).ok_or(io::ErrorKind::NotConnected)?;
        socket.try_clone()
    }

    /// All of them, for another process.
    pub(super) fn all(&self) -> io::Result<Vec<TcpListener>> {
        self.held().iter().map(TcpListener::try_clone).collect()
    }

    pub(super) fn let_go(&self) {
        self.held().clear();
    }

    /// A thread that panicked while it held this leaves the list whole.
    fn held(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
