//! How the parts that run beside the calls are: which of them has fallen of late, and how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The falls of each part.
#[derive(Default)]
pub struct Vitals {
    falls: Mutex<BTreeMap<&'static str, Falls>>,
}

#[derive(Default)]
struct Falls {
    of_late: Vec<Instant>,
    all: u64,
}

/// A part that falls so often within [`WHILE`] is not well: starting it again does not help it.
const OFTEN: usize = 3;
const WHILE: Duration = Duration::from_secs(60);

impl Vitals {
    /// This part has ended though it should not have; it will be started again.
    pub fn fell(&self, part: &'static str) {
        let mut falls = self.falls();
        let of_part = falls.entry(part).or_default();
        of_part.all += 1;
        of_part.of_late.retain(|at| at.elapsed() < WHILE);
        of_part.of_late.push(Instant::now());
    }

    /// The parts that are not well.
    pub fn falling(&self) -> Vec<&'static str> {
        let falls = self.falls();
        let often = |falls: &Falls| {
            let of_late = falls.of_late.iter().filter(|at| at.elapsed() < WHILE);
            of_late.count() >= OFTEN
        };
        let often = falls.iter().filter(|(_, falls)| often(falls));
        often.map(|(part, _)| *part).collect()
    }

    /// How often each part has fallen, as far as any has.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        let falls = self.falls();
        falls.iter().map(|(part, falls)| (*part, falls.all)).collect()
    }

    /// A thread that panicked while it held this leaves the map whole.
    fn falls(&self) -> MutexGuard<'_, BTreeMap<&'static str, Falls>> {
        self.falls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
