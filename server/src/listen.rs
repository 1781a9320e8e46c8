//! The listening sockets: one for each worker, all on one port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// One listener for each worker. The kernel spreads new connections over them by chance (SO_REUSEPORT), so that no worker
/// waits for another; what chance does badly is put right by [`crate::Balance`].
pub struct Listeners {
    address: SocketAddr,
    listeners: Vec<TcpListener>,
}

/// A port that cannot be listened on.
#[derive(Debug)]
pub enum ListenError {
    InUse,
    Other(io::Error),
}

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

impl Listeners {
    /// Listens on `address` for this many workers; port 0 stands for any free one.
    ///
    /// # Errors
    /// When another program listens there, or the address is not this machine's.
    pub fn bind(address: SocketAddr, workers: usize) -> Result<Self, ListenError> {
        // Sharing a port would also share it with another gateway that already runs here; hence this first try alone.
        let alone = bind(address, false)?;
        let address = alone.local_addr()?.as_socket().unwrap_or(address);
        drop(alone);
        let listeners = (0..workers.max(1)).map(|_| listen(address));
        let listeners = listeners.collect::<Result<_, ListenError>>()?;
        Ok(Self { address, listeners })
    }

    /// Goes on listening where another process of this program does, with its sockets: what the kernel has queued on
    /// one stays there whichever of the two closes it. There may be more of them than workers were asked for, since
    /// each of them needs one.
    ///
    /// # Errors
    /// When these sockets listen nowhere.
    pub fn inherit(mut listeners: Vec<TcpListener>, workers: usize) -> Result<Self, ListenError> {
        let address = match listeners.first() {
            Some(first) => first.local_addr()?,
            None => return Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        };
        while listeners.len() < workers {
            listeners.push(listen(address)?);
        }
        Ok(Self { address, listeners })
    }

    /// Where it listens, with the port that was found when any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn into_each(self) -> Vec<TcpListener> {
        self.listeners
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let socket = bind(address, true)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn bind(address: SocketAddr, shared: bool) -> Result<Socket, ListenError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run that are still closing must not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse,
            _ => Self::Other(error),
        }
    }
}
