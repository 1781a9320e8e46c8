//! `tollgate ledger`.

use std::time::Duration;

use gateway::ledger::look_at_spools;
use serde_json::{Value, json};
use store::UsageDifference;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::output::{Form, print};
use crate::time::{duration, instant, now_ms};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// What waits to be shipped from the data folder, how long it has waited, and which rows the database refused.
    Status,
    /// Holds the sums that `usage` reads against the rows. A difference is told, not mended, and ends with exit code 11.
    Verify {
        /// How far back; without, everything.
        #[arg(long, value_parser = duration, value_name = "DURATION")]
        since: Option<Duration>,
    },
    /// Tries to book the rows again that the database has refused.
    Retry,
}

pub(super) async fn run(desk: &Desk, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status => status(desk).await,
        Verb::Verify { since } => verify(desk, *since).await,
        Verb::Retry => {
            let booked = desk.store.retry_refused().await?;
            let refused = desk.store.count_refused().await?;
            desk.form.one(&json!({"booked": booked, "refused": refused}))
        }
    }
}

async fn status(desk: &Desk) -> Result<(), Failure> {
    let spool = &desk.settings.gateway.spool;
    let found = look_at_spools(&spool.folder)
        .map_err(|error| Failure::other(format!("{}: {error}", spool.folder.display())))?;
    let oldest = found.oldest_at_ms;
    desk.form.one(&json!({
        "spools": found.spools,
        "spools_in_use": found.in_use,
        "spool_bytes": found.bytes,
        "spool_bytes_max": spool.bytes_max,
        "waiting": found.waiting,
        "under_way": found.under_way,
        "oldest_waiting_at": oldest.map(instant),
        "lag_s": oldest.map_or(0, |at_ms| now_ms().saturating_sub(at_ms).max(0) / 1_000),
        "unreadable": found.unreadable,
        "refused": desk.store.count_refused().await?,
    }))
}

async fn verify(desk: &Desk, since: Option<Duration>) -> Result<(), Failure> {
    let differences = desk
        .store
        .usage_differences(since.map_or(0, Desk::since_ms))
        .await?;
    if differences.is_empty() && desk.form == Form::Table {
        return print("the sums are those of the rows");
    }
    let rows: Vec<Value> = differences.iter().map(shown).collect();
    let columns = [
        "tenant_id",
        "hour",
        "attempts",
        "rows",
        "tokens",
        "tokens_of_rows",
    ];
    desk.form.list(&columns, &rows)?;
    let count = rows.len();
    if count == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Unwell,
        format!("{count} sums are not those of their rows"),
    ))
}

fn shown(difference: &UsageDifference) -> Value {
    let ([attempts, rows], [tokens, tokens_of_rows]) = (difference.attempts, difference.tokens);
    let [cost_nano, cost_nano_of_rows] = difference.cost_nano;
    json!({
        "tenant_id": difference.tenant_id,
        "hour": instant(difference.hour_at_ms),
        "attempts": attempts,
        "rows": rows,
        "tokens": tokens,
        "tokens_of_rows": tokens_of_rows,
        "cost_nano": cost_nano,
        "cost_nano_of_rows": cost_nano_of_rows,
    })
}
