//! Sums over the ledger: kept for each hour as attempts are booked, and added up when they are asked for.
//!
//! What began in whole hours is read from the sums. Where what is asked for begins inside of one, the rows between there and
//! the nearest hour are read too: they are added to the sums from that hour on, or, where it was before, taken off. So no
//! more than half an hour of rows is ever read, however many there are. A row that a program without sums has written (an
//! older one, beside this one or before it) is not in them: such rows have no `usage_source`, are read one by one until
//! they are, and taken in by [`Store::take_in_unsummed`].

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::any::AnyRow;
use sqlx::query::Query;
use sqlx::{AnyConnection, Database as Driver, Encode, Type};

use crate::error::{StoreError, unreadable};
use crate::ledger::{AttemptRow, AttemptUsage, ids_from, ids_until};
use crate::open::{Database, Store};
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
    /// Each by itself, of the newest.
    Call,
}

/// The sums of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// A name or id; empty for attempts without one (no credential was needed).
    pub group: String,
    /// Each in the group of its first attempt.
    pub calls: i64,
    pub attempts: i64,
    /// Attempts that ended neither well nor because the client went away.
    pub failed: i64,
    /// Attempts whose usage is not known, though there may have been some. The sums lack them.
    pub unmetered: i64,
    /// Attempts whose usage is known, and no price for it. The cost lacks them.
    pub unpriced: i64,
    pub usage: AttemptUsage,
    /// In billionths of a dollar.
    pub cost_nano: i64,
}

/// Sums that are not those of their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDifference {
    pub tenant_id: String,
    /// The hour that they are of, as the instant at which it began.
    pub hour_at_ms: i64,
    /// What the sums say, and what the rows do.
    pub attempts: [i64; 2],
    pub tokens: [i64; 2],
    pub cost_nano: [i64; 2],
}

/// What the sums of one row of `usage_hours` are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hour<'a> {
    pub(crate) tenant_id: &'a str,
    /// Counted from the Unix epoch.
    pub(crate) hour: i64,
    pub(crate) key_id: &'a str,
    pub(crate) credential_id: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) operation: &'a str,
}

/// The rows between an instant and the nearest hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    /// From this hour on, sums are read.
    hour: i64,
    from_ms: i64,
    until_ms: i64,
    /// What is done with them: 1 adds them to the sums, -1 takes them off.
    sign: i64,
}

/// In the order of their columns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums([i64; 15]);

pub(crate) const HOUR_MS: i64 = 3_600_000;
const MS_PER_DAY: i64 = 86_400_000;
/// In KiB, what SQLite may keep of a connection in memory while it sums, and what it does else.
const LARGE_CACHE: &str = "PRAGMA cache_size = -32768";
const USUAL_CACHE: &str = "PRAGMA cache_size = -2000";
/// Rows that are taken into the sums at once.
const TAKEN_IN: i64 = 1_000;

/// The sums of rows. Postgres sums whole numbers into a type that has no counterpart here, hence the casts.
macro_rules! sums_sql {
    () => {
        "COUNT(CASE WHEN attempt_number = 1 THEN 1 END) AS calls, COUNT(*) AS attempts, \
         COUNT(CASE WHEN outcome NOT IN ('ok', 'client_gone') THEN 1 END) AS failed, \
         COUNT(CASE WHEN input_tokens IS NULL AND (usage_source IN ('unknown', 'unknown_crash') \
                    OR usage_source IS NULL AND status BETWEEN 200 AND 299) THEN 1 END) AS unmetered, \
         COUNT(CASE WHEN input_tokens IS NOT NULL AND cost_nano IS NULL THEN 1 END) AS unpriced, \
         CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT) AS input_tokens, \
         CAST(COALESCE(SUM(cached_input_tokens), 0) AS BIGINT) AS cached_input_tokens, \
         CAST(COALESCE(SUM(cache_write_tokens), 0) AS BIGINT) AS cache_write_tokens, \
         CAST(COALESCE(SUM(cache_write_1h_tokens), 0) AS BIGINT) AS cache_write_1h_tokens, \
         CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT) AS output_tokens, \
         CAST(COALESCE(SUM(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens, \
         CAST(COALESCE(SUM(audio_input_tokens), 0) AS BIGINT) AS audio_input_tokens, \
         CAST(COALESCE(SUM(audio_output_tokens), 0) AS BIGINT) AS audio_output_tokens, \
         CAST(COALESCE(SUM(image_output_tokens), 0) AS BIGINT) AS image_output_tokens, \
         CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) AS cost_nano"
    };
}

