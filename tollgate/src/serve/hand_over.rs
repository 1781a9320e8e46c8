//! An upgrade that cuts nothing: the next process gets the sockets of the one that serves.
//!
//! A process that serves can be asked at a unix socket in the data folder, whose name tells the address that it listens
//! on. Whoever asks gets its listening sockets, the very ones (SCM_RIGHTS): connections that the kernel has queued on
//! them belong to both processes, and are lost by neither. When the new process takes calls it says so, and only then
//! does the old one begin to drain. One that dies before that has changed nothing.
//!
//! Two sockets on one port (SO_REUSEPORT) would not do: what is queued on the old one is reset when it is closed.

use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::sync::mpsc;

use super::sockets::Sockets;
use crate::failure::Failure;

/// What was got from the process that serves; nothing, where there is none.
#[derive(Default)]
pub(super) struct Inheritance {
    predecessor: Option<BufReader<UnixStream>>,
    sockets: Vec<TcpListener>,
}

/// Where this process can be asked.
pub(super) struct Offer {
    path: PathBuf,
    /// Device and number of the socket there, as long as it is this process's.
    own: Option<(u64, u64)>,
    /// One message when another process has taken over.
    taken: mpsc::Receiver<()>,
}

/// What is said besides the sockets.
const SOCKETS: &[u8] = b"sockets\n";
const READY: &str = "ready\n";
const DRAINING: &str = "draining\n";
/// More cannot be sent at once.
const SOCKETS_MAX: usize = 250;
/// For an answer of a process that serves.
const ANSWER: Duration = Duration::from_secs(10);
/// For a new process to become ready: it may have a schema to migrate.
const START: Duration = Duration::from_secs(600);

/// Asks the process that serves at this address for its sockets.
pub(super) fn ask(data_dir: &Path, address: SocketAddr) -> Result<Inheritance, Failure> {
    let path = path(data_dir, address);
    let failed = |error: io::Error| {
        let message = format!(
            "the gateway at {address} does not hand over ({}): {error}",
            path.display()
        );
        Failure::other(message)
    };
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => {
            return Ok(Inheritance::default());
        }
        Err(error) => return Err(failed(error)),
    };
    let asked = stream
        .set_read_timeout(Some(ANSWER))
        .and_then(|()| receive(&stream));
    Ok(Inheritance {
        sockets: asked.map_err(failed)?,
        predecessor: Some(BufReader::new(stream)),
    })
}

impl Inheritance {
    /// The sockets that listen at this address.
    pub(super) fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let listens_there = |socket: &mut TcpListener| socket.local_addr().ok() == Some(address);
        self.sockets.extract_if(.., listens_there).collect()
    }

    /// Tells the process from which it came that this one takes calls, and waits until that has begun to drain.
    pub(super) fn enter(self) {
        let Some(mut predecessor) = self.predecessor else {
            return;
        };
        let mut answer = String::new();
        let told = predecessor.get_mut().write_all(READY.as_bytes());
        match told.and_then(|()| predecessor.read_line(&mut answer)) {
            Ok(_) if answer == DRAINING => tracing::info!("taken over"),
            // It was told to stop, or killed, while this process started. The sockets are here all the same.
            _ => tracing::warn!("the gateway that served before is gone already"),
        }
    }
}

impl Offer {
    /// Can be asked from now on, in place of whoever could be asked before.
    pub(super) fn make(data_dir: &Path, address: SocketAddr, sockets: Sockets) -> io::Result<Self> {
        fs::create_dir_all(data_dir)?;
        let path = path(data_dir, address);
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let _left_over = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        let own = identity(&new);
        fs::rename(&new, &path)?;
        let (take, taken) = mpsc::channel(1);
        thread::Builder::new()
            .name("hand-over".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    match hand_over(&stream, &sockets) {
                        Ok(()) => {
                            // It drains, or has already been told to.
                            let _known = take.try_send(());
                            let _unheard = (&stream).write_all(DRAINING.as_bytes());
                            return;
                        }
                        Err(error) => tracing::warn!(%error, "not handed over"),
                    }
                }
            })?;
        Ok(Self { path, own, taken })
    }

    /// Waits until another process has taken over.
    pub(super) async fn taken(&mut self) {
        if self.taken.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Can be asked no more. Another process may have put its own socket there.
    pub(super) fn withdraw(self) {
        if self.own.is_some() && identity(&self.path) == self.own {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// What tells a file from any other.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Gives the sockets to whoever asks, and waits until it is ready.
fn hand_over(stream: &UnixStream, sockets: &Sockets) -> io::Result<()> {
    // The mode of the socket keeps others out; this is for file systems that have none.
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(io::Error::other("another user asked"));
    }
    tracing::info!("another process asks to take over");
    stream.set_read_timeout(Some(START))?;
    send(stream, &sockets.all()?)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer == READY {
        Ok(())
    } else {
        Err(io::Error::other(
            "the other process went away before it was ready",
        ))
    }
}

fn send(stream: &UnixStream, sockets: &[TcpListener]) -> io::Result<()> {
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there are too many sockets"));
    }
    let sent = rustix::net::sendmsg(
        stream,
        &[IoSlice::new(SOCKETS)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent == SOCKETS.len() {
        Ok(())
    } else {
        Err(io::Error::other("the other process takes nothing"))
    }
}

fn receive(stream: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut said = [0; SOCKETS.len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut said)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if said.get(..received.bytes) != Some(SOCKETS) {
        return Err(io::Error::other("it said something else"));
    }
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors.map(TcpListener::from));
        }
    }
    Ok(sockets)
}

/// One for each address: several gateways may have one data folder.
fn path(data_dir: &Path, address: SocketAddr) -> PathBuf {
    let address = address.to_string().replace(['[', ']', ':'], "_");
    data_dir.join(format!("serving-{address}.sock"))
}
