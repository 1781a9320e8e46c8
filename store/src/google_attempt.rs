//! Logins with Google that were begun and not yet come back. Shared by all replicas: the browser may come back to another.
//!
//! Each can be taken once, by whoever comes first, and only for a while. The verifier (RFC 7636) is sealed until then
//! and gone afterwards.

use sqlx::any::AnyRow;
use vault::{Place, Secret};

use crate::error::{StoreError, unreadable};
use crate::master::opened;
use crate::open::Store;
use crate::row::Columns;

/// A login to be begun.
///
/// Has no `Debug`, like the verifier in it.
#[derive(Clone, Copy)]
pub struct NewGoogleAttempt<'a> {
    /// The keyed digest of the state.
    pub id: &'a str,
    pub tenant_id: &'a str,
    /// The session in which it begins.
    pub session_id: &'a str,
    /// The keyed digest of what the browser holds for this login alone.
    pub browser: &'a str,
    /// What the credential is to be called.
    pub credential_name: &'a str,
    pub project_id: Option<&'a str>,
    /// The version of the warning that was agreed to.
    pub consent_text: i64,
    pub verifier: &'a Secret,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

/// A login that has come back.
///
/// Has no `Debug`, like the verifier in it.
pub struct GoogleAttempt {
    pub tenant_id: String,
    pub session_id: String,
    pub browser: String,
    pub credential_name: String,
    pub project_id: Option<String>,
    pub consent_text: i64,
    pub verifier: Secret,
}

/// What became of taking one.
pub enum TakenAttempt {
    Taken(GoogleAttempt),
    /// It was taken before.
    Used,
    Expired,
    /// Nobody here has begun it.
    Unknown,
}

const TABLE: &str = "google_login_attempts";
/// Of one tenant at once.
const OPEN_MAX: i64 = 50;
/// For how long one is remembered after its end, so that it can be said why it is refused.
const REMEMBERED_MS: i64 = 24 * 3_600 * 1_000;

impl Store {
    /// Begins a login.
    ///
    /// # Errors
    /// When the tenant has too many open, there is no such tenant, or the verifier cannot be sealed.
    pub async fn begin_google_attempt(&self, new: &NewGoogleAttempt<'_>) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("DELETE FROM google_login_attempts WHERE expires_at_ms < $1")
            .bind(new.created_at_ms.saturating_sub(REMEMBERED_MS))
            .execute(&mut *transaction)
            .await?;
        let open: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM google_login_attempts \
             WHERE tenant_id = $1 AND used_at_ms IS NULL AND expires_at_ms > $2",
        )
        .bind(new.tenant_id)
        .bind(new.created_at_ms)
        .fetch_one(&mut *transaction)
        .await?;
        if open >= OPEN_MAX {
            return Err(StoreError::Invalid {
                what: "the login",
                why: "too many are under way; wait ten minutes".to_owned(),
            });
        }
        let key = self.data_key(&mut transaction, new.tenant_id).await?;
        let sealed = key.seal(&place(new.tenant_id, new.id), new.verifier)?;
        sqlx::query(
            "INSERT INTO google_login_attempts \
             (tenant_id, id, session_id, browser, credential_name, project_id, consent_text, verifier, \
              created_at_ms, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(new.tenant_id)
        .bind(new.id)
        .bind(new.session_id)
        .bind(new.browser)
        .bind(new.credential_name)
        .bind(new.project_id)
        .bind(new.consent_text)
        .bind(sealed)
        .bind(new.created_at_ms)
        .bind(new.expires_at_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes a login that has come back. Of several that try, one gets it.
    ///
    /// # Errors
    /// When the database does not answer, or the row makes no sense.
    pub async fn take_google_attempt(&self, id: &str, now_ms: i64) -> Result<TakenAttempt, StoreError> {
        let mut transaction = self.begin_write().await?;
        let row = sqlx::query(
            "SELECT tenant_id, id, session_id, browser, credential_name, project_id, consent_text, verifier, \
             expires_at_ms, used_at_ms FROM google_login_attempts WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(unreadable(TABLE, "?"))?;
        let Some(row) = row else {
            return Ok(TakenAttempt::Unknown);
        };
        // Whoever else has read the row too finds it used here.
        let taken = sqlx::query(
            "UPDATE google_login_attempts SET used_at_ms = $1, verifier = NULL \
             WHERE id = $2 AND used_at_ms IS NULL",
        )
        .bind(now_ms)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if taken.rows_affected() == 0 {
            return Ok(TakenAttempt::Used);
        }
        let columns = Columns::of(TABLE, &row)?;
        let tenant_id = columns.text("tenant_id")?;
        let key = self.data_key(&mut transaction, &tenant_id).await?;
        transaction.commit().await?;
        if columns.number("expires_at_ms")? <= now_ms {
            return Ok(TakenAttempt::Expired);
        }
        let sealed = columns.blob("verifier")?;
        let verifier = opened(TABLE, id, key.open(&place(&tenant_id, id), &sealed))?;
        GoogleAttempt::read(&row, verifier).map(TakenAttempt::Taken)
    }
}

impl GoogleAttempt {
    fn read(row: &AnyRow, verifier: Secret) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        Ok(Self {
            tenant_id: columns.text("tenant_id")?,
            session_id: columns.text("session_id")?,
            browser: columns.text("browser")?,
            credential_name: columns.text("credential_name")?,
            project_id: columns.text_or_null("project_id")?,
            consent_text: columns.number("consent_text")?,
            verifier,
        })
    }
}

fn place<'a>(tenant_id: &'a str, id: &'a str) -> Place<'a> {
    Place {
        tenant: tenant_id,
        table: TABLE,
        row: id,
        column: "verifier",
    }
}
