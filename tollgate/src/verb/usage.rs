//! `tollgate usage`.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use store::{UsageBy, UsageLine, UsageQuery};

use crate::desk::Desk;
use crate::failure::Failure;
use crate::time::duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One tenant's, by name or id. Without, everybody's.
    #[arg(long)]
    tenant: Option<String>,
    /// How far back.
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "24h")]
    since: Duration,
    /// What a line stands for.
    #[arg(long, value_enum, default_value_t = By::Model)]
    by: By,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Model,
    Key,
    Credential,
    Day,
    Tenant,
    Provider,
}

pub(super) async fn run(desk: &Desk, arguments: &Arguments) -> Result<(), Failure> {
    let tenant_id = desk.tenant_id(arguments.tenant.as_deref()).await?;
    let query = UsageQuery {
        tenant_id: tenant_id.as_deref(),
        since_at_ms: Desk::since_ms(arguments.since),
        by: arguments.by.into(),
    };
    let lines = desk.store.usage(&query).await?;
    let by = arguments
        .by
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned());
    let rows: Vec<Value> = lines.iter().map(|line| shown(&by, line)).collect();
    let columns = [
        &by,
        "calls",
        "attempts",
        "failed",
        "unmetered",
        "input_tokens",
        "cached_input_tokens",
        "output_tokens",
    ];
    desk.form.list(&columns, &rows)
}

impl From<By> for UsageBy {
    fn from(by: By) -> Self {
        match by {
            By::Model => Self::Model,
            By::Key => Self::Key,
            By::Credential => Self::Credential,
            By::Day => Self::Day,
            By::Tenant => Self::Tenant,
            By::Provider => Self::Provider,
        }
    }
}

fn shown(by: &str, line: &UsageLine) -> Value {
    let usage = line.usage;
    json!({
        by: line.group,
        "calls": line.calls,
        "attempts": line.attempts,
        "failed": line.failed,
        "unmetered": line.unmetered,
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_input_tokens": usage.audio_input_tokens,
        "audio_output_tokens": usage.audio_output_tokens,
    })
}
