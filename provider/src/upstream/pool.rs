//! One client, with connections of its own, for each credential.
//!
//! A provider may tie what it knows of a caller to the connection; and a mistake in one place must not send one
//! tenant's request over another's. So nothing is shared: another secret or another base URL is another client.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::Errand;
use super::connect::{Connector, Tls};
use super::request::Pieces;
use crate::base_url::Trust;

/// The clients of one runtime, made when first needed and dropped when idle.
pub(super) struct Pool {
    tls: Tls,
    connect_timeout: Duration,
    /// Keyed at random in each process: the fingerprints tell nothing about the secrets.
    fingerprint: RandomState,
    clients: Mutex<HashMap<ClientKey, Kept>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    credential_id: String,
    base_url: String,
    is_tenants: bool,
    secret_fingerprint: u64,
}

struct Kept {
    client: Client<Connector, Pieces>,
    used: Instant,
}

const CLIENTS_MAX: usize = 10_000;
const IDLE: Duration = Duration::from_secs(90);

impl Pool {
    pub(super) fn new(tls: Tls, connect_timeout: Duration) -> Self {
        Self {
            tls,
            connect_timeout,
            fingerprint: RandomState::new(),
            clients: Mutex::default(),
        }
    }

    /// The client for this errand's credential. It shares its connections with those given out before.
    pub(super) fn client(&self, errand: &Errand<'_>) -> Client<Connector, Pieces> {
        let key = ClientKey {
            credential_id: errand.credential_id.to_owned(),
            base_url: errand.base_url.as_str().to_owned(),
            is_tenants: errand.base_url.trust() == Trust::Tenant,
            secret_fingerprint: self
                .fingerprint
                .hash_one(errand.secret.map(|secret| secret.expose())),
        };
        let now = Instant::now();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&key) {
            make_room(&mut clients, now);
        }
        let kept = clients.entry(key).or_insert_with(|| Kept {
            client: self.make(errand.base_url.trust()),
            used: now,
        });
        kept.used = now;
        kept.client.clone()
    }

    fn make(&self, trust: Trust) -> Client<Connector, Pieces> {
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(Connector::new(&self.tls, trust, self.connect_timeout))
    }
}

/// Drops the clients whose connections have been closed as idle anyway, or else the one idle for longest.
fn make_room(clients: &mut HashMap<ClientKey, Kept>, now: Instant) {
    clients.retain(|_, kept| now.duration_since(kept.used) < IDLE);
    if clients.len() >= CLIENTS_MAX {
        let oldest = clients
            .iter()
            .min_by_key(|(_, kept)| kept.used)
            .map(|(key, _)| key.clone());
        oldest.and_then(|key| clients.remove(&key));
    }
}
