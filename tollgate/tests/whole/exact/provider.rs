//! A provider that keeps books: who asked, when, and what it told of usage.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::vendor::{Play, Seen, Vendor};

use crate::world::{DONE, chunk};

/// A vendor and its books.
pub(crate) struct Provider {
    vendor: Vendor,
    books: Books,
    /// By how much the database's clock is ahead of this machine's, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
    gate: Arc<Gate>,
}

/// Where whoever asks may have to wait for the answer.
#[derive(Default)]
struct Gate {
    waiting: Mutex<Waiting>,
    opened: Condvar,
}

#[derive(Default)]
struct Waiting {
    is_closed: bool,
    count: usize,
}

type Books = Arc<Mutex<Vec<Asked>>>;

/// One request that has come.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) attempt_id: String,
    /// By the database's clock, which is this machine's unless [`Provider::goes_by`] says otherwise.
    pub(crate) at_ms: i64,
    /// Input and output, where they were sent to whoever asked.
    pub(crate) told: Option<(i64, i64)>,
    connection: usize,
    /// Whether all of the answer was read: something else came behind it on the same connection.
    pub(crate) is_taken: bool,
}

/// What is answered, and whether usage is told by it.
pub(crate) struct Script {
    pub(crate) play: Play,
    pub(crate) told: Option<(i64, i64)>,
}

/// Pieces of a stream.
const PIECES: usize = 10;

impl Provider {
    /// One that answers everything, with another usage each time, and streams slowly.
    pub(crate) fn start() -> Self {
        Self::with(|seen, number| {
            let tokens = (number % 7 + 1, 2);
            if is_stream(seen) {
                let play = stream(tokens).pause(Duration::from_millis(20));
                Script::whole(play, tokens)
            } else {
                Script::whole(whole(tokens), tokens)
            }
        })
    }

    /// One that answers as `script` says, which is told how many have asked before.
    pub(crate) fn with(script: impl Fn(&Seen, i64) -> Script + Send + Sync + 'static) -> Self {
        let books = Books::default();
        let ahead_ms = Arc::<AtomicI64>::default();
        let gate = Arc::<Gate>::default();
        let (keeping, ahead, passing) = (books.clone(), ahead_ms.clone(), gate.clone());
        let vendor = Vendor::start(move |seen| {
            let at_ms = now_ms() + ahead.load(Ordering::SeqCst);
            let mut books = lock(&keeping);
            let script = script(seen, i64::try_from(books.len()).unwrap());
            let mut newest_first = books.iter_mut().rev();
            if let Some(last) = newest_first.find(|last| last.connection == seen.connection) {
                last.is_taken = true;
            }
            books.push(Asked {
                attempt_id: attempt_id(seen),
                at_ms,
                told: script.told,
                connection: seen.connection,
                is_taken: false,
            });
            drop(books);
            passing.pass();
            script.play
        });
        Self {
            vendor,
            books,
            ahead_ms,
            gate,
        }
    }

    /// From now on nobody is answered.
    pub(crate) fn hold(&self) {
        lock(&self.gate.waiting).is_closed = true;
    }

    /// How many wait for their answer.
    pub(crate) fn held(&self) -> usize {
        lock(&self.gate.waiting).count
    }

    /// Answers whoever waits, and everybody from now on.
    pub(crate) fn let_go(&self) {
        lock(&self.gate.waiting).is_closed = false;
        self.gate.opened.notify_all();
    }

    /// Its books are kept by a clock that is so much ahead of this machine's.
    pub(crate) fn goes_by(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }

    pub(crate) fn base_url(&self) -> String {
        self.vendor.base_url()
    }

    /// All of its books.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.books).clone()
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        lock(&self.books).len()
    }
}

impl Gate {
    fn pass(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.count += 1;
        while waiting.is_closed {
            waiting = self.opened.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.count -= 1;
    }
}

impl Drop for Provider {
    /// Nobody waits for one that is gone.
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Script {
    pub(crate) fn whole(play: Play, tokens: (i64, i64)) -> Self {
        Self {
            play,
            told: Some(tokens),
        }
    }

    pub(crate) fn untold(play: Play) -> Self {
        Self { play, told: None }
    }
}

pub(crate) fn is_stream(seen: &Seen) -> bool {
    String::from_utf8_lossy(&seen.body).contains("\"stream\":true")
}

/// An answer that is not streamed.
pub(crate) fn whole(tokens: (i64, i64)) -> Play {
    let message = json!({"role": "assistant", "content": "hello"});
    let choices = json!([{"index": 0, "finish_reason": "stop", "message": message}]);
    let body = json!({
        "id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage(tokens),
    });
    Play::json(200, body.to_string())
}

/// An answer that is streamed, with its usage at the end.
pub(crate) fn stream(tokens: (i64, i64)) -> Play {
    let mut pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| chunk("word ", None)).collect();
    pieces.push(chunk("", Some("stop")));
    let last = json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage(tokens)});
    pieces.push([format!("data: {last}\n\n").as_bytes(), DONE].concat());
    Play::stream(pieces)
}

fn usage((input, output): (i64, i64)) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn attempt_id(seen: &Seen) -> String {
    let header = seen.headers.iter().find(|(name, _)| name == "x-request-id");
    header.map(|(_, id)| id.clone()).unwrap_or_default()
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A test that panicked has failed already; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
