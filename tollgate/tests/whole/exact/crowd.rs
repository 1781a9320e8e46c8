//! Clients that go on calling whatever becomes of the replicas, and say what became of their calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use testkit::load::Caller;

use crate::world::{DONE, request};

/// Where a replica is to be found now.
#[derive(Clone, Default)]
pub(super) struct Address(Arc<Mutex<String>>);

/// Clients that call; half of them ask for streams.
pub(super) struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<(usize, Heard)>>,
}

/// What became of the calls to one replica.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The calls that were answered to their end.
    pub(super) served: Vec<String>,
    /// How many were refused, by status and code.
    pub(super) refused: BTreeMap<String, usize>,
    /// Refusals that did not say when to come again.
    pub(super) hopeless: usize,
    /// Calls whose connection broke, or could not be made.
    pub(super) broken: usize,
    /// The longest time that a call was answered in.
    pub(super) slowest: Duration,
}

/// Between two calls of a client.
const PAUSE: Duration = Duration::from_millis(4);

impl Address {
    pub(super) fn set(&self, url: &str) {
        url.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Crowd {
    pub(super) fn start(replicas: &[Address], key: &str, clients: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let client = |number: usize| {
            let replica = number % replicas.len();
            let (address, key, stop) = (replicas[replica].clone(), key.to_owned(), stop.clone());
            let streams = (number / replicas.len()) % 2 == 1;
            thread::spawn(move || (replica, call_until(&stop, &address, &key, streams)))
        };
        let threads = (0..clients).map(client).collect();
        Self { stop, threads }
    }

    /// Lets each end its call; then what was heard from each replica.
    pub(super) fn stop(self) -> Vec<Heard> {
        self.stop.store(true, Ordering::SeqCst);
        let mut heard = BTreeMap::<usize, Heard>::new();
        for thread in self.threads {
            let (replica, of_one) = thread.join().unwrap();
            heard.entry(replica).or_default().add(of_one);
        }
        heard.into_values().collect()
    }
}

impl Heard {
    fn add(&mut self, other: Self) {
        self.served.extend(other.served);
        for (why, times) in other.refused {
            *self.refused.entry(why).or_default() += times;
        }
        self.hopeless += other.hopeless;
        self.broken += other.broken;
        self.slowest = self.slowest.max(other.slowest);
    }
}

fn call_until(stop: &AtomicBool, address: &Address, key: &str, streams: bool) -> Heard {
    let body = request("custom/m", streams);
    let mut heard = Heard::default();
    let mut url = address.get();
    let mut caller = Caller::new(&url, key);
    while !stop.load(Ordering::SeqCst) {
        let now = address.get();
        if now != url {
            caller = Caller::new(&now, key);
            url = now;
        }
        let asked = Instant::now();
        match caller.call(&body) {
            Ok(called) if called.status == 200 => {
                if streams && !called.body.ends_with(DONE) {
                    heard.broken += 1;
                    continue;
                }
                let call_id = called.header("x-request-id").to_ascii_uppercase();
                heard.served.push(call_id);
                if !streams {
                    heard.slowest = heard.slowest.max(asked.elapsed());
                }
            }
            Ok(called) => {
                heard.slowest = heard.slowest.max(asked.elapsed());
                heard.hopeless += usize::from(called.header("retry-after").is_empty());
                let error: serde_json::Value = serde_json::from_slice(&called.body).unwrap_or_default();
                let why = format!(
                    "{} {}",
                    called.status,
                    error["error"]["code"].as_str().unwrap_or_default()
                );
                *heard.refused.entry(why).or_default() += 1;
                // Whoever is refused does not come again at once.
                thread::sleep(PAUSE * 4);
            }
            Err(_) => {
                heard.broken += 1;
                thread::sleep(PAUSE * 4);
            }
        }
        thread::sleep(PAUSE);
    }
    heard
}
