//! A provider that does what a test tells it: for the faults that no real one will produce on demand.
//!
//! It speaks HTTP/1.1 over a real socket, keeps what it was sent, byte by byte, and plays what the test has written.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A running vendor; it stops when dropped.
pub struct Vendor {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// In their order, names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which connection it came on. What comes on one that was used before tells that all of the last answer was read.
    pub connection: usize,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Play {
    status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
    pieces: Vec<Vec<u8>>,
    /// Before each piece but the first.
    pause: Duration,
    end: End,
}

/// How the length of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    ContentLength,
    Chunked,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order.
    Whole,
    /// The connection is closed before the body has ended.
    Cut,
    /// Nothing more comes, until the other side goes away.
    Hang,
    /// Not even the head comes, until the other side goes away.
    Silence,
    /// Nor does it come before the connection is closed.
    NoAnswer,
}

struct Shared {
    script: Box<dyn Fn(&Seen) -> Play + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    came: Condvar,
    /// Answers that hung and whose other side went away.
    gone: Mutex<usize>,
    went: Condvar,
    stopped: AtomicBool,
    connections: AtomicUsize,
}

/// Nothing in a test takes longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

impl Vendor {
    /// Starts one that answers every request as `script` says.
    #[expect(clippy::expect_used, reason = "a test without its vendor has failed")]
    pub fn start(script: impl Fn(&Seen) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::new(Vec::new()),
            came: Condvar::new(),
            gone: Mutex::new(0),
            went: Condvar::new(),
            stopped: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let serving = shared.clone();
        thread::spawn(move || serving.serve(&listener));
        Self { address, shared }
    }

    /// As a credential's base URL.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The last request.
    pub fn last(&self) -> Seen {
        self.seen().pop().unwrap_or_default()
    }

    /// Waits until it has been asked so often.
    pub fn wait_until_asked(&self, count: usize) -> bool {
        let seen = lock(&self.shared.seen);
        let waited = self
            .shared
            .came
            .wait_timeout_while(seen, PATIENCE, |seen| seen.len() < count);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Waits until so many answers that hung were given up by the other side.
    pub fn wait_until_gone(&self, count: usize) -> bool {
        let gone = lock(&self.shared.gone);
        let waited = self
            .shared
            .went
            .wait_timeout_while(gone, PATIENCE, |gone| *gone < count);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then sees that it is over.
        let _woken = TcpStream::connect(self.address);
    }
}

impl Play {
    /// A JSON answer with this status.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            framing: Framing::ContentLength,
            pieces: vec![body.into()],
            pause: Duration::ZERO,
            end: End::Whole,
        }
    }

    /// A stream that comes in these pieces.
    pub fn stream(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
            framing: Framing::Chunked,
            pieces: pieces.into_iter().collect(),
            pause: Duration::ZERO,
            end: End::Whole,
        }
    }

    #[must_use]
    pub fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// Waits before each piece but the first.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Shared {
    fn serve(self: Arc<Self>, listener: &TcpListener) {
        while let Ok((connection, _)) = listener.accept() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let shared = self.clone();
            thread::spawn(move || {
                // A connection that breaks is what some tests are about.
                let _broken = shared.connection(connection);
            });
        }
    }

    fn connection(&self, mut connection: TcpStream) -> std::io::Result<()> {
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(connection.try_clone()?);
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        while let Some(mut seen) = read_request(&mut reader)? {
            seen.connection = number;
            let play = (self.script)(&seen);
            lock(&self.seen).push(seen);
            self.came.notify_all();
            if !matches!(play.end, End::Silence | End::NoAnswer) {
                play.write(&mut connection)?;
            }
            match play.end {
                End::Whole => {}
                End::Cut | End::NoAnswer => return Ok(()),
                End::Hang | End::Silence => {
                    // Whether it is closed or reset, reading ends.
                    let _reset = reader.read(&mut [0]);
                    *lock(&self.gone) += 1;
                    self.went.notify_all();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Play {
    fn write(&self, out: &mut TcpStream) -> std::io::Result<()> {
        write!(out, "HTTP/1.1 {} Played\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        match self.framing {
            Framing::ContentLength => {
                let cut = usize::from(self.end != End::Whole);
                let length: usize = self.pieces.iter().map(Vec::len).sum::<usize>() + cut;
                write!(out, "content-length: {length}\r\n\r\n")?;
            }
            Framing::Chunked => write!(out, "transfer-encoding: chunked\r\n\r\n")?,
        }
        for (number, piece) in self.pieces.iter().filter(|piece| !piece.is_empty()).enumerate() {
            if number > 0 && !self.pause.is_zero() {
                thread::sleep(self.pause);
            }
            match self.framing {
                Framing::ContentLength => out.write_all(piece)?,
                Framing::Chunked => {
                    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                    chunk.extend_from_slice(piece);
                    chunk.extend_from_slice(b"\r\n");
                    out.write_all(&chunk)?;
                }
            }
        }
        if self.framing == Framing::Chunked && self.end == End::Whole {
            out.write_all(b"0\r\n\r\n")?;
        }
        out.flush()
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let Some(start) = read_line(reader)? else {
        return Ok(None);
    };
    let mut words = start.split_whitespace().map(str::to_owned);
    let mut seen = Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        ..Seen::default()
    };
    while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            seen.headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let length = seen.headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body)?;
    Ok(Some(seen))
}

fn read_line(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let read = reader.read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A test that panicked has failed already; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
