//! Whether limits and the ledger agree: for a window that is over, what leases say was used of it is what the rows of its
//! time used.
//!
//! Rows bear the time of the replica that wrote them, and leases go by the database's; so the rows of the first and the last
//! seconds of a window may be of its neighbours. Nor does anybody know what a call used whose replica died, or of which the
//! provider told nothing or not all: what had been reserved stays used then, as it does where a call ended after its window,
//! though its row has a guess. Hence what rows make is no single number but from so much to so much, and where nothing is in
//! doubt the two are one.

use std::sync::LazyLock;

use policy::limit::Window;
use sqlx::any::AnyRow;

use crate::error::{StoreError, unreadable};
use crate::given::Sql;
use crate::open::Store;
use crate::row::Columns;

/// A window of a limit of which leases and rows tell different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    pub tenant_id: String,
    pub limit_id: String,
    pub window: Window,
    /// What leases say was used, within what was granted and beyond it.
    pub settled: i64,
    pub overdraft: i64,
    /// What is lost of them with their replicas, used or not.
    pub burnt: i64,
    /// What rows have used at least.
    pub at_least: i64,
    /// And at most, where that is known of all of them.
    pub at_most: Option<i64>,
}

const TABLE: &str = "counters";
const DISAGREEMENTS_MAX: i64 = 1_000;
/// So far may a replica's clock be from the database's, in milliseconds.
const CLOCKS_MS: i64 = 5_000;
/// What a window used is told and shipped within this from its end, in milliseconds.
const TOLD_MS: i64 = 60_000;

/// `$1` is the instant after which windows end, `$2` and `$3` are the two times above, `$4` is how many are told.
static DISAGREEMENTS: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "WITH windows AS ({WINDOWS}), \
         used AS (SELECT windows.tenant_id, windows.limit_id, windows.starts_at_ms, windows.unit, \
                 attempts.usage_source, attempts.status, {IS_INSIDE} AS is_inside, {KEEPS} AS keeps, \
                 attempts.reserved_tokens, {USED} AS used \
             FROM windows JOIN attempts ON attempts.tenant_id = windows.tenant_id \
                 AND attempts.started_at_ms >= windows.starts_at_ms - $2 \
                 AND attempts.started_at_ms < windows.ends_at_ms + $2 \
             WHERE {IS_OF_IT} AND {WAS_SENT}), \
         rows_of AS (SELECT tenant_id, limit_id, starts_at_ms, \
                 CAST(SUM({AT_LEAST}) AS BIGINT) AS at_least, CAST(SUM({AT_MOST}) AS BIGINT) AS at_most, \
                 CAST(SUM({IS_VAGUE}) AS BIGINT) AS vague \
             FROM used GROUP BY tenant_id, limit_id, starts_at_ms) \
         SELECT windows.tenant_id, windows.limit_id, windows.starts_at_ms, windows.ends_at_ms, windows.settled, \
             windows.overdraft, windows.burnt, COALESCE(rows_of.at_least, 0) AS at_least, \
             COALESCE(rows_of.at_most, 0) AS at_most, COALESCE(rows_of.vague, 0) AS vague \
         FROM windows LEFT JOIN rows_of ON rows_of.tenant_id = windows.tenant_id \
             AND rows_of.limit_id = windows.limit_id AND rows_of.starts_at_ms = windows.starts_at_ms \
         WHERE windows.is_open = 0 \
             AND (COALESCE(rows_of.at_least, 0) > windows.settled + windows.overdraft + windows.burnt \
                  OR (COALESCE(rows_of.vague, 0) = 0 AND windows.settled > COALESCE(rows_of.at_most, 0))) \
         ORDER BY windows.starts_at_ms DESC, windows.tenant_id, windows.limit_id LIMIT $4"
    );
    Sql::new(&text, &[])
});

/// Windows that are over and of limits that refuse, and were there when they began. Of what is only observed, not all is
/// counted.
const WINDOWS: &str = "SELECT counters.tenant_id, counters.limit_id, counters.starts_at_ms, counters.ends_at_ms, \
         limits.unit, limits.subject, limits.subject_id, \
         CAST(counters.past_settled + COALESCE(SUM(leases.settled), 0) AS BIGINT) AS settled, \
         CAST(counters.past_overdraft + COALESCE(SUM(leases.overdraft), 0) AS BIGINT) AS overdraft, \
         CAST(counters.burnt AS BIGINT) AS burnt, \
         CAST(COALESCE(SUM(CASE WHEN leases.closed = 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS is_open \
     FROM counters JOIN limits ON limits.tenant_id = counters.tenant_id AND limits.id = counters.limit_id \
     LEFT JOIN leases ON leases.tenant_id = counters.tenant_id AND leases.limit_id = counters.limit_id \
         AND leases.starts_at_ms = counters.starts_at_ms \
     WHERE counters.ends_at_ms > $1 AND counters.ends_at_ms < {now} - $3 \
         AND counters.starts_at_ms > limits.created_at_ms + $2 \
         AND limits.mode = 'enforce' AND limits.cap IS NOT NULL AND limits.unit <> 'concurrent' \
     GROUP BY counters.tenant_id, counters.limit_id, counters.starts_at_ms, limits.unit, limits.subject, limits.subject_id";

