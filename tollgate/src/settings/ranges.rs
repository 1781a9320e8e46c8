//! Between what a number or a time has to be: what lies outside makes no sense, and would be told as something else much
//! later.

use std::time::Duration;

use super::Source;
use crate::failure::{Failure, Kind};
use crate::time;

/// The bounds of one setting, both included.
pub(super) enum Range {
    Number(u64, u64),
    /// In milliseconds.
    Time(u64, u64),
}

use Range::{Number, Time};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const GIB: u64 = 1 << 30;
/// More than any machine has.
const MANY_BYTES: u64 = 1 << 50;

#[rustfmt::skip]
pub(super) const RANGES: &[(&str, Range)] = &[
    ("TOLLGATE_DATABASE_CONNECTIONS", Number(2, 1_000)),
    ("TOLLGATE_LEDGER_BYTES_MAX", Number(64 << 20, MANY_BYTES)),
    // Each has a socket, of which no more can be handed over to another process at once.
    ("TOLLGATE_WORKERS", Number(0, 240)),
    ("TOLLGATE_HEAD_TIMEOUT", Time(100, HOUR)),
    ("TOLLGATE_IDLE_TIMEOUT", Time(100, DAY)),
    ("TOLLGATE_BODY_TIMEOUT", Time(100, HOUR)),
    ("TOLLGATE_BODY_BYTES_MAX", Number(1 << 10, GIB)),
    ("TOLLGATE_BODIES_BYTES_MAX", Number(1 << 10, MANY_BYTES)),
    ("TOLLGATE_BODIES_BYTES_PER_TENANT_MAX", Number(1 << 10, MANY_BYTES)),
    ("TOLLGATE_ANSWERS_BYTES_MAX", Number(1 << 10, MANY_BYTES)),
    ("TOLLGATE_ANSWERS_BYTES_PER_TENANT_MAX", Number(1 << 10, MANY_BYTES)),
    ("TOLLGATE_CALLS_PER_TENANT_MAX", Number(1, 65_536)),
    ("TOLLGATE_WRITE_STALL_TIMEOUT", Time(100, HOUR)),
    ("TOLLGATE_CONNECTIONS_MAX", Number(1, 10_000_000)),
    ("TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX", Number(1, 10_000_000)),
    ("TOLLGATE_FAILED_KEYS_MAX", Number(1, 1_000_000)),
    ("TOLLGATE_UPSTREAM_CONNECT_TIMEOUT", Time(10, HOUR)),
    ("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT", Time(100, DAY)),
    ("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT", Time(100, DAY)),
    ("TOLLGATE_UPSTREAM_GAP_TIMEOUT", Time(100, DAY)),
    // Whoever is not heard of for a little more than an hour has no calls under way: see the leases of concurrent calls.
    ("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT", Time(100, HOUR)),
    ("TOLLGATE_ON_CANCEL_TIMEOUT", Time(0, HOUR)),
    ("TOLLGATE_ATTEMPTS_MAX", Number(1, 100)),
    ("TOLLGATE_KEEP_ALIVE", Time(0, HOUR)),
    ("TOLLGATE_ATTEMPTS_TIMEOUT", Time(0, HOUR)),
    ("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", Number(1, 10_000)),
    ("TOLLGATE_GEMINI_CLI_MEMORY_MAX", Number(1, MANY_BYTES)),
    ("TOLLGATE_GEMINI_CLI_QUEUE_MAX", Number(0, 1_000_000)),
    ("TOLLGATE_GEMINI_CLI_QUEUE_TIMEOUT", Time(0, HOUR)),
    ("TOLLGATE_GEMINI_CLI_IDLE_TIMEOUT", Time(0, DAY)),
    ("TOLLGATE_GEMINI_CLI_CALLS_MAX", Number(1, 1_000_000)),
    ("TOLLGATE_GEMINI_CLI_RESIDENT_BYTES_MAX", Number(1, MANY_BYTES)),
    ("TOLLGATE_GEMINI_CLI_START_TIMEOUT", Time(100, HOUR)),
    ("TOLLGATE_GEMINI_CLI_CALL_TIMEOUT", Time(100, DAY)),
    ("TOLLGATE_GEMINI_CLI_ANSWER_BYTES_MAX", Number(1, GIB)),
    ("TOLLGATE_GOOGLE_AHEAD", Time(0, HOUR)),
    ("TOLLGATE_DRAIN_TIMEOUT", Time(0, DAY)),
    ("TOLLGATE_DRAIN_LINGER", Time(0, HOUR)),
    ("TOLLGATE_REVISION_POLL", Time(50, HOUR)),
    ("TOLLGATE_TENANT_IDLE", Time(SECOND, 30 * DAY)),
    ("TOLLGATE_STALE_KEYS", Time(SECOND, 30 * DAY)),
    ("TOLLGATE_STORE_OUTAGE_RESERVE", Number(1, 90)),
    ("TOLLGATE_TENANTS_CACHED_MAX", Number(1, 100_000_000)),
];

/// Checks all of them.
///
/// # Errors
/// For the first that makes no sense.
pub(super) fn check(source: &Source) -> Result<(), Failure> {
    for (name, range) in RANGES {
        let text = source.text(name);
        let fits = match range {
            Number(least, most) => {
                let number: u64 = source.parsed(name, "a number")?;
                (*least..=*most).contains(&number)
            }
            Time(least, most) => {
                let millis = time::millis(source.duration(name)?).unsigned_abs();
                (*least..=*most).contains(&millis)
            }
        };
        if !fits {
            let message = format!("{name}: `{text}` makes no sense: it is {}", range.words());
            return Err(Failure::new(Kind::Settings, message));
        }
    }
    Ok(())
}

impl Range {
    /// For people.
    pub(super) fn words(&self) -> String {
        match self {
            Number(least, most) => format!("from {least} to {most}"),
            Time(least, most) => {
                let time = |millis: &u64| {
                    humantime::format_duration(Duration::from_millis(*millis))
                        .to_string()
                        .replace(' ', "")
                };
                format!("from {} to {}", time(least), time(most))
            }
        }
    }
}

/// Of the setting of this name, if it has one.
#[cfg(test)]
pub(super) fn of(name: &str) -> Option<&'static Range> {
    RANGES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, range)| range)
}
