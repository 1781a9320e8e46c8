//! Clients that call again and again on connections that stay open, and count what goes wrong.
//!
//! Nothing is tried twice: a call whose connection breaks has failed. A connection is left only after an answer that
//! said `connection: close`.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A client with at most one connection.
pub struct Caller {
    address: String,
    key: String,
    connection: Option<BufReader<TcpStream>>,
    /// Whether each call has a connection of its own.
    fresh: bool,
    /// Connections that it has opened.
    pub opened: usize,
}

/// What came back.
pub struct Called {
    pub status: u16,
    /// Header names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Clients that are calling.
pub struct Load {
    stop: Arc<AtomicBool>,
    called: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Report>>,
}

/// What became of their calls.
#[derive(Debug, Default)]
pub struct Report {
    pub took: Vec<Duration>,
    /// What was wrong, for each that failed.
    pub failed: Vec<String>,
    pub opened: usize,
}

/// Longer than any answer of a test may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PATH: &str = "/v1/chat/completions";
/// What stands before the status.
const BEGIN: &str = "HTTP/1.1 ";

impl Caller {
    /// Of the gateway at this URL, with this key.
    pub fn new(url: &str, key: &str) -> Self {
        Self {
            address: url.trim_start_matches("http://").to_owned(),
            key: key.to_owned(),
            connection: None,
            fresh: false,
            opened: 0,
        }
    }

    /// The same with a connection of its own for each call.
    #[must_use]
    pub fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    /// Makes a call and reads its answer to the end.
    ///
    /// # Errors
    /// When the connection cannot be made, or breaks.
    pub fn call(&mut self, body: &[u8]) -> Result<Called> {
        self.ask(body)?;
        self.answer()
    }

    /// Opens its connection before it is needed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(&mut self) -> Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        self.connection = Some(connection);
        Ok(())
    }

    /// Makes a call and does not wait for its answer.
    ///
    /// # Errors
    /// When the connection cannot be made, or breaks.
    pub fn ask(&mut self, body: &[u8]) -> Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut request = format!(
            "POST {PATH} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.address,
            self.key,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        connection.get_mut().write_all(&request)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// The status of its answer, once that has begun to come; 0 where the connection has ended without.
    pub fn status(&self) -> Option<u16> {
        let mut begin = [0; BEGIN.len() + 3];
        let Some(connection) = &self.connection else {
            return Some(0);
        };
        let stream = connection.get_ref();
        let peeked = stream
            .set_nonblocking(true)
            .and_then(|()| stream.peek(&mut begin));
        let waiting = stream.set_nonblocking(false).is_ok();
        match peeked {
            Err(error) if error.kind() == ErrorKind::WouldBlock && waiting => None,
            Ok(read) if (1..begin.len()).contains(&read) => None,
            _ => {
                let begin = std::str::from_utf8(&begin).unwrap_or_default();
                let status = begin.strip_prefix(BEGIN);
                Some(status.and_then(|status| status.parse().ok()).unwrap_or(0))
            }
        }
    }

    /// Reads the answer to what was asked to its end.
    ///
    /// # Errors
    /// When nothing was asked, or the connection breaks.
    pub fn answer(&mut self) -> Result<Called> {
        let connection = self.connection.take();
        let mut connection = connection.ok_or_else(|| broken("nothing was asked"))?;
        let called = read_answer(&mut connection)?;
        if called.header("connection") != "close" && !self.fresh {
            self.connection = Some(connection);
        }
        Ok(called)
    }

    fn connect(&mut self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.opened += 1;
        Ok(BufReader::new(stream))
    }
}

impl Called {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl Load {
    /// Starts so many clients, each with a pause after each call. What `is_good` does not say of has failed.
    pub fn start(
        clients: usize,
        pause: Duration,
        caller: impl Fn() -> Caller,
        body: &[u8],
        is_good: fn(&Called) -> bool,
    ) -> Self {
        let (stop, called) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..clients).map(|_| {
            let (stop, called) = (stop.clone(), called.clone());
            let (mut caller, body) = (caller(), body.to_vec());
            thread::spawn(move || {
                let mut report = Report::default();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    match caller.call(&body) {
                        Ok(answer) if is_good(&answer) => report.took.push(began.elapsed()),
                        Ok(answer) => report.failed.push(format!(
                            "{}: {}",
                            answer.status,
                            String::from_utf8_lossy(&answer.body)
                        )),
                        Err(error) => report.failed.push(error.to_string()),
                    }
                    called.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                }
                report.opened = caller.opened;
                report
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            called,
        }
    }

    /// Calls that have ended, well or not.
    pub fn called(&self) -> usize {
        self.called.load(Ordering::Relaxed)
    }

    /// Lets every client finish its call.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut whole = Report::default();
        for thread in self.threads {
            match thread.join() {
                Ok(report) => {
                    whole.took.extend(report.took);
                    whole.failed.extend(report.failed);
                    whole.opened += report.opened;
                }
                Err(_) => whole.failed.push("a client panicked".to_owned()),
            }
        }
        whole.took.sort_unstable();
        whole
    }
}

impl Report {
    /// The time within which this part of the good calls was answered.
    pub fn quantile(&self, part: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list of a test"
        )]
        let place = (self.took.len().saturating_sub(1) as f64 * part) as usize;
        self.took.get(place).copied().unwrap_or_default()
    }
}

fn read_answer(connection: &mut BufReader<TcpStream>) -> Result<Called> {
    let start = read_line(connection)?;
    let status = start.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut called = Called {
        status: status.ok_or_else(|| broken("no status"))?,
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(connection)?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            called
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_ascii_lowercase()));
        }
    }
    if called.header("transfer-encoding") == "chunked" {
        loop {
            let size = read_line(connection)?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| broken("no size of a chunk"))?;
            let mut chunk = vec![0; size];
            connection.read_exact(&mut chunk)?;
            called.body.extend(chunk);
            read_line(connection)?;
            if size == 0 {
                return Ok(called);
            }
        }
    }
    let length = called
        .header("content-length")
        .parse()
        .map_err(|_| broken("no length"))?;
    called.body.resize(length, 0);
    connection.read_exact(&mut called.body)?;
    Ok(called)
}

fn read_line(connection: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(broken("the connection was closed"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn broken(why: &str) -> Error {
    Error::new(ErrorKind::UnexpectedEof, why)
}
