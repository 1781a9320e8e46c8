//! The database: whether it answers, how fast, with which schema, under which master key, and by which clock.

use std::time::Duration;

use store::{Store, StoreError};

use super::report::Report;
use crate::time::now_ms;

/// Slower than this is noticed by people who use the command line, and by replicas that follow changes.
const SLOW: Duration = Duration::from_millis(50);
/// Keys expire and windows close by the clock.
const SKEW_WARNING_MS: u64 = 1_000;
const SKEW_PROBLEM_MS: u64 = 30_000;

pub(super) fn unreachable(error: &StoreError, report: &mut Report) {
    let remedy = match error {
        StoreError::BadUrl(_) => "mend TOLLGATE_DATABASE_URL",
        _ => {
            "start the database, or mend TOLLGATE_DATABASE_URL; a running gateway serves the tenants it knows meanwhile"
        }
    };
    report.problem("database", error.to_string(), remedy);
}

/// Looks at the database as a whole; says whether it is worth looking at what is in it.
pub(super) async fn examine(store: &Store, is_key_at_hand: bool, report: &mut Report) -> bool {
    match store.answer_time().await {
        Ok(time) if time < SLOW => report.ok("database", format!("it answers in {} µs", time.as_micros())),
        Ok(time) => {
            let what = format!("it answers in {} ms", time.as_millis());
            report.warning(
                "database",
                what,
                "calls do not wait for it, but changes do: bring it nearer",
            );
        }
        Err(error) => {
            unreachable(&error, report);
            return false;
        }
    }
    if !schema(store, report).await {
        return false;
    }
    writable(store, report).await;
    journal(store, report).await;
    clock(store, report).await;
    is_key_at_hand && right_key(store, report).await
}

async fn schema(store: &Store, report: &mut Report) -> bool {
    let check = "schema";
    let known = Store::SCHEMA;
    match store.schema_found().await {
        Ok(Some(found)) if found == known => {
            report.ok(check, format!("version {found}"));
            return true;
        }
        Ok(Some(found)) if found > known => {
            let what = format!("the database has version {found}, this program knows {known} at most");
            report.problem(check, what, "run the newer program that has migrated it");
        }
        Ok(Some(found)) => {
            let what = format!("the database has version {found}, this program needs {known}");
            report.problem(check, what, "run `tollgate migrate`");
        }
        Ok(None) => report.warning(
            check,
            "the database is empty",
            "`tollgate serve` or `tollgate migrate` fills it",
        ),
        Err(error) => report.problem(
            check,
            error.to_string(),
            "restore the table schema_version from a backup",
        ),
    }
    false
}

async fn writable(store: &Store, report: &mut Report) {
    let check = "database writable";
    match store.check_writable().await {
        Ok(()) => report.ok(check, "it can be written to"),
        Err(error) => {
            let remedy = "give the database's user the right to write, end what holds its lock, or name the primary and \
                          not a read-only copy";
            report.problem(check, error.to_string(), remedy);
        }
    }
}

async fn journal(store: &Store, report: &mut Report) {
    let check = "journal";
    match store.journal_mode().await {
        Ok(None) => {}
        Ok(Some(mode)) if mode == "wal" => report.ok(check, "SQLite keeps a write-ahead log"),
        Ok(Some(mode)) => {
            let what = format!(
                "SQLite keeps its journal as `{mode}`, so that readers and writers wait for each other"
            );
            report.warning(
                check,
                what,
                "keep the file on a disk of this machine, in a folder that can be written",
            );
        }
        Err(error) => report.problem(
            check,
            error.to_string(),
            "look at the disk and at the folder's rights",
        ),
    }
}

async fn clock(store: &Store, report: &mut Report) {
    let check = "clock";
    let before = now_ms();
    let Ok(Some(theirs)) = store.clock_ms().await else {
        return;
    };
    // Their answer lies somewhere between asking and hearing.
    let ours = before.midpoint(now_ms());
    let apart = theirs.abs_diff(ours);
    let what = format!("this machine's and the database's are {apart} ms apart");
    let remedy = "set both by NTP: keys expire by the clock, and replicas must agree";
    match apart {
        0..SKEW_WARNING_MS => report.ok(check, what),
        SKEW_WARNING_MS..SKEW_PROBLEM_MS => report.warning(check, what, remedy),
        _ => report.problem(check, what, remedy),
    }
}

async fn right_key(store: &Store, report: &mut Report) -> bool {
    let check = "master key";
    match store.check_vault().await {
        Ok(()) => {
            report.ok(check, "it is this database's");
            true
        }
        Err(error) => {
            let remedy = "give TOLLGATE_MASTER_KEY or TOLLGATE_MASTER_KEY_FILE the key under which this database was \
                          sealed, with all versions that `tollgate vault status` names";
            report.problem(check, error.to_string(), remedy);
            false
        }
    }
}
