//! How much is taken of limits now, for people to see.

use std::sync::LazyLock;

use policy::limit::{ROLLING_SLOT_MS, ROLLING_SLOTS, Window};
use sqlx::any::AnyRow;

use crate::error::{StoreError, unreadable};
use crate::given::Sql;
use crate::open::Store;
use crate::row::Columns;

/// How a limit's current window stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitUse {
    pub limit_id: String,
    /// Of a rolling minute, the sixty seconds that end with the current slot.
    pub window: Window,
    /// In the hands of replicas, or used: what cannot be had any more.
    pub granted: u64,
    /// Of this, what replicas have told to be used.
    pub settled: u64,
}

/// The windows of a rolling minute are slots; all that touch the last sixty seconds count.
static IN_USE: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "SELECT limits.id AS id, MIN(counters.starts_at_ms) AS starts_at_ms, MAX(counters.ends_at_ms) AS ends_at_ms, \
             CAST(SUM(counters.granted) AS BIGINT) AS granted, \
             CAST(SUM(counters.past_settled + COALESCE((SELECT SUM(leases.settled) FROM leases \
                 WHERE leases.tenant_id = counters.tenant_id AND leases.limit_id = counters.limit_id \
                     AND leases.starts_at_ms = counters.starts_at_ms), 0)) AS BIGINT) AS settled \
         FROM (SELECT {now} AS now_ms) AS clock CROSS JOIN limits \
         JOIN counters ON counters.tenant_id = limits.tenant_id AND counters.limit_id = limits.id \
         WHERE limits.tenant_id = $1 AND counters.starts_at_ms <= clock.now_ms \
             AND (counters.ends_at_ms > clock.now_ms \
                  OR (limits.period = 'rolling_minute' AND counters.ends_at_ms > clock.now_ms - $2)) \
         GROUP BY limits.id ORDER BY limits.id",
        &[],
    )
});

impl Store {
    /// How the windows stand that are open now, of those limits of a tenant of which anything was asked.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn limits_in_use(&self, tenant_id: &str) -> Result<Vec<LimitUse>, StoreError> {
        let rows = sqlx::query(IN_USE.of(&self.database))
            .bind(tenant_id)
            .bind(ROLLING_SLOT_MS * (ROLLING_SLOTS - 1))
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable("counters", tenant_id))?;
        rows.iter().map(LimitUse::read).collect()
    }
}

impl LimitUse {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of("counters", row)?;
        let amount = |column: &str| -> Result<u64, StoreError> {
            let number = columns.number(column)?;
            u64::try_from(number).map_err(|_| columns.poison(format!("{column} is {number}")))
        };
        Ok(Self {
            limit_id: columns.id(),
            window: Window {
                start_ms: columns.number("starts_at_ms")?,
                end_ms: columns.number("ends_at_ms")?,
            },
            granted: amount("granted")?,
            settled: amount("settled")?,
        })
    }
}