const IS_OF_IT: &str = "(windows.subject = 'tenant' \
         OR (windows.subject = 'key' AND attempts.key_id = windows.subject_id) \
         OR (windows.subject = 'credential' AND attempts.credential_id = windows.subject_id) \
         OR (windows.subject = 'model' AND attempts.model = windows.subject_id))";
/// What was not sent has been given back.
const WAS_SENT: &str = "NOT (attempts.status = 0 AND COALESCE(attempts.usage_source, '') = 'none')";
const IS_INSIDE: &str = "CASE WHEN attempts.started_at_ms >= windows.starts_at_ms + $2 \
         AND attempts.started_at_ms < windows.ends_at_ms - $2 THEN 1 ELSE 0 END";
/// What had been reserved may have stayed used: it ended late, or what it used is not known for sure.
const KEEPS: &str = "CASE WHEN attempts.started_at_ms + attempts.duration_us / 1000 >= windows.ends_at_ms - $2 \
         OR COALESCE(attempts.usage_source, '') = 'estimated' THEN 1 ELSE 0 END";
/// Null where nobody knows. To have tokens counted takes none.
const USED: &str = "CASE WHEN windows.unit = 'requests' THEN 1 \
         WHEN attempts.usage_source = 'none' OR attempts.operation = 'count_tokens' THEN 0 \
         WHEN windows.unit = 'input_tokens' THEN attempts.input_tokens \
         WHEN windows.unit = 'output_tokens' THEN attempts.output_tokens \
         WHEN windows.unit = 'tokens' THEN attempts.input_tokens + attempts.output_tokens \
         ELSE attempts.cost_nano END";
/// What died with its replica may never have been taken in by a lease.
const AT_LEAST: &str = "CASE WHEN is_inside = 1 AND COALESCE(usage_source, '') <> 'unknown_crash' \
         THEN COALESCE(used, 0) ELSE 0 END";
const AT_MOST: &str = "CASE WHEN unit = 'requests' THEN 1 \
         WHEN unit = 'tokens' AND (used IS NULL OR keeps = 1) AND reserved_tokens > COALESCE(used, 0) \
             THEN reserved_tokens \
         ELSE COALESCE(used, 0) END";
const IS_VAGUE: &str = "CASE WHEN unit = 'requests' THEN 0 \
         WHEN unit = 'tokens' AND reserved_tokens IS NOT NULL THEN 0 \
         WHEN used IS NULL OR keeps = 1 THEN 1 ELSE 0 END";

impl Store {
    /// The windows, of those that end after an instant and are over, of which leases and rows tell different things. Some of
    /// them, when there are many.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn disagreements(&self, ends_after_ms: i64) -> Result<Vec<Disagreement>, StoreError> {
        let mut transaction = self.begin_long_read().await?;
        let rows = sqlx::query(DISAGREEMENTS.of(&self.database))
            .bind(ends_after_ms)
            .bind(CLOCKS_MS)
            .bind(TOLD_MS)
            .bind(DISAGREEMENTS_MAX)
            .fetch_all(&mut *transaction)
            .await
            .map_err(unreadable(TABLE, "?"))?;
        rows.iter().map(Disagreement::read).collect()
    }
}

impl Disagreement {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::named_by(TABLE, row, "limit_id")?;
        let vague = columns.number("vague")?;
        Ok(Self {
            tenant_id: columns.text("tenant_id")?,
            limit_id: columns.id(),
            window: Window {
                start_ms: columns.number("starts_at_ms")?,
                end_ms: columns.number("ends_at_ms")?,
            },
            settled: columns.number("settled")?,
            overdraft: columns.number("overdraft")?,
            burnt: columns.number("burnt")?,
            at_least: columns.number("at_least")?,
            at_most: (vague == 0).then_some(columns.number("at_most")?),
        })
    }
}
