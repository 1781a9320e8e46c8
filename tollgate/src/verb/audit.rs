//! `tollgate audit`.

use std::time::Duration;

use serde_json::{Value, json};
use store::AuditRow;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::time::{duration, instant};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One tenant's, by name or id. Without, all.
    #[arg(long)]
    tenant: Option<String>,
    /// How far back.
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "30d")]
    since: Duration,
    /// How many, the newest first.
    #[arg(long, default_value_t = 100)]
    limit: i64,
}

pub(super) async fn run(desk: &Desk, arguments: &Arguments) -> Result<(), Failure> {
    let tenant_id = desk.tenant_id(arguments.tenant.as_deref()).await?;
    let since = Desk::since_ms(arguments.since);
    let rows = desk
        .store
        .list_audit(tenant_id.as_deref(), since, arguments.limit)
        .await?;
    let rows: Vec<Value> = rows.iter().map(shown).collect();
    desk.form
        .list(&["at", "actor", "action", "subject", "detail"], &rows)
}

fn shown(row: &AuditRow) -> Value {
    json!({
        "revision": row.revision,
        "at": instant(row.at_ms),
        "actor": row.actor,
        "action": row.action,
        "tenant_id": row.tenant_id,
        "subject": row.subject,
        "detail": row.detail,
    })
}
