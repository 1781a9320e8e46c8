//! The body of an answer, as it comes from a process. Dropping it has the process give up.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answer::{Said, Writer};
use super::fault::Failure;
use crate::upstream::BodyFault;

/// One of them.
pub(crate) struct Body {
    said: mpsc::Receiver<Said>,
    writer: Writer,
    /// The first piece, for which was waited.
    first: Option<Bytes>,
    has_ended: bool,
}

impl Body {
    pub(super) fn new(said: mpsc::Receiver<Said>, writer: Writer) -> Self {
        Self {
            said,
            writer,
            first: None,
            has_ended: false,
        }
    }

    /// Waits for the first piece, or in a whole answer for all of it.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        loop {
            let said = self.said.recv().await;
            let piece = self.take(said)?;
            if !piece.is_empty() || self.has_ended {
                self.first = Some(piece);
                return Ok(());
            }
        }
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        while !self.has_ended {
            let said = ready!(self.said.poll_recv(context));
            match self.take(said) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Poll::Ready(Some(Ok(piece))),
                Err(failure) => {
                    self.has_ended = true;
                    let fault = match failure {
                        Failure::TimedOut => BodyFault::TotalTimeout,
                        _ => BodyFault::Cut,
                    };
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
        Poll::Ready(None)
    }

    /// What the client gets for it.
    fn take(&mut self, said: Option<Said>) -> Result<Bytes, Failure> {
        match said {
            Some(Said::Failed(failure)) => Err(failure),
            None => Err(Failure::Program("nobody says anything any more")),
            Some(Said::Done(counts, reason)) => {
                self.has_ended = true;
                Ok(self.writer.finish(counts, reason.as_deref()))
            }
            Some(said) => {
                let piece = self.writer.push(&said);
                if !self.writer.is_cut() {
                    return Ok(piece);
                }
                self.has_ended = true;
                self.said.close();
                Ok(Bytes::from([piece, self.writer.finish(None, None)].concat()))
            }
        }
    }
}
