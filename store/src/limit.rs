//! Limits as they are kept. A change of a cap reaches the windows that are open at once: what was granted of them stays
//! granted, and nothing more is while that is above the cap.

use std::sync::Arc;

use policy::limit::{Cap, Firmness, Limit, Mode, Period, Subject, Unit, Unpriced};
use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::change::{Change, Changing, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::lease::CEILING_MAX;
use crate::open::Store;
use crate::row::Columns;
use crate::tenant;

/// A limit as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRow {
    pub tenant_id: String,
    pub limit: Limit,
    pub created_at_ms: i64,
}

/// A limit to be set.
#[derive(Debug, Clone, Copy)]
pub struct NewLimit<'a> {
    /// Kept when there never was a limit on this subject, in this unit and period.
    pub id: &'a str,
    pub tenant_id: &'a str,
    pub subject: &'a Subject,
    pub unit: Unit,
    pub period: Period,
    pub zone: &'a str,
    pub cap: Cap,
    /// Without, the one that it has; a new one is enforced.
    pub mode: Option<Mode>,
    pub firmness: Firmness,
    /// Without, what it does; a new one refuses.
    pub unpriced: Option<Unpriced>,
}

const TABLE: &str = "limits";
const SELECT: &str = "SELECT tenant_id, id, subject, subject_id, unit, period, zone, cap, mode, firmness, unpriced, \
                          created_at_ms \
                      FROM limits WHERE tenant_id = $1 ORDER BY subject, subject_id, period, unit";
/// So much is a thousand million dollars; what is more is a slip of the hand.
const CAP_MAX: u64 = 1_000_000_000_000_000_000;
const MODEL_LEN_MAX: usize = 256;

const UNITS: [Unit; 6] = [
    Unit::Requests,
    Unit::InputTokens,
    Unit::OutputTokens,
    Unit::Tokens,
    Unit::NanoDollars,
    Unit::Concurrent,
];
const PERIODS: [Period; 5] = [
    Period::Minute,
    Period::RollingMinute,
    Period::Day,
    Period::Month,
    Period::Always,
];

impl NewLimit<'_> {
    /// Whether it makes sense, whatever the database holds.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self) -> Result<(), StoreError> {
        let invalid = |what, why| StoreError::Invalid { what, why };
        check_kind(self.unit, self.period, self.firmness).map_err(|why| invalid("the limit", why))?;
        check_zone(self.zone).map_err(|why| invalid("the limit's zone", why))?;
        if let Cap::Units(cap) = self.cap
            && cap > CAP_MAX
        {
            let why = format!("it is {CAP_MAX} at most; write `unlimited` for none");
            return Err(invalid("the limit's cap", why));
        }
        if let Subject::Model(model) = self.subject {
            check_model(model).map_err(|why| invalid("the limit's model", why))?;
        }
        Ok(())
    }
}

