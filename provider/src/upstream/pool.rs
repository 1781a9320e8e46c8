//! The connections that are kept, for each credential its own.
//!
//! A provider may tie what it knows of a caller to the connection; and a mistake in one place must not send one
//! tenant's request over another's. So nothing is shared: another secret or another base URL is another place.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
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
    /// The HTTP/2 connection, which carries many requests at once.
    shared: Option<http2::SendRequest<Pieces>>,
    used: Option<Instant>,
}

struct Idle {
    sender: http1::SendRequest<Pieces>,
    since: Instant,
}

const PLACES_MAX: usize = 10_000;
const IDLE_MAX: usize = 1_024;
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
    pub(super) fn place(&self, errand: &Errand<'_>) -> Arc<Place> {
        let mut kept = locked(&self.0);
        let now = Instant::now();
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
        open.used = Some(Instant::now());
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

    /// The HTTP/2 connection, if there is one.
    pub(super) fn shared(&self) -> Option<http2::SendRequest<Pieces>> {
        let mut open = locked(&self.open);
        open.used = Some(Instant::now());
        if open.shared.as_ref().is_some_and(http2::SendRequest::is_closed) {
            open.shared = None;
        }
        open.shared.clone()
    }

    /// Lets others use an HTTP/2 connection too, unless there is one already: of several made at once the first is kept.
    pub(super) fn share(&self, sender: &http2::SendRequest<Pieces>) {
        locked(&self.open).shared.get_or_insert_with(|| sender.clone());
    }

    /// Closes what has been idle for too long; says whether anything was used of late.
    fn sweep(&self, now: Instant) -> bool {
        let mut open = locked(&self.open);
        open.idle
            .retain(|idle| !idle.sender.is_closed() && now.duration_since(idle.since) < IDLE);
        open.used.is_some_and(|used| now.duration_since(used) < IDLE)
    }
}

/// A thread that panicked in here has at worst lost a connection.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
