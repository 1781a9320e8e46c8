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
    /// Each call by itself, the newest first.
    Call,
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
        "cost_usd",
        "unpriced",
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
            By::Call => Self::Call,
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
        "unpriced": line.unpriced,
        "cost_usd": dollars(line.cost_nano),
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_input_tokens": usage.audio_input_tokens,
        "audio_output_tokens": usage.audio_output_tokens,
        "image_output_tokens": usage.image_output_tokens,
    })
}

/// Exactly, as a decimal text.
fn dollars(nano: i64) -> String {
    const NANO: u64 = 1_000_000_000;
    let sign = if nano < 0 { "-" } else { "" };
    let nano_abs = nano.unsigned_abs();
    format!("{sign}{}.{:09}", nano_abs / NANO, nano_abs % NANO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_told_exactly() {
        let told = [0, 1, -1, 1_500_000_000, i64::MIN].map(dollars);
        let expected = [
            "0.000000000",
            "0.000000001",
            "-0.000000001",
            "1.500000000",
            "-9223372036.854775808",
        ];
        assert_eq!(told, expected);
    }
}