/// The same of one row, which is counted so many times: once, or once less.
macro_rules! row_sql {
    ($times:literal) => {
        concat!(
            $times, " * CASE WHEN attempt_number = 1 THEN 1 ELSE 0 END AS calls, ", $times, " * 1 AS attempts, ",
            $times, " * CASE WHEN outcome NOT IN ('ok', 'client_gone') THEN 1 ELSE 0 END AS failed, ",
            $times, " * CASE WHEN input_tokens IS NULL AND (usage_source IN ('unknown', 'unknown_crash') \
                    OR usage_source IS NULL AND status BETWEEN 200 AND 299) THEN 1 ELSE 0 END AS unmetered, ",
            $times, " * CASE WHEN input_tokens IS NOT NULL AND cost_nano IS NULL THEN 1 ELSE 0 END AS unpriced, ",
            $times, " * COALESCE(input_tokens, 0), ", $times, " * COALESCE(cached_input_tokens, 0), ",
            $times, " * COALESCE(cache_write_tokens, 0), ", $times, " * COALESCE(cache_write_1h_tokens, 0), ",
            $times, " * COALESCE(output_tokens, 0), ", $times, " * COALESCE(reasoning_tokens, 0), ",
            $times, " * COALESCE(audio_input_tokens, 0), ", $times, " * COALESCE(audio_output_tokens, 0), ",
            $times, " * COALESCE(image_output_tokens, 0), ", $times, " * COALESCE(cost_nano, 0)"
        )
    };
}

/// `$hours` and `$rows` are what is grouped by, in `usage_hours` and in `attempts`. The parts: whole hours, the rows between
/// the first of them and the instant that was asked for, and rows that are in no sums. They are grouped once, together: of
/// the second part by itself Postgres expects much less than there is, and would sort it.
macro_rules! usage_sql {
    ($hours:literal, $rows:literal) => {
        concat!(
            "SELECT id, CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(attempts) AS BIGINT) AS attempts, \
             CAST(SUM(failed) AS BIGINT) AS failed, CAST(SUM(unmetered) AS BIGINT) AS unmetered, \
             CAST(SUM(unpriced) AS BIGINT) AS unpriced, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, \
             CAST(SUM(cached_input_tokens) AS BIGINT) AS cached_input_tokens, \
             CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens, \
             CAST(SUM(cache_write_1h_tokens) AS BIGINT) AS cache_write_1h_tokens, \
             CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, \
             CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens, \
             CAST(SUM(audio_input_tokens) AS BIGINT) AS audio_input_tokens, \
             CAST(SUM(audio_output_tokens) AS BIGINT) AS audio_output_tokens, \
             CAST(SUM(image_output_tokens) AS BIGINT) AS image_output_tokens, \
             CAST(SUM(cost_nano) AS BIGINT) AS cost_nano FROM ( \
             SELECT CAST(", $hours, " AS TEXT) AS id, calls, attempts, failed, unmetered, unpriced, input_tokens, \
             cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, \
             audio_input_tokens, audio_output_tokens, image_output_tokens, cost_nano \
             FROM usage_hours WHERE (CAST($1 AS TEXT) IS NULL OR tenant_id = $1) AND hour >= $2 \
             UNION ALL SELECT CAST(", $rows, " AS TEXT), ", row_sql!("$7"), " \
             FROM attempts WHERE (CAST($1 AS TEXT) IS NULL OR tenant_id = $1) AND attempt_id >= $5 AND attempt_id < $6 \
             AND started_at_ms >= $3 AND started_at_ms < $4 AND usage_source IS NOT NULL \
             UNION ALL SELECT CAST(", $rows, " AS TEXT), ", row_sql!("1"), " \
             FROM attempts WHERE usage_source IS NULL AND attempt_id >= $8 \
             AND (CAST($1 AS TEXT) IS NULL OR tenant_id = $1) AND started_at_ms >= $9 \
             ) AS parts GROUP BY id HAVING SUM(attempts) <> 0 ORDER BY id"
        )
    };
}