impl Store {
    /// Sets what a subject may use of a unit in a period, in place of the limit that it may have on that.
    ///
    /// # Errors
    /// When it makes no sense, or the tenant, or the key or credential of it, is not there.
    pub async fn set_limit(&self, change: &Change<'_>, new: &NewLimit<'_>) -> Result<LimitRow, StoreError> {
        new.check()?;
        let mut changing = self.begin_change().await?;
        tenant::require(changing.connection(), new.tenant_id).await?;
        require_subject(changing.connection(), new).await?;
        let (subject, subject_id) = subject_words(new.subject);
        let id = id_before(changing.connection(), new).await?;
        let row = sqlx::query(
            "INSERT INTO limits (tenant_id, id, subject, subject_id, unit, period, zone, cap, mode, firmness, unpriced, \
                 created_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, COALESCE(CAST($9 AS TEXT), 'enforce'), $10, \
                 COALESCE(CAST($11 AS TEXT), 'refuse'), $12) \
             ON CONFLICT (tenant_id, subject, subject_id, unit, period) DO UPDATE SET \
                 zone = excluded.zone, cap = excluded.cap, mode = COALESCE(CAST($9 AS TEXT), limits.mode), \
                 firmness = excluded.firmness, unpriced = COALESCE(CAST($11 AS TEXT), limits.unpriced) \
             RETURNING tenant_id, id, subject, subject_id, unit, period, zone, cap, mode, firmness, unpriced, created_at_ms",
        )
        .bind(new.tenant_id)
        .bind(id.as_deref().unwrap_or(new.id))
        .bind(subject)
        .bind(subject_id)
        .bind(new.unit.as_str())
        .bind(new.period.as_str())
        .bind(new.zone)
        .bind(kept_cap(new.cap))
        .bind(new.mode.map(Mode::as_str))
        .bind(new.firmness.as_str())
        .bind(new.unpriced.map(Unpriced::as_str))
        .bind(change.at_ms)
        .fetch_one(changing.connection())
        .await
        .map_err(taken(|| format!("a limit `{}`", new.id)))?;
        let kept = LimitRow::read(&row)?;
        change_windows(&mut changing, &kept).await?;
        let done = Done {
            action: "limit.set",
            tenant_id: Some(new.tenant_id),
            subject: &kept.limit.id,
            detail: json!({
                "subject": subject, "subject_id": subject_id, "unit": new.unit.as_str(),
                "period": new.period.as_str(), "zone": new.zone, "cap": kept_cap(new.cap),
                "mode": kept.limit.mode.as_str(), "firmness": new.firmness.as_str(),
                "unpriced": kept.limit.unpriced.as_str(),
            }),
        };
        changing.finish(change, done).await?;
        Ok(kept)
    }

    /// Enforces a limit, or only counts by it.
    ///
    /// # Errors
    /// When the tenant has no such limit.
    pub async fn set_limit_mode(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
        mode: Mode,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let changed = sqlx::query("UPDATE limits SET mode = $1 WHERE tenant_id = $2 AND id = $3")
            .bind(mode.as_str())
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        if changed.rows_affected() == 0 {
            return Err(no_limit(id));
        }
        let done = Done {
            action: "limit.set_mode",
            tenant_id: Some(tenant_id),
            subject: id,
            detail: json!({ "mode": mode.as_str() }),
        };
        changing.finish(change, done).await
    }

    /// Removes a limit. What was counted by it stays for a while, and counts when the same is set again.
    ///
    /// # Errors
    /// When the tenant has no such limit.
    pub async fn remove_limit(
        &self,
        change: &Change<'_>,
        tenant_id: &str,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        sqlx::query(
            "INSERT INTO removed_limits (tenant_id, subject, subject_id, unit, period, id) \
             SELECT tenant_id, subject, subject_id, unit, period, id FROM limits WHERE tenant_id = $1 AND id = $2 \
             ON CONFLICT (tenant_id, subject, subject_id, unit, period) DO UPDATE SET id = excluded.id",
        )
        .bind(tenant_id)
        .bind(id)
        .execute(changing.connection())
        .await?;
        let removed = sqlx::query("DELETE FROM limits WHERE tenant_id = $1 AND id = $2")
            .bind(tenant_id)
            .bind(id)
            .execute(changing.connection())
            .await?;
        if removed.rows_affected() == 0 {
            return Err(no_limit(id));
        }
        let done = Done {
            action: "limit.remove",
            tenant_id: Some(tenant_id),
            subject: id,
            detail: json!({}),
        };
        changing.finish(change, done).await
    }

    /// A tenant's limits: by subject, period and unit.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_limits(&self, tenant_id: &str) -> Result<Vec<LimitRow>, StoreError> {
        let rows = sqlx::query(SELECT)
            .bind(tenant_id)
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable(TABLE, tenant_id))?;
        rows.iter().map(LimitRow::read).collect()
    }

    /// The id of the tenant that a gateway key, a credential or a limit belongs to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tenant_of(&self, id: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT tenant_id FROM gateway_keys WHERE id = $1 UNION ALL \
             SELECT tenant_id FROM credentials WHERE id = $1 UNION ALL \
             SELECT tenant_id FROM limits WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(unreadable(TABLE, id))
    }
}

