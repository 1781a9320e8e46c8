//! `tollgate ledger`.

use std::time::Duration;

use gateway::ledger::look_at_spools;
use serde_json::{Value, json};
use store::{Disagreement, UsageDifference, WindowReport};

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::output::{Form, print};
use crate::time::{duration, instant, now_ms};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// What waits to be shipped from the data folder, how long it has waited, and which rows the database refused.
    Status,
    /// Holds the sums that `usage` reads against the rows, what was granted of limits against what became of it, and what was
    /// used of windows that are over against the rows of their time. A difference is told, not mended, and ends with exit
    /// code 11.
    Verify {
        /// How far back; without, everything.
        #[arg(long, value_parser = duration, value_name = "DURATION")]
        since: Option<Duration>,
    },
    /// Tries to book the rows again that the database has refused.
    Retry,
    /// Says that the database was put back from a backup, or that another one took its place which lacks what was committed
    /// last. It gives nothing out of limits until its replicas have told what they hold, which is five seconds, or a minute
    /// where some do not come. Say it before the first call is served from there; said without need, it costs no more.
    Restored,
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
        Verb::Restored => {
            let epoch = desk.store.renew_store_epoch(&desk.change()).await?;
            // As a text: it has more digits than numbers of JSON have everywhere.
            desk.form.one(&json!({"store_epoch": epoch.to_string()}))
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
    let since_ms = since.map_or(0, Desk::since_ms);
    let of_usage = desk.store.usage_differences(since_ms).await?;
    let of_leases = desk.store.lease_differences(since_ms).await?;
    let of_both = desk.store.disagreements(since_ms).await?;
    let rows: Vec<Value> = of_usage
        .iter()
        .map(shown)
        .chain(of_leases.iter().map(shown_window))
        .chain(of_both.iter().map(shown_disagreement))
        .collect();
    if rows.is_empty() && desk.form == Form::Table {
        return print(
            "the sums are those of the rows, what was granted of limits is accounted for, and both agree",
        );
    }
    desk.form
        .list(&["what", "tenant_id", "of", "is", "should_be"], &rows)?;
    if rows.is_empty() {
        return Ok(());
    }
    let count = rows.len();
    Err(Failure::new(
        Kind::Unwell,
        format!("{count} sums are not what they should be"),
    ))
}

fn shown(difference: &UsageDifference) -> Value {
    let ([attempts, rows], [tokens, tokens_of_rows]) = (difference.attempts, difference.tokens);
    let [cost_nano, cost_nano_of_rows] = difference.cost_nano;
    json!({
        "what": "usage",
        "tenant_id": difference.tenant_id,
        "of": instant(difference.hour_at_ms),
        "is": format!("{attempts} attempts, {tokens} tokens"),
        "should_be": format!("{rows} attempts, {tokens_of_rows} tokens"),
        "hour": instant(difference.hour_at_ms),
        "attempts": attempts,
        "rows": rows,
        "tokens": tokens,
        "tokens_of_rows": tokens_of_rows,
        "cost_nano": cost_nano,
        "cost_nano_of_rows": cost_nano_of_rows,
    })
}

fn shown_window(report: &WindowReport) -> Value {
    let sums = &report.sums;
    json!({
        "what": "limit",
        "tenant_id": report.tenant_id,
        "of": format!("{} from {}", report.limit_id, instant(report.window.start_ms)),
        "is": format!(
            "{} granted, {} burnt, {} unexplained", report.granted, report.burnt, report.unexplained()
        ),
        "should_be": format!("{} granted, {} burnt, 0 unexplained", sums.amount - sums.returned, sums.burnt),
        "limit_id": report.limit_id,
        "starts_at": instant(report.window.start_ms),
        "granted": report.granted,
        "amount": sums.amount,
        "returned": sums.returned,
        "settled": sums.settled,
        "outstanding": sums.outstanding,
        "burnt": sums.burnt,
        "counted_burnt": report.burnt,
    })
}

fn shown_disagreement(found: &Disagreement) -> Value {
    let most = found
        .at_most
        .map_or("any number".to_owned(), |most| most.to_string());
    json!({
        "what": "limit and usage",
        "tenant_id": found.tenant_id,
        "of": format!("{} from {}", found.limit_id, instant(found.window.start_ms)),
        "is": format!("{} used, {} beyond what was granted, {} lost", found.settled, found.overdraft, found.burnt),
        "should_be": format!("{} to {most} by the rows", found.at_least),
        "limit_id": found.limit_id,
        "starts_at": instant(found.window.start_ms),
        "settled": found.settled,
        "overdraft": found.overdraft,
        "burnt": found.burnt,
        "rows_at_least": found.at_least,
        "rows_at_most": found.at_most,
    })
}
