//! Sums over the ledger.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::any::AnyRow;

use crate::error::{StoreError, unreadable};
use crate::ledger::{AttemptUsage, ids_from};
use crate::open::Store;
use crate::row::Columns;

/// What to sum.
#[derive(Debug, Clone, Copy)]
pub struct UsageQuery<'a> {
    /// One tenant's attempts, or all.
    pub tenant_id: Option<&'a str>,
    /// Attempts that started at this instant or later.
    pub since_at_ms: i64,
    pub by: UsageBy,
}

/// What a line of the answer stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsageBy {
    /// What the provider calls it.
    Model,
    Key,
    Credential,
    /// In UTC, written `2026-01-31`.
    Day,
    Tenant,
    Provider,
}

/// The sums of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// A name or id; empty for attempts without one (no credential was needed).
    pub group: String,
    pub calls: i64,
    pub attempts: i64,
    /// Attempts that ended neither well nor because the client went away.
    pub failed: i64,
    /// Attempts that a provider answered without telling their usage. The sums lack them.
    pub unmetered: i64,
    pub usage: AttemptUsage,
}

const MS_PER_DAY: i64 = 86_400_000;

/// Postgres sums whole numbers into a type that has no counterpart here, hence the casts.
macro_rules! usage_sql {
    ($group:literal) => {
        concat!(
            "SELECT COALESCE(CAST(", $group, " AS TEXT), '') AS id, COUNT(DISTINCT call_id) AS calls, \
             COUNT(*) AS attempts, \
             COUNT(CASE WHEN outcome NOT IN ('ok', 'client_gone') THEN 1 END) AS failed, \
             COUNT(CASE WHEN input_tokens IS NULL AND status BETWEEN 200 AND 299 THEN 1 END) AS unmetered, \
             CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT) AS input_tokens, \
             CAST(COALESCE(SUM(cached_input_tokens), 0) AS BIGINT) AS cached_input_tokens, \
             CAST(COALESCE(SUM(cache_write_tokens), 0) AS BIGINT) AS cache_write_tokens, \
             CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output_tokens, \
             CAST(COALESCE(SUM(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens, \
             CAST(COALESCE(SUM(audio_input_tokens), 0) AS BIGINT) AS audio_input_tokens, \
             CAST(COALESCE(SUM(audio_output_tokens), 0) AS BIGINT) AS audio_output_tokens \
             FROM attempts WHERE (CAST($1 AS TEXT) IS NULL OR tenant_id = $1) AND started_at_ms >= $2 AND attempt_id >= $3 \
             GROUP BY ", $group, " ORDER BY ", $group
        )
    };
}

impl UsageBy {
    fn sql(self) -> &'static str {
        match self {
            Self::Model => usage_sql!("model"),
            Self::Key => usage_sql!("key_id"),
            Self::Credential => usage_sql!("credential_id"),
            Self::Day => usage_sql!("started_at_ms / 86400000"),
            Self::Tenant => usage_sql!("tenant_id"),
            Self::Provider => usage_sql!("provider"),
        }
    }
}

impl Store {
    /// The sums of each group, in the order of the groups.
    ///
    /// # Errors
    /// When the database does not answer, or a sum is too large to be true.
    pub async fn usage(&self, query: &UsageQuery<'_>) -> Result<Vec<UsageLine>, StoreError> {
        let rows = sqlx::query(query.by.sql())
            .bind(query.tenant_id)
            .bind(query.since_at_ms)
            .bind(ids_from(query.since_at_ms))
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable("attempts", "?"))?;
        rows.iter().map(|row| UsageLine::read(row, query.by)).collect()
    }
}

impl UsageLine {
    fn read(row: &AnyRow, by: UsageBy) -> Result<Self, StoreError> {
        let columns = Columns::of("attempts", row)?;
        let group = columns.id();
        Ok(Self {
            group: match by {
                UsageBy::Day => day(&group).ok_or_else(|| columns.poison("its day is none"))?,
                _ => group,
            },
            calls: columns.number("calls")?,
            attempts: columns.number("attempts")?,
            failed: columns.number("failed")?,
            unmetered: columns.number("unmetered")?,
            usage: AttemptUsage::read(&columns)?,
        })
    }
}

/// The date of a day that is counted from the Unix epoch.
fn day(number: &str) -> Option<String> {
    let at_ms = number.parse::<i64>().ok()?.checked_mul(MS_PER_DAY)?;
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(TimeZone::UTC.to_datetime(at).date().to_string())
}