/// The newest calls alone, since each is a line of its own.
const BY_CALL: &str = concat!(
    "SELECT call_id AS id, ",
    sums_sql!(),
    " FROM attempts \
     WHERE (CAST($1 AS TEXT) IS NULL OR tenant_id = $1) AND attempt_id >= $8 AND started_at_ms >= $9 \
     AND $2 = $2 AND $3 = $3 AND $4 = $4 AND $5 = $5 AND $6 = $6 AND $7 = $7 \
     GROUP BY call_id ORDER BY call_id DESC LIMIT 10000"
);

/// How sums are added to what is there.
pub(crate) static ADDED: LazyLock<String> = LazyLock::new(|| {
    let sums = Sums::COLUMNS.split(", ");
    let added: Vec<String> = sums
        .map(|sum| format!("{sum} = usage_hours.{sum} + excluded.{sum}"))
        .collect();
    format!(
        "ON CONFLICT ({}) DO UPDATE SET {}",
        Hour::COLUMNS,
        added.join(", ")
    )
});

static TAKE_IN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO usage_hours ({}, {}) \
         SELECT tenant_id, started_at_ms / 3600000, key_id, COALESCE(credential_id, ''), provider, model, operation, {} \
         FROM attempts WHERE usage_source IS NULL AND attempt_id IN \
         (SELECT attempt_id FROM attempts WHERE usage_source IS NULL ORDER BY attempt_id LIMIT $1) \
         GROUP BY tenant_id, started_at_ms / 3600000, key_id, COALESCE(credential_id, ''), provider, model, operation {}",
        Hour::COLUMNS,
        Sums::COLUMNS,
        sums_sql!(),
        *ADDED
    )
});

const TAKEN: &str = "UPDATE attempts SET usage_source = CASE WHEN input_tokens IS NOT NULL THEN 'provider' \
                     WHEN status BETWEEN 200 AND 299 THEN 'unknown' ELSE 'none' END \
                     WHERE usage_source IS NULL AND attempt_id IN \
                     (SELECT attempt_id FROM attempts WHERE usage_source IS NULL ORDER BY attempt_id LIMIT $1)";

/// Both sides of each hour of a tenant in which they differ.
const DIFFERENCES: &str = concat!(
    "SELECT tenant_id AS id, hour, CAST(SUM(CASE WHEN side = 1 THEN attempts ELSE 0 END) AS BIGINT) AS attempts_summed, \
     CAST(SUM(CASE WHEN side = 2 THEN attempts ELSE 0 END) AS BIGINT) AS attempts_booked, \
     CAST(SUM(CASE WHEN side = 1 THEN input_tokens + output_tokens ELSE 0 END) AS BIGINT) AS tokens_summed, \
     CAST(SUM(CASE WHEN side = 2 THEN input_tokens + output_tokens ELSE 0 END) AS BIGINT) AS tokens_booked, \
     CAST(SUM(CASE WHEN side = 1 THEN cost_nano ELSE 0 END) AS BIGINT) AS cost_summed, \
     CAST(SUM(CASE WHEN side = 2 THEN cost_nano ELSE 0 END) AS BIGINT) AS cost_booked FROM ( \
     SELECT 1 AS side, tenant_id, hour, key_id, credential_id, provider, model, operation, calls, attempts, failed, \
     unmetered, unpriced, input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, \
     reasoning_tokens, audio_input_tokens, audio_output_tokens, image_output_tokens, cost_nano FROM usage_hours WHERE hour >= $1 \
     UNION ALL SELECT 2 AS side, tenant_id, started_at_ms / 3600000 AS hour, key_id, \
     COALESCE(credential_id, '') AS credential_id, provider, model, operation, ",
    sums_sql!(),
    " \
     FROM attempts WHERE usage_source IS NOT NULL AND attempt_id >= $2 AND started_at_ms >= $3 \
     GROUP BY tenant_id, started_at_ms / 3600000, key_id, COALESCE(credential_id, ''), provider, model, operation \
     ) AS sides GROUP BY tenant_id, hour, key_id, credential_id, provider, model, operation \
     HAVING MIN(side) = MAX(side) OR MIN(calls) <> MAX(calls) OR MIN(attempts) <> MAX(attempts) \
     OR MIN(failed) <> MAX(failed) OR MIN(unmetered) <> MAX(unmetered) OR MIN(unpriced) <> MAX(unpriced) \
     OR MIN(input_tokens) <> MAX(input_tokens) OR MIN(cached_input_tokens) <> MAX(cached_input_tokens) \
     OR MIN(cache_write_tokens) <> MAX(cache_write_tokens) \
     OR MIN(cache_write_1h_tokens) <> MAX(cache_write_1h_tokens) OR MIN(output_tokens) <> MAX(output_tokens) \
     OR MIN(reasoning_tokens) <> MAX(reasoning_tokens) OR MIN(audio_input_tokens) <> MAX(audio_input_tokens) \
     OR MIN(audio_output_tokens) <> MAX(audio_output_tokens) \
     OR MIN(image_output_tokens) <> MAX(image_output_tokens) OR MIN(cost_nano) <> MAX(cost_nano) \
     ORDER BY tenant_id, hour LIMIT 1000"
);