impl LimitRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        let cap = match columns.number_or_null("cap")? {
            None => Cap::Unlimited,
            Some(cap) => match u64::try_from(cap) {
                Ok(cap) if cap <= CAP_MAX => Cap::Units(cap),
                _ => return Err(columns.poison(format!("cap is {cap}"))),
            },
        };
        let limit = Limit {
            id: columns.id().into(),
            subject: read_subject(&columns)?,
            unit: columns.word("unit", read_unit)?,
            period: columns.word("period", read_period)?,
            zone: columns.text("zone")?.into(),
            cap,
            mode: columns.word("mode", read_mode)?,
            firmness: columns.word("firmness", read_firmness)?,
            unpriced: columns.word("unpriced", read_unpriced)?,
        };
        check_kind(limit.unit, limit.period, limit.firmness).map_err(|why| columns.poison(why))?;
        check_zone(&limit.zone).map_err(|why| columns.poison(why))?;
        Ok(Self {
            tenant_id: columns.text("tenant_id")?,
            limit,
            created_at_ms: columns.number("created_at_ms")?,
        })
    }
}

pub(crate) async fn load_limits(
    connection: &mut AnyConnection,
    tenant_id: &str,
) -> Result<Vec<Limit>, StoreError> {
    let rows = sqlx::query(SELECT)
        .bind(tenant_id)
        .fetch_all(connection)
        .await
        .map_err(unreadable(TABLE, tenant_id))?;
    rows.iter()
        .map(|row| LimitRow::read(row).map(|kept| kept.limit))
        .collect()
}

