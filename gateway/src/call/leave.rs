//! What becomes of a stream whose client has left.
//!
//! Usually it is closed, so that the provider makes no more of it: what it had made by then is booked as an estimate. Some
//! providers make, and charge for, the whole answer all the same. There the rest may be read to its end, which tells the
//! true usage; for a while, and of a few at a time.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::refusal::Refusal;
use provider::{Catalog, OnCancel};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::stream::StreamBody;
use crate::live::Credential;

/// A streamed answer in its client's hands.
pub struct ClientStream {
    /// Taken when it is dropped.
    stream: Option<Box<StreamBody>>,
    /// Where the rest of it may be read when the client leaves.
    drain: Option<Drain>,
}

/// How clients' leaving is taken, by provider.
pub(crate) struct Leaving {
    /// What an operator has said; the catalogue holds for the others.
    by_provider: HashMap<String, OnCancel>,
    drain: Drain,
}

#[derive(Clone)]
struct Drain {
    places: Arc<Semaphore>,
    lasts: Duration,
}

/// Streams that are read on at the same time.
const PLACES: usize = 100;

impl Leaving {
    pub(crate) fn new(by_provider: HashMap<String, OnCancel>, lasts: Duration) -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self {
            by_provider,
            drain: Drain { places, lasts },
        }
    }

    pub(super) fn of(&self, provider: &str, catalog: &Catalog) -> OnCancel {
        let said = self.by_provider.get(provider).copied();
        said.or_else(|| catalog.get(provider).map(|provider| provider.on_cancel))
            .unwrap_or_default()
    }

    /// Waits until no stream is read on any more.
    pub(crate) async fn all_read(&self) {
        let places = u32::try_from(PLACES).unwrap_or(u32::MAX);
        let _all = self.drain.places.acquire_many(places).await;
    }

    pub(super) fn hand_out(&self, stream: Box<StreamBody>, on_cancel: OnCancel) -> ClientStream {
        ClientStream {
            stream: Some(stream),
            drain: (on_cancel == OnCancel::Drain).then(|| self.drain.clone()),
        }
    }
}

impl ClientStream {
    /// The next piece for the client; `None` at the end. A stream that breaks ends with an error event.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.stream {
            Some(stream) => stream.poll_next(context),
            None => Poll::Ready(None),
        }
    }

    /// From now on it tells how this credential has fared.
    pub(super) fn tells(&mut self, credential: Arc<Credential>, began: Instant) {
        if let Some(stream) = &mut self.stream {
            stream.tells(credential, began);
        }
    }

    /// What the client is told when this side of the stream breaks.
    pub fn refuse(&mut self, refusal: &Refusal) -> Bytes {
        match &mut self.stream {
            Some(stream) => stream.refuse(refusal),
            None => Bytes::new(),
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        let (Some(stream), Some(drain)) = (self.stream.take(), self.drain.take()) else {
            return;
        };
        if stream.has_more()
            && let Ok(runtime) = Handle::try_current()
            && let Ok(place) = drain.places.try_acquire_owned()
        {
            runtime.spawn(async move {
                read_on(stream, drain.lasts).await;
                drop(place);
            });
        }
    }
}

/// Whatever is left when the time is up is given up, as if nothing had been read on.
async fn read_on(mut stream: Box<StreamBody>, lasts: Duration) {
    stream.leave();
    let to_the_end = async { while poll_fn(|context| stream.poll_next(context)).await.is_some() {} };
    let _ended_or_not = timeout(lasts, to_the_end).await;
}