impl UsageBy {
    /// What the database is asked, for those who want to know how it would answer.
    #[doc(hidden)]
    pub fn sql(self) -> &'static str {
        match self {
            Self::Model => usage_sql!("model", "model"),
            Self::Key => usage_sql!("key_id", "key_id"),
            Self::Credential => usage_sql!("credential_id", "COALESCE(credential_id, '')"),
            Self::Day => usage_sql!("hour / 24", "started_at_ms / 86400000"),
            Self::Tenant => usage_sql!("tenant_id", "tenant_id"),
            Self::Provider => usage_sql!("provider", "provider"),
            Self::Call => BY_CALL,
        }
    }
}

impl Store {
    /// The sums of each group, in the order of the groups.
    ///
    /// # Errors
    /// When the database does not answer, or a sum is too large to be true.
    pub async fn usage(&self, query: &UsageQuery<'_>) -> Result<Vec<UsageLine>, StoreError> {
        let since = query.since_at_ms;
        let edge = Edge::of(since);
        let asked = sqlx::query(query.by.sql())
            .bind(query.tenant_id)
            .bind(edge.hour)
            .bind(edge.from_ms)
            .bind(edge.until_ms)
            .bind(ids_from(edge.from_ms))
            .bind(ids_until(edge.until_ms))
            .bind(edge.sign)
            .bind(ids_from(since))
            .bind(since);
        let mut connection = self.pool.acquire().await?;
        self.set_cache(&mut connection, LARGE_CACHE).await?;
        let rows = asked.fetch_all(&mut *connection).await;
        self.set_cache(&mut connection, USUAL_CACHE).await?;
        let rows = rows.map_err(unreadable("attempts", "?"))?;
        rows.iter().map(|row| UsageLine::read(row, query.by)).collect()
    }

    /// SQLite groups by sorting, and in files where that takes more than its cache has room for, which is half of the time
    /// then.
    async fn set_cache(&self, connection: &mut AnyConnection, cache: &'static str) -> Result<(), StoreError> {
        if matches!(self.database, Database::Sqlite) {
            sqlx::query(cache).execute(connection).await?;
        }
        Ok(())
    }

    /// Takes rows that a program without sums has written into the sums, some at once, and says how many.
    ///
    /// # Errors
    /// When the database does not answer, or another replica does the same at this moment.
    pub async fn take_in_unsummed(&self) -> Result<u64, StoreError> {
        let mut transaction = match self.database {
            Database::Sqlite => self.begin_write().await?,
            // So that both statements see the same rows.
            Database::Postgres(_) => {
                self.pool
                    .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    .await?
            }
        };
        sqlx::query(TAKE_IN.as_str())
            .bind(TAKEN_IN)
            .execute(&mut *transaction)
            .await?;
        let taken = sqlx::query(TAKEN)
            .bind(TAKEN_IN)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(taken.rows_affected())
    }

