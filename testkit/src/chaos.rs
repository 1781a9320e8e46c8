//! The way to a Postgres server, with weather: what a network does to a connection that no server would.
//!
//! A TCP proxy that forwards, and that can delay the server's answers, keep some of them back, cut a connection between
//! a commit and its answer, or stop forwarding without closing anything. A connection on which something was swallowed
//! stays dead, also when the weather is fair
//! again, as with a firewall that has forgotten it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A proxy that runs; it closes everything when dropped.
pub struct Chaos {
    address: SocketAddr,
    url: String,
    shared: Arc<Shared>,
}

/// What happens to what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Every answer of the server is late by this.
    Slow(Duration),
    /// Nothing arrives, and nobody is told.
    Hole,
    /// Everything but announcements (NOTIFY) arrives.
    Deaf,
    /// Of the answers that say that something was committed, every so many is lost, and its connection with it.
    Forgetful(usize),
}

struct Shared {
    server: SocketAddr,
    sky: Mutex<Sky>,
    changed: Condvar,
}

struct Sky {
    weather: Weather,
    stopped: bool,
    open: Vec<TcpStream>,
    swallowed: usize,
    round_trips: usize,
    commits: usize,
}

/// Postgres says that a transaction was committed.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
/// Postgres calls an announcement this.
const NOTIFICATION: u8 = b'A';
/// The end of all answers to what was sent together.
const READY: u8 = b'Z';

impl Chaos {
    /// A proxy in front of the server of this URL, in fair weather. It can tell announcements apart only without TLS.
    #[expect(clippy::expect_used, reason = "a test without its proxy has failed")]
    pub fn start(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, name) = rest.rsplit_once('/').expect("the name of a database");
        let (user, server) = authority.rsplit_once('@').expect("a user");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server: server.parse().expect("an address with a port"),
            sky: Mutex::new(Sky {
                weather: Weather::Fair,
                stopped: false,
                open: Vec::new(),
                swallowed: 0,
                round_trips: 0,
                commits: 0,
            }),
            changed: Condvar::new(),
        });
        let serving = shared.clone();
        thread::spawn(move || serving.serve(&listener));
        Self {
            address,
            url: format!("{scheme}://{user}@{address}/{name}?sslmode=disable"),
            shared,
        }
    }

    /// The URL of the database, by way of this.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn set(&self, weather: Weather) {
        self.shared.sky().weather = weather;
        self.shared.changed.notify_all();
    }

    /// How often the server was asked something and answered, by whomever.
    pub fn round_trips(&self) -> usize {
        self.shared.sky().round_trips
    }

    /// How many announcements, or answers, were kept back.
    pub fn swallowed(&self) -> usize {
        self.shared.sky().swallowed
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        let mut sky = self.shared.sky();
        sky.stopped = true;
        for open in sky.open.drain(..) {
            let _closed = open.shutdown(Shutdown::Both);
        }
        drop(sky);
        self.shared.changed.notify_all();
        // Wakes the accept loop, which then sees that it is over.
        let _woken = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            let Ok(server) = TcpStream::connect(self.server) else {
                if self.sky().stopped {
                    return;
                }
                // The client sees that there is no server.
                continue;
            };
            let mut sky = self.sky();
            if sky.stopped {
                return;
            }
            let both = [client.try_clone(), server.try_clone()];
            sky.open.extend(both.into_iter().flatten());
            drop(sky);
            let _slower = (client.set_nodelay(true), server.set_nodelay(true));
            if let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) {
                let shared = self.clone();
                thread::spawn(move || shared.up(from, to));
            }
            let shared = self.clone();
            thread::spawn(move || shared.down(server, client));
        }
    }

    /// From the client to the server, as it comes.
    fn up(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            self.leave_in_the_hole();
            let sent = to.write_all(buffer.get(..read).unwrap_or_default());
            if sent.is_err() {
                break;
            }
        }
        self.leave_in_the_hole();
        let _closed = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }

    /// From the server to the client, message by message.
    fn down(&self, mut from: TcpStream, mut to: TcpStream) {
        let (mut buffer, mut held) = ([0; 16 << 10], Vec::new());
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            held.extend_from_slice(buffer.get(..read).unwrap_or_default());
            if let Weather::Slow(delay) = self.leave_in_the_hole() {
                thread::sleep(delay);
            }
            let (out, is_lost) = self.whole_messages(&mut held);
            if to.write_all(&out).is_err() || is_lost {
                break;
            }
        }
        self.leave_in_the_hole();
        let _closed = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }

    /// Takes the messages that are whole, without those that are kept back; and whether the connection is lost with one.
    fn whole_messages(&self, held: &mut Vec<u8>) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        while let [kind, a, b, c, d, ..] = held.as_slice() {
            let (kind, length) = (*kind, u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1);
            if held.len() < length {
                break;
            }
            let message: Vec<u8> = held.drain(..length).collect();
            let mut sky = self.sky();
            sky.round_trips += usize::from(kind == READY);
            if let Weather::Forgetful(every) = sky.weather
                && message == COMMITTED
            {
                sky.commits += 1;
                if sky.commits.is_multiple_of(every) {
                    sky.swallowed += 1;
                    return (out, true);
                }
            }
            if kind == NOTIFICATION && sky.weather == Weather::Deaf {
                sky.swallowed += 1;
            } else {
                out.extend(message);
            }
        }
        (out, false)
    }

    /// The weather; never comes back to a connection that something fell into the hole of.
    fn leave_in_the_hole(&self) -> Weather {
        let mut sky = self.sky();
        let weather = sky.weather;
        while weather == Weather::Hole && !sky.stopped {
            sky = self.changed.wait(sky).unwrap_or_else(PoisonError::into_inner);
        }
        weather
    }
}
