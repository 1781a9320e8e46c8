//! How long a connection may stay without a request: the time for a head, and the idle time between two requests.
//!
//! The HTTP library has one time-out for both in HTTP/1 and none in HTTP/2. Here a connection counts its open requests,
//! its turns; while it has one, limits of their own hold. While it has none, the client has to be done with its first
//! head soon after it has connected, may then be idle for longer, and has to be done with a head soon after its first
//! byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dialect::openai_chat;
use dialect::refusal::{Code, Refusal};
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_io_timeout::TimeoutStream;

use crate::limits::FrontLimits;

/// A client's connection that ends when nothing is asked on it for too long, or when nothing is taken of what is sent.
pub(crate) struct Patient {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    turns: Arc<Turns>,
    limits: FrontLimits,
    /// When the patience with what is waited for now is at its end.
    deadline: Instant,
    /// Whether a head has begun.
    begun: bool,
    /// How many turns had ended when this was last looked at.
    ended: u64,
    /// Whether something is left to be written.
    is_writing: bool,
    timer: Pin<Box<Sleep>>,
}

/// The requests of one connection.
pub(crate) struct Turns {
    connected: Instant,
    open: AtomicUsize,
    ended: AtomicU64,
    /// When the last one ended, in milliseconds since the connection stands.
    ended_at_ms: AtomicU64,
    /// When the answer to the open one began, by the same clock; 0 for not yet.
    answering_at_ms: AtomicU64,
    /// In HTTP/2 bytes also come without a request: they say nothing about a head.
    has_frames: AtomicBool,
}

/// One open request: it ends when its answer has been handed to the connection.
pub(crate) struct Turn(Arc<Turns>);

/// A body that holds something until it is at its end.
pub(crate) struct Holding<B, H> {
    body: B,
    _held: H,
}

impl Patient {
    /// Over a stream that has been connected since then.
    pub(crate) fn new(stream: TcpStream, limits: FrontLimits, connected: Instant) -> (Self, Arc<Turns>) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_stall));
        let turns = Arc::new(Turns {
            connected,
            open: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            ended_at_ms: AtomicU64::new(0),
            answering_at_ms: AtomicU64::new(0),
            has_frames: AtomicBool::new(false),
        });
        let deadline = connected + limits.head_timeout;
        let looked_at = deadline.min(connected + limits.idle_timeout);
        let patient = Self {
            stream: Box::pin(stream),
            turns: turns.clone(),
            limits,
            deadline,
            begun: false,
            ended: 0,
            is_writing: false,
            timer: Box::pin(tokio::time::sleep_until(looked_at)),
        };
        (patient, turns)
    }

    /// Notes what has happened to the requests since this was last asked. Whether any is open.
    fn is_in_turn(&mut self) -> bool {
        let ended = self.turns.ended.load(Ordering::Acquire);
        if ended != self.ended {
            self.ended = ended;
            self.begun = false;
            let ended_at = Duration::from_millis(self.turns.ended_at_ms.load(Ordering::Acquire));
            self.deadline = self.turns.connected + ended_at + self.limits.idle_timeout;
        }
        self.turns.open.load(Ordering::Acquire) > 0
    }

    /// The client has said something.
    fn heard(&mut self) {
        if !self.is_in_turn() && !self.begun && !self.turns.has_frames.load(Ordering::Acquire) {
            self.begun = true;
            // The first head has its time since the connection stands.
            if self.ended > 0 {
                self.deadline = Instant::now() + self.limits.head_timeout;
            }
        }
    }

    /// Waits until the client has taken too long. The timer is moved, and the time looked at, only when it has fired or
    /// stands too late, so that a busy connection does not do so for each of its requests. It runs during a request too,
    /// and never for longer than the connection may be idle: nobody may ask here again when the request ends.
    fn poll_too_long(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let is_in_turn = self.is_in_turn();
            let is_too_late = !is_in_turn && self.timer.deadline() > self.deadline;
            if self.timer.is_elapsed() || is_too_late {
                let now = Instant::now();
                let idle = now + self.limits.idle_timeout;
                let due = match is_in_turn {
                    true => idle,
                    false if now >= self.deadline => return Poll::Ready(()),
                    false => idle.min(self.deadline),
                };
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(context));
        }
    }

    /// Whether a client of HTTP/1 takes its answer in bits for so long that it can be waited for no longer.
    fn is_overdue(&self) -> bool {
        let since_ms = self.turns.answering_at_ms.load(Ordering::Acquire);
        let since = Duration::from_millis(since_ms);
        since_ms > 0
            && !self.turns.has_frames.load(Ordering::Acquire)
            && self.turns.connected.elapsed().saturating_sub(since) >= self.limits.answer_timeout
    }

    /// Tells a client that has begun a head that it took too long; one that has said nothing is not waiting for a word.
    fn tell(&mut self, context: &mut Context<'_>) {
        if self.begun && !self.is_writing && !self.turns.has_frames.load(Ordering::Acquire) {
            // What does not fit into the socket's buffer is not worth waiting for.
            let _untold = self.stream.as_mut().poll_write(context, &too_slow());
        }
    }
}

/// The answer to a head that does not come, of which the HTTP library knows nothing.
fn too_slow() -> Vec<u8> {
    let refusal = Refusal::new(
        Code::RequestTimeout,
        "The head of the request does not arrive in time.",
    );
    let body = openai_chat::write_refusal(&refusal);
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

impl AsyncRead for Patient {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let patient = self.get_mut();
        let filled = buffer.filled().len();
        match patient.stream.as_mut().poll_read(context, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > filled {
                    patient.heard();
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(patient.poll_too_long(context));
                patient.tell(context);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Patient {
    /// Writes, and notes whether that has to wait. Who has made it wait before is looked at: a client that takes a little now
    /// and then never takes too long for one write.
    fn write<T>(
        &mut self,
        write: impl FnOnce(Pin<&mut TimeoutStream<TcpStream>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.is_writing && self.is_overdue() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let polled = write(self.stream.as_mut());
        self.is_writing = polled.is_pending();
        polled
    }
}

impl AsyncWrite for Patient {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let patient = self.get_mut();
        patient.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let patient = self.get_mut();
        patient.stream.as_mut().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .write(|stream| stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Turns {
    /// A request is there.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Turn {
        if version == Version::HTTP_2 {
            self.has_frames.store(true, Ordering::Release);
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        Turn(self.clone())
    }

    /// For how long it stands.
    fn age_ms(&self) -> u64 {
        u64::try_from(self.connected.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Turn {
    /// The answer begins.
    pub(crate) fn answered(&self) {
        let now_ms = self.0.age_ms().max(1);
        self.0.answering_at_ms.store(now_ms, Ordering::Release);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.ended_at_ms.store(self.0.age_ms(), Ordering::Release);
        self.0.answering_at_ms.store(0, Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// The answer, which holds `held` until its body is at its end.
pub(crate) fn holding<B, H>(response: Response<B>, held: H) -> Response<Holding<B, H>> {
    response.map(|body| Holding { body, _held: held })
}

impl<B: Body + Unpin, H: Unpin> Body for Holding<B, H> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
