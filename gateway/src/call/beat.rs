//! Signs of life for a client whose provider says nothing for a while, as one does that thinks: there are load balancers
//! that close a connection on which nothing moves for a minute.
//!
//! They stand between events, never in one, and are what the client's dialect passes over. Off unless it is switched on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// When signs of life are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// After so long without a word; never where there is none.
    pub every: Option<Duration>,
    /// Also before the provider has begun to answer. From the first one on the status is 200, whatever comes.
    pub early: bool,
}

/// The beat of one stream.
pub struct Beat {
    every: Duration,
    /// When the client was last told anything.
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Beat {
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            since: Instant::now(),
            timer: Box::pin(tokio::time::sleep(every)),
        }
    }

    /// The client has been told something.
    pub fn told(&mut self) {
        self.since = Instant::now();
    }

    /// Waits until the client has been told nothing for too long. The timer is moved only when it has fired, so that a busy
    /// stream does not set it for each of its pieces.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let due = self.since + self.every;
            if Instant::now() >= due {
                self.told();
                self.timer
                    .as_mut()
                    .reset(tokio::time::Instant::from_std(self.since + self.every));
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(tokio::time::Instant::from_std(due));
        }
    }
}
