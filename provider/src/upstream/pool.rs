//! The connections that are kept, for each credential its own.
//!
//! A provider may tie what it knows of a caller to the connection; and a mistake in one place must not send one
//! tenant's request over another's. So nothing is shared: another secret or another base URL is another place.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use vault::Secret;

use super::Errand;
use super::request::Pieces;
use crate::base_url::{BaseUrl, Trust};

/// The kept connections of one runtime.
#[derive(Clone)]
pub(super) struct Pool(Arc<Mutex<Kept>>);

struct Kept {
    /// By credential id. A credential has more than one place while it is being changed.
    places: HashMap<String, Vec<Arc<Place>>>,
    /// Keyed at random in each process: the fingerprints tell nothing about the secrets.
    fingerprint: RandomState,
    swept: Instant,
}

/// Where the connections of one credential, with one secret and one base URL, are kept.
pub(super) struct Place {
    base_url: String,
    trust: Trust,
    secret_fingerprint: u64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// HTTP/1.1 connections over which nothing goes, the one used last at the end.
    idle: Vec<Idle>,
    /// HTTP/2 connections, each of which carries many requests at once.
    shared: Vec<Shared>,
    used: Option<Instant>,
}

struct Idle {
    sender: http1::SendRequest<Pieces>,
    since: Instant,
}

struct Shared {
    sender: http2::SendRequest<Pieces>,
    /// One more than the requests on it.
    streams: Arc<()>,
    /// As many as the provider takes, as the connection itself notes.
    streams_max: Arc<AtomicUsize>,
    used: Instant,
}

/// Room for one request on an HTTP/2 connection, taken until dropped.
pub(super) struct Stream {
    pub(super) sender: http2::SendRequest<Pieces>,
    streams: Arc<()>,
}

const PLACES_MAX: usize = 10_000;
const IDLE_MAX: usize = 1_024;
/// Requests at once on one HTTP/2 connection, or fewer where the provider takes fewer: more would wait in the library, and look
/// as if the provider did not answer.
pub(super) const STREAMS_MAX: usize = 100;
const IDLE: Duration = Duration::from_secs(90);
const SWEEP: Duration = Duration::from_secs(15);

impl Pool {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Kept {
            places: HashMap::new(),
            fingerprint: RandomState::new(),
            swept: Instant::now(),
        })))
    }

    /// The place of this errand's credential, as it is now.
    pub(super) fn place(&self, errand: &Errand<'_>, now: Instant) -> Arc<Place> {
        let mut kept = locked(&self.0);
        if now.duration_since(kept.swept) >= SWEEP {
            kept.sweep(now);
        }
        let secret_fingerprint = kept.fingerprint.hash_one(errand.secret.map(Secret::expose));
        let known = kept
            .places
            .get(errand.credential_id)
            .and_then(|places| places.iter().find(|place| place.is(errand, secret_fingerprint)));
        if let Some(place) = known {
            return place.clone();
        }
        if kept.places.len() >= PLACES_MAX {
            kept.drop_the_oldest();
        }
        let place = Arc::new(Place::new(errand.base_url, secret_fingerprint));
        let places = kept.places.entry(errand.credential_id.to_owned()).or_default();
        places.push(place.clone());
        place
    }
}

impl Kept {
    /// Closes what has been idle for too long, and forgets places that have nothing left.
    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.places.retain(|_, places| {
            places.retain(|place| place.sweep(now));
            !places.is_empty()
        });
    }

    fn drop_the_oldest(&mut self) {
        let used = |places: &Vec<Arc<Place>>| places.iter().map(|place| locked(&place.open).used).max();
        let oldest = self.places.iter().min_by_key(|(_, places)| used(places));
        if let Some(id) = oldest.map(|(id, _)| id.clone()) {
            self.places.remove(&id);
        }
    }
}

impl Place {
    fn new(base_url: &BaseUrl, secret_fingerprint: u64) -> Self {
        Self {
            base_url: base_url.as_str().to_owned(),
            trust: base_url.trust(),
            secret_fingerprint,
            open: Mutex::default(),
        }
    }

    fn is(&self, errand: &Errand<'_>, secret_fingerprint: u64) -> bool {
        self.secret_fingerprint == secret_fingerprint
            && self.trust == errand.base_url.trust()
            && self.base_url == errand.base_url.as_str()
    }

    /// An HTTP/1.1 connection over which nothing goes. The one used last comes first: it is the likeliest to be open still,
    /// and those that are not needed grow old and are closed.
    pub(super) fn take(&self) -> Option<http1::SendRequest<Pieces>> {
        let mut open = locked(&self.open);
        while let Some(Idle { sender, .. }) = open.idle.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose answer has come to its end.
    pub(super) fn keep(&self, sender: http1::SendRequest<Pieces>) {
        let mut open = locked(&self.open);
        if !sender.is_closed() && open.idle.len() < IDLE_MAX {
            let since = Instant::now();
            open.idle.push(Idle { sender, since });
        }
    }

    /// Room on an HTTP/2 connection, where there is some. The one made first comes first, so that those that are not needed
    /// grow old and are closed.
    pub(super) fn stream(&self, now: Instant) -> Option<Stream> {
        let mut open = locked(&self.open);
        open.used = Some(now);
        open.shared.retain(|shared| !shared.sender.is_closed());
        let shared = open.shared.iter_mut().find(|shared| shared.has_room())?;
        shared.used = now;
        Some(shared.stream())
    }

    /// Lets others use an HTTP/2 connection too.
    pub(super) fn share(&self, sender: http2::SendRequest<Pieces>, streams_max: Arc<AtomicUsize>) -> Stream {
        let shared = Shared {
            sender,
            streams: Arc::default(),
            streams_max,
            used: Instant::now(),
        };
        let stream = shared.stream();
        locked(&self.open).shared.push(shared);
        stream
    }

    /// Gives an HTTP/2 connection to no one else: it takes no more requests.
    pub(super) fn forget(&self, stream: &Stream) {
        let is_other = |shared: &Shared| !Arc::ptr_eq(&shared.streams, &stream.streams);
        locked(&self.open).shared.retain(is_other);
    }

    /// Closes what has been idle for too long; says whether anything was used of late.
    fn sweep(&self, now: Instant) -> bool {
        let mut open = locked(&self.open);
        open.idle
            .retain(|idle| !idle.sender.is_closed() && now.duration_since(idle.since) < IDLE);
        open.shared
            .retain(|shared| shared.streams() > 0 || now.duration_since(shared.used) < IDLE);
        open.used.is_some_and(|used| now.duration_since(used) < IDLE)
    }
}

impl Shared {
    fn streams(&self) -> usize {
        Arc::strong_count(&self.streams).saturating_sub(1)
    }

    fn has_room(&self) -> bool {
        self.streams() < self.streams_max.load(Ordering::Relaxed)
    }

    fn stream(&self) -> Stream {
        Stream {
            sender: self.sender.clone(),
            streams: self.streams.clone(),
        }
    }
}

/// A thread that panicked in here has at worst lost a connection.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
