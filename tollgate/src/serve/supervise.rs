//! What runs beside the calls is started again when it falls.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use gateway::Vitals;
use server::Phase;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What has run for so long before it fell is started again without a longer pause.
const STEADY: Duration = Duration::from_secs(60);

/// The time between a fall and the next start.
struct Pause {
    next: Duration,
    began: Instant,
}

/// Runs what `start` begins until it ends by itself. When it panics it is begun anew.
pub(super) fn supervise<F: Future<Output = ()> + Send>(
    runtime: &Handle,
    vitals: &Arc<Vitals>,
    part: &'static str,
    mut start: impl FnMut() -> F + Send + 'static,
) -> task::JoinHandle<()> {
    let vitals = vitals.clone();
    runtime.spawn(async move {
        let mut pause = Pause::new();
        while AssertUnwindSafe(async { start().await })
            .catch_unwind()
            .await
            .is_err()
        {
            fell(&vitals, part);
            tokio::time::sleep(pause.next()).await;
            pause.began = Instant::now();
        }
    })
}

/// The same for a worker, which has a thread of its own: it is to end when it is told to, and not before.
pub(super) fn supervise_thread(
    name: String,
    vitals: &Arc<Vitals>,
    told: watch::Receiver<Phase>,
    mut start: impl FnMut() -> Result<(), String> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let vitals = vitals.clone();
    thread::Builder::new().name(name).spawn(move || {
        let mut pause = Pause::new();
        loop {
            match std::panic::catch_unwind(AssertUnwindSafe(&mut start)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::error!(%error, "a worker ended"),
                Err(_) => {}
            }
            if *told.borrow() != Phase::Serve {
                return;
            }
            fell(&vitals, "worker");
            thread::sleep(pause.next());
            pause.began = Instant::now();
        }
    })
}

fn fell(vitals: &Vitals, part: &'static str) {
    vitals.fell(part);
    tracing::error!(part, "it fell, and is started again");
}

impl Pause {
    fn new() -> Self {
        Self {
            next: PAUSE_MIN,
            began: Instant::now(),
        }
    }

    fn next(&mut self) -> Duration {
        if self.began.elapsed() > STEADY {
            self.next = PAUSE_MIN;
        }
        let now = self.next;
        self.next = (now * 2).min(PAUSE_MAX);
        now
    }
}