/// Forgets the limits on what is removed.
pub(crate) async fn remove_limits_on(
    connection: &mut AnyConnection,
    tenant_id: &str,
    subject: &Subject,
) -> Result<(), StoreError> {
    let (word, id) = subject_words(subject);
    sqlx::query("DELETE FROM limits WHERE tenant_id = $1 AND subject = $2 AND subject_id = $3")
        .bind(tenant_id)
        .bind(word)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The id that the same limit had before it was removed, by which its windows are found again.
async fn id_before(connection: &mut AnyConnection, new: &NewLimit<'_>) -> Result<Option<String>, StoreError> {
    let (subject, subject_id) = subject_words(new.subject);
    let id = sqlx::query_scalar(
        "DELETE FROM removed_limits WHERE tenant_id = $1 AND subject = $2 AND subject_id = $3 AND unit = $4 \
         AND period = $5 RETURNING id",
    )
    .bind(new.tenant_id)
    .bind(subject)
    .bind(subject_id)
    .bind(new.unit.as_str())
    .bind(new.period.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// The windows of a limit get its cap. Those that are over do too: nothing is granted of them any more, and which clock
/// says so does not matter then.
async fn change_windows(changing: &mut Changing, kept: &LimitRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE counters SET cap = CAST($1 AS BIGINT), \
             ceiling = CASE WHEN granted > $2 THEN granted ELSE $2 END \
         WHERE tenant_id = $3 AND limit_id = $4",
    )
    .bind(kept_cap(kept.limit.cap))
    .bind(kept_cap(kept.limit.cap).unwrap_or(CEILING_MAX))
    .bind(&*kept.tenant_id)
    .bind(&*kept.limit.id)
    .execute(changing.connection())
    .await?;
    Ok(())
}

/// What can be counted over what, and how firmly.
fn check_kind(unit: Unit, period: Period, firmness: Firmness) -> Result<(), String> {
    match (unit, period, firmness) {
        (Unit::Concurrent, Period::Always, Firmness::Hard) => Ok(()),
        (Unit::Concurrent, Period::Always, Firmness::Soft) | (Unit::Requests, _, Firmness::Soft) => {
            Err(format!("a limit on {} is always hard", unit.as_str()))
        }
        (Unit::Concurrent, _, _) => Err("calls under way are counted over no period".to_owned()),
        (_, Period::Always, _) => Err(format!("{} are counted over a period", unit.as_str())),
        _ => Ok(()),
    }
}

fn check_zone(zone: &str) -> Result<(), String> {
    policy::limit::Calendar::of(zone)
        .map(|_| ())
        .map_err(|unknown| unknown.to_string())
}

fn check_model(model: &str) -> Result<(), String> {
    let is_letter = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if (1..=MODEL_LEN_MAX).contains(&model.len()) && model.chars().all(is_letter) {
        return Ok(());
    }
    Err(format!(
        "a model is named by 1 to {MODEL_LEN_MAX} bytes without spaces"
    ))
}

/// A key or a credential of another tenant is as unknown as one that never was.
async fn require_subject(connection: &mut AnyConnection, new: &NewLimit<'_>) -> Result<(), StoreError> {
    let (statement, what, id) = match new.subject {
        Subject::Tenant | Subject::Model(_) => return Ok(()),
        Subject::Key(id) => (
            "SELECT id FROM gateway_keys WHERE tenant_id = $1 AND id = $2 AND revoked_at_ms IS NULL",
            "live gateway key",
            id,
        ),
        Subject::Credential(id) => (
            "SELECT id FROM credentials WHERE tenant_id = $1 AND id = $2",
            "credential",
            id,
        ),
    };
    let found = sqlx::query(statement)
        .bind(new.tenant_id)
        .bind(&**id)
        .fetch_optional(connection)
        .await?;
    found
        .map(|_| ())
        .ok_or_else(|| StoreError::not_found(format!("{what} `{id}`")))
}

fn read_subject(columns: &Columns<'_>) -> Result<Subject, StoreError> {
    let id: Arc<str> = columns.text("subject_id")?.into();
    let word = columns.text("subject")?;
    match (word.as_str(), id.is_empty()) {
        ("tenant", true) => Ok(Subject::Tenant),
        ("key", false) => Ok(Subject::Key(id)),
        ("credential", false) => Ok(Subject::Credential(id)),
        ("model", false) => match check_model(&id) {
            Ok(()) => Ok(Subject::Model(id)),
            Err(why) => Err(columns.poison(why)),
        },
        _ => Err(columns.poison(format!("subject is `{word}` with the id `{id}`"))),
    }
}

fn subject_words(subject: &Subject) -> (&'static str, &str) {
    match subject {
        Subject::Tenant => ("tenant", ""),
        Subject::Key(id) => ("key", id),
        Subject::Credential(id) => ("credential", id),
        Subject::Model(id) => ("model", id),
    }
}

fn read_unit(word: &str) -> Option<Unit> {
    UNITS.into_iter().find(|unit| unit.as_str() == word)
}

pub(crate) fn read_period(word: &str) -> Option<Period> {
    PERIODS.into_iter().find(|period| period.as_str() == word)
}

fn read_mode(word: &str) -> Option<Mode> {
    [Mode::Enforce, Mode::Observe]
        .into_iter()
        .find(|mode| mode.as_str() == word)
}

fn read_firmness(word: &str) -> Option<Firmness> {
    [Firmness::Hard, Firmness::Soft]
        .into_iter()
        .find(|firmness| firmness.as_str() == word)
}

fn read_unpriced(word: &str) -> Option<Unpriced> {
    [Unpriced::Refuse, Unpriced::Allow]
        .into_iter()
        .find(|unpriced| unpriced.as_str() == word)
}

fn kept_cap(cap: Cap) -> Option<i64> {
    match cap {
        Cap::Units(units) => Some(i64::try_from(units).unwrap_or(i64::MAX)),
        Cap::Unlimited => None,
    }
}

fn no_limit(id: &str) -> StoreError {
    StoreError::not_found(format!("limit `{id}`"))
}
