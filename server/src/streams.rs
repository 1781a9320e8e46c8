//! How long a client of HTTP/2 may leave lying what it is sent.
//!
//! In HTTP/1 a client that takes nothing blocks its socket, which [`crate::patience`] sees. In HTTP/2 each answer has a window
//! of its own: the socket stays free while nothing may be written for one that is not opened, and nobody would ever look at
//! that answer again. So each request runs in a task that looks itself, and ends when its client takes nothing, or takes
//! longer than any answer may: then its stream is reset, and its call settled as one whose client is gone.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

use crate::limits::FrontLimits;

/// Runs the requests of HTTP/2.
#[derive(Clone)]
pub(crate) struct Streams {
    write_stall: Duration,
    answer_timeout: Duration,
}

/// One request, until its answer has been handed to the connection.
struct Stream<F> {
    request: Pin<Box<F>>,
    limits: Streams,
    /// Since when the answer is there.
    answering: Option<Instant>,
    /// Since when a piece of it lies there that the client does not take.
    lying: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// An answer that tells the task in which it runs when it is asked for more.
pub(crate) struct Told<B>(pub(crate) B);

/// What a poll has done with an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// It was asked for more, and has none.
    Asked,
    /// It gave a piece, and has not been asked since.
    Gave,
}

thread_local! {
    /// Of the poll that is under way in this thread.
    static SEEN: Cell<Seen> = const { Cell::new(Seen::Nothing) };
}

impl Streams {
    pub(crate) fn new(limits: FrontLimits) -> Self {
        Self {
            write_stall: limits.write_stall,
            answer_timeout: limits.answer_timeout,
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, request: F) {
        tokio::spawn(Stream {
            request: Box::pin(request),
            limits: self.clone(),
            answering: None,
            lying: None,
            timer: None,
        });
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let stream = self.get_mut();
        SEEN.set(Seen::Nothing);
        if stream.request.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let seen = SEEN.replace(Seen::Nothing);
        if seen != Seen::Nothing {
            let now = Instant::now();
            stream.answering.get_or_insert(now);
            stream.lying = (seen == Seen::Gave).then_some(now);
        }
        stream.poll_too_long(context)
    }
}

impl<F> Stream<F> {
    /// Waits until the client has left a piece lying for too long. The timer is moved only when it has fired or stands too
    /// late. One that fires for a piece that was taken is not set again.
    fn poll_too_long(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let (Some(lying), Some(answering)) = (self.lying, self.answering) else {
                return Poll::Pending;
            };
            let due = (lying + self.limits.write_stall).min(answering + self.limits.answer_timeout);
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.is_elapsed() || timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(context));
        }
    }
}

impl<B: Body + Unpin> Body for Told<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.get_mut().0).poll_frame(context);
        SEEN.set(if polled.is_ready() {
            Seen::Gave
        } else {
            Seen::Asked
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests;