    /// Where the sums of hours since an instant are not those of their rows: some of it, when there is much.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn usage_differences(&self, since_at_ms: i64) -> Result<Vec<UsageDifference>, StoreError> {
        let hour = since_at_ms.div_euclid(HOUR_MS);
        let mut transaction = self.begin_long_read().await?;
        let rows = sqlx::query(DIFFERENCES)
            .bind(hour)
            .bind(ids_from(hour.saturating_mul(HOUR_MS)))
            .bind(hour.saturating_mul(HOUR_MS))
            .fetch_all(&mut *transaction)
            .await
            .map_err(unreadable("usage_hours", "?"))?;
        rows.iter().map(UsageDifference::read).collect()
    }
}

impl Edge {
    fn of(since_ms: i64) -> Self {
        let hour = since_ms.saturating_add(HOUR_MS / 2).div_euclid(HOUR_MS);
        let hour_ms = hour.saturating_mul(HOUR_MS);
        Self {
            hour,
            from_ms: since_ms.min(hour_ms),
            until_ms: since_ms.max(hour_ms),
            sign: if since_ms < hour_ms { 1 } else { -1 },
        }
    }
}

impl Hour<'_> {
    pub(crate) const COLUMNS: &'static str =
        "tenant_id, hour, key_id, credential_id, provider, model, operation";
}

impl<'a> Hour<'a> {
    pub(crate) fn bind_to<'q, D>(&self, query: Query<'q, D, D::Arguments>) -> Query<'q, D, D::Arguments>
    where
        D: Driver,
        'a: 'q,
        &'q str: Encode<'q, D> + Type<D>,
        i64: Encode<'q, D> + Type<D>,
    {
        query
            .bind(self.tenant_id)
            .bind(self.hour)
            .bind(self.key_id)
            .bind(self.credential_id)
            .bind(self.provider)
            .bind(self.model)
            .bind(self.operation)
    }
}

impl Sums {
    pub(crate) const COLUMNS: &'static str = "calls, attempts, failed, unmetered, unpriced, input_tokens, cached_input_tokens, cache_write_tokens, \
         cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, image_output_tokens, \
         cost_nano";

    /// Column by column.
    pub(crate) fn columns<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Vec<Vec<i64>> {
        let column = |at: usize| all.clone().filter_map(|sums| sums.0.get(at).copied()).collect();
        (0..Self::default().0.len()).map(column).collect()
    }

    /// Says the same of one row as the database does of many.
    pub(crate) fn add(&mut self, row: &AttemptRow<&str>) {
        let usage = row.usage.unwrap_or_default();
        let is_unknown = ["unknown", "unknown_crash"].contains(&row.usage_source);
        let more = [
            i64::from(row.attempt_number == 1),
            1,
            i64::from(!["ok", "client_gone"].contains(&row.outcome)),
            i64::from(row.usage.is_none() && is_unknown),
            i64::from(row.usage.is_some() && row.cost_nano.is_none()),
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.cache_write_1h_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            usage.audio_input_tokens,
            usage.audio_output_tokens,
            usage.image_output_tokens,
            row.cost_nano.unwrap_or(0),
        ];
        for (sum, more) in self.0.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
    }

    pub(crate) fn bind_to<'q, D>(&self, query: Query<'q, D, D::Arguments>) -> Query<'q, D, D::Arguments>
    where
        D: Driver,
        i64: Encode<'q, D> + Type<D>,
    {
        self.0.iter().fold(query, |query, sum| query.bind(*sum))
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
            unpriced: columns.number("unpriced")?,
            usage: AttemptUsage::read(&columns)?,
            cost_nano: columns.number("cost_nano")?,
        })
    }
}

impl UsageDifference {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of("usage_hours", row)?;
        Ok(Self {
            tenant_id: columns.id(),
            hour_at_ms: columns.number("hour")?.saturating_mul(HOUR_MS),
            attempts: [
                columns.number("attempts_summed")?,
                columns.number("attempts_booked")?,
            ],
            tokens: [columns.number("tokens_summed")?, columns.number("tokens_booked")?],
            cost_nano: [columns.number("cost_summed")?, columns.number("cost_booked")?],
        })
    }
}

/// The date of a day that is counted from the Unix epoch.
fn day(number: &str) -> Option<String> {
    let at_ms = number.parse::<i64>().ok()?.checked_mul(MS_PER_DAY)?;
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(TimeZone::UTC.to_datetime(at).date().to_string())
}
