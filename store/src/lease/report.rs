//! What was granted of windows, and what became of it: the sums by which the invariants are checked.

use std::sync::LazyLock;

use policy::limit::Window;
use sqlx::any::AnyRow;

use crate::error::{StoreError, unreadable};
use crate::given::Sql;
use crate::open::Store;
use crate::row::Columns;

/// One window of one limit, and the sums of all its leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowReport {
    pub tenant_id: String,
    pub limit_id: String,
    pub window: Window,
    /// None where there is no limit.
    pub cap: Option<i64>,
    /// What its counter says.
    pub granted: i64,
    pub burnt: i64,
    pub sums: LeaseSums,
}

/// Sums over leases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseSums {
    pub amount: i64,
    pub returned: i64,
    /// What was used of it, as providers told.
    pub settled: i64,
    pub overdraft: i64,
    /// What open leases have neither returned nor settled.
    pub outstanding: i64,
    /// What closed leases have neither returned nor settled.
    pub burnt: i64,
}

const TABLE: &str = "counters";
const DIFFERENCES_MAX: i64 = 1_000;
/// The windows of a tenant, or of all, that end after an instant.
const SUMS: &str = "SELECT counters.tenant_id, counters.limit_id, counters.starts_at_ms, counters.ends_at_ms, counters.cap, \
         counters.granted, counters.burnt AS counted_burnt, \
         CAST(counters.past_amount + COALESCE(SUM(leases.amount), 0) AS BIGINT) AS amount, \
         CAST(counters.past_returned + COALESCE(SUM(leases.returned), 0) AS BIGINT) AS returned, \
         CAST(counters.past_settled + COALESCE(SUM(leases.settled), 0) AS BIGINT) AS settled, \
         CAST(counters.past_overdraft + COALESCE(SUM(leases.overdraft), 0) AS BIGINT) AS overdraft, \
         CAST(COALESCE(SUM(CASE WHEN leases.closed = 0 \
             THEN leases.amount - leases.returned - leases.settled END), 0) AS BIGINT) AS outstanding, \
         CAST(counters.past_amount - counters.past_returned - counters.past_settled \
             + COALESCE(SUM(leases.burnt), 0) AS BIGINT) AS burnt \
     FROM counters LEFT JOIN leases ON leases.tenant_id = counters.tenant_id \
         AND leases.limit_id = counters.limit_id AND leases.starts_at_ms = counters.starts_at_ms \
     WHERE (CAST($1 AS TEXT) IS NULL OR counters.tenant_id = $1) AND counters.ends_at_ms > $2 \
     GROUP BY counters.tenant_id, counters.limit_id, counters.starts_at_ms";

static REPORT: LazyLock<Sql> = LazyLock::new(|| {
    let text =
        format!("{SUMS} ORDER BY counters.starts_at_ms DESC, counters.tenant_id, counters.limit_id LIMIT $3");
    Sql::new(&text, &[])
});

static DIFFERENCES: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "SELECT * FROM ({SUMS}) AS sums WHERE granted <> amount - returned OR counted_burnt <> burnt \
             OR amount - returned - settled - outstanding - burnt <> 0 \
         ORDER BY starts_at_ms DESC, tenant_id, limit_id LIMIT $3"
    );
    Sql::new(&text, &[])
});

impl Store {
    /// The windows of a tenant's limits, or of all, that end after an instant; the latest first.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn lease_report(
        &self,
        tenant_id: Option<&str>,
        ends_after_ms: i64,
        limit: i64,
    ) -> Result<Vec<WindowReport>, StoreError> {
        let rows = sqlx::query(REPORT.of(&self.database))
            .bind(tenant_id)
            .bind(ends_after_ms)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable(TABLE, tenant_id.unwrap_or("?")))?;
        rows.iter().map(WindowReport::read).collect()
    }

    /// The windows that do not add up: whose counter is not what leases have, or of which units are gone that nobody can
    /// explain. Some of them, when there are many.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn lease_differences(&self, ends_after_ms: i64) -> Result<Vec<WindowReport>, StoreError> {
        let mut transaction = self.begin_long_read().await?;
        let rows = sqlx::query(DIFFERENCES.of(&self.database))
            .bind(None::<&str>)
            .bind(ends_after_ms)
            .bind(DIFFERENCES_MAX)
            .fetch_all(&mut *transaction)
            .await
            .map_err(unreadable(TABLE, "?"))?;
        rows.iter().map(WindowReport::read).collect()
    }
}

impl WindowReport {
    /// I1: what the counter says is what leases have. Not 0 means that something was counted wrongly.
    pub fn counted_wrongly(&self) -> i64 {
        self.granted - (self.sums.amount - self.sums.returned)
    }

    /// C3: units of which nobody can say what became of them.
    pub fn unexplained(&self) -> i64 {
        let sums = &self.sums;
        sums.amount - sums.returned - sums.settled - sums.outstanding - sums.burnt
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::named_by(TABLE, row, "limit_id")?;
        Ok(Self {
            tenant_id: columns.text("tenant_id")?,
            limit_id: columns.id(),
            window: Window {
                start_ms: columns.number("starts_at_ms")?,
                end_ms: columns.number("ends_at_ms")?,
            },
            cap: columns.number_or_null("cap")?,
            granted: columns.number("granted")?,
            burnt: columns.number("counted_burnt")?,
            sums: LeaseSums {
                amount: columns.number("amount")?,
                returned: columns.number("returned")?,
                settled: columns.number("settled")?,
                overdraft: columns.number("overdraft")?,
                outstanding: columns.number("outstanding")?,
                burnt: columns.number("burnt")?,
            },
        })
    }
}
