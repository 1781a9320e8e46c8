//! Logins with Google: credentials whose secret is a set of tokens that has to be renewed every hour.
//!
//! Of all replicas one renews a token at a time. No transaction can stay open while Google is asked, so the row says who
//! is asking and until when nobody else tries, and each token has a version: whoever comes with the answer writes it only
//! where the version is still the one that was renewed. The new token is a change like any other, which wakes all
//! replicas.

use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use vault::Secret;

use crate::change::{Change, Done};
use crate::credential::{NewCredential, place};
use crate::error::{StoreError, unreadable};
use crate::master::opened;
use crate::open::Store;
use crate::row::Columns;

/// What is known of one. Holds no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleLogin {
    pub tenant_id: String,
    pub credential_id: String,
    pub name: String,
    pub disabled: bool,
    pub kind: GoogleKind,
    pub email: Option<String>,
    pub tier: Option<String>,
    pub project_id: Option<String>,
    /// Of the token that is there now.
    pub expires_at_ms: i64,
    pub token_version: i64,
    pub claimed_until_ms: Option<i64>,
    /// Since the last token came.
    pub failures: i64,
    pub retry_at_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
    /// In Google's own words.
    pub last_error: Option<String>,
    pub last_error_at_ms: Option<i64>,
    pub consent_by: Option<String>,
    pub consent_at_ms: Option<i64>,
    pub consent_text: Option<i64>,
}

/// Whose client signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GoogleKind {
    /// The operator's own.
    OwnClient,
    /// That of the gemini CLI.
    CliLogin,
}

/// What is known of one that is to be added, or takes the place of an older one of the same name.
#[derive(Debug, Clone, Copy)]
pub struct NewGoogleLogin<'a> {
    pub kind: GoogleKind,
    pub email: Option<&'a str>,
    pub project_id: Option<&'a str>,
    pub expires_at_ms: i64,
    /// Who agreed to which version of the warning.
    pub consent: Option<(&'a str, i64)>,
}

/// Why no token came.
#[derive(Debug, Clone, Copy)]
pub enum GoogleFailure<'a> {
    /// It may come later; nobody tries before this instant.
    Passing { why: &'a str, retry_at_ms: i64 },
    /// It will never come again.
    Revoked { why: &'a str },
}

const TABLE: &str = "google_logins";
const ERROR_LEN_MAX: usize = 600;

impl GoogleKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnClient => "own_client",
            Self::CliLogin => "cli_login",
        }
    }

    pub fn read(word: &str) -> Option<Self> {
        [Self::OwnClient, Self::CliLogin]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl Store {
    /// Adds a login as a credential; one of the same name is replaced, and keeps its id.
    ///
    /// # Errors
    /// As [`Store::add_credential`].
    pub async fn add_google_login(
        &self,
        change: &Change<'_>,
        new: &NewCredential<'_>,
        login: &NewGoogleLogin<'_>,
    ) -> Result<String, StoreError> {
        let secret = new.secret.ok_or(StoreError::Invalid {
            what: "the login",
            why: "it has no tokens".to_owned(),
        })?;
        let mut changing = self.begin_change().await?;
        let older: Option<String> = sqlx::query_scalar(
            "SELECT id FROM credentials WHERE tenant_id = $1 AND provider = $2 AND name = $3",
        )
        .bind(new.tenant_id)
        .bind(new.provider)
        .bind(new.name)
        .fetch_optional(changing.connection())
        .await?;
        let id = match older {
            Some(id) => {
                self.write_secret(changing.connection(), new.tenant_id, &id, secret)
                    .await?;
                id
            }
            None => {
                self.insert_credential(changing.connection(), change, new).await?;
                new.id.to_owned()
            }
        };
        upsert(changing.connection(), (new.tenant_id, &id), login, change.at_ms).await?;
        let done = Done {
            action: "google_login.add",
            tenant_id: Some(new.tenant_id),
            subject: &id,
            detail: json!({
                "name": new.name, "kind": login.kind.as_str(), "email": login.email,
                "project_id": login.project_id, "consent": login.consent,
            }),
        };
        changing.finish(change, done).await?;
        Ok(id)
    }

    /// A tenant's logins, by name.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_google_logins(&self, tenant_id: &str) -> Result<Vec<GoogleLogin>, StoreError> {
        let rows = sqlx::query(
            "SELECT google_logins.*, credentials.id, credentials.name, credentials.disabled \
             FROM google_logins JOIN credentials ON credentials.tenant_id = google_logins.tenant_id \
                  AND credentials.id = google_logins.credential_id \
             WHERE google_logins.tenant_id = $1 ORDER BY credentials.name",
        )
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, tenant_id))?;
        rows.iter().map(GoogleLogin::read).collect()
    }

    /// One login with its tokens.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn google_login(
        &self,
        tenant_id: &str,
        credential_id: &str,
    ) -> Result<Option<(GoogleLogin, Secret)>, StoreError> {
        let mut reading = self.begin_read().await?;
        let row = sqlx::query(
            "SELECT google_logins.*, credentials.id, credentials.name, credentials.disabled, credentials.secret \
             FROM google_logins JOIN credentials ON credentials.tenant_id = google_logins.tenant_id \
                  AND credentials.id = google_logins.credential_id \
             WHERE google_logins.tenant_id = $1 AND google_logins.credential_id = $2",
        )
        .bind(tenant_id)
        .bind(credential_id)
        .fetch_optional(&mut *reading)
        .await
        .map_err(unreadable(TABLE, credential_id))?;
        let Some(row) = row else {
            return Ok(None);
        };
        let sealed = Columns::of(TABLE, &row)?.blob("secret")?;
        let key = self.data_key(&mut reading, tenant_id).await?;
        reading.commit().await?;
        let secret = opened(
            "credentials",
            credential_id,
            key.open(&place(tenant_id, credential_id), &sealed),
        )?;
        Ok(Some((GoogleLogin::read(&row)?, secret)))
    }

    /// Logins of all tenants whose token ends before an instant and that may be renewed now, as tenant and credential.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn due_google_logins(
        &self,
        ends_before_ms: i64,
        now_ms: i64,
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT google_logins.tenant_id, google_logins.credential_id FROM google_logins \
             JOIN credentials ON credentials.tenant_id = google_logins.tenant_id \
                  AND credentials.id = google_logins.credential_id \
             WHERE google_logins.expires_at_ms < $1 AND credentials.disabled = 0 \
               AND google_logins.revoked_at_ms IS NULL AND google_logins.consent_at_ms IS NOT NULL \
               AND (google_logins.retry_at_ms IS NULL OR google_logins.retry_at_ms <= $2) \
               AND (google_logins.claimed_until_ms IS NULL OR google_logins.claimed_until_ms <= $2) \
             ORDER BY google_logins.expires_at_ms LIMIT $3",
        )
        .bind(ends_before_ms)
        .bind(now_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, "?"))?;
        Ok(rows)
    }

    /// Claims the renewal of this version of the token. Of several who try, one gets it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_google_login(
        &self,
        login: &GoogleLogin,
        claimant: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<bool, StoreError> {
        let claimed = sqlx::query(
            "UPDATE google_logins SET claimed_by = $1, claimed_until_ms = $2 \
             WHERE tenant_id = $3 AND credential_id = $4 AND token_version = $5 AND revoked_at_ms IS NULL \
               AND (claimed_until_ms IS NULL OR claimed_until_ms <= $6)",
        )
        .bind(claimant)
        .bind(until_ms)
        .bind(&login.tenant_id)
        .bind(&login.credential_id)
        .bind(login.token_version)
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// Writes the tokens that came, unless the claim was lost in the meantime.
    ///
    /// # Errors
    /// When the database does not answer, or the tokens cannot be sealed.
    pub async fn renew_google_login(
        &self,
        change: &Change<'_>,
        login: &GoogleLogin,
        claimant: &str,
        secret: &Secret,
        expires_at_ms: i64,
    ) -> Result<bool, StoreError> {
        let (tenant_id, id) = (login.tenant_id.as_str(), login.credential_id.as_str());
        let mut changing = self.begin_change().await?;
        let written = sqlx::query(
            "UPDATE google_logins SET token_version = token_version + 1, expires_at_ms = $1, claimed_by = NULL, \
             claimed_until_ms = NULL, failures = 0, retry_at_ms = NULL, last_error = NULL, last_error_at_ms = NULL \
             WHERE tenant_id = $2 AND credential_id = $3 AND token_version = $4 AND claimed_by = $5",
        )
        .bind(expires_at_ms)
        .bind(tenant_id)
        .bind(id)
        .bind(login.token_version)
        .bind(claimant)
        .execute(changing.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Ok(false);
        }
        self.write_secret(changing.connection(), tenant_id, id, secret)
            .await?;
        let done = Done {
            action: "google_login.renew",
            tenant_id: Some(tenant_id),
            subject: id,
            detail: json!({ "token_version": login.token_version.saturating_add(1) }),
        };
        changing.finish(change, done).await?;
        Ok(true)
    }

    /// Notes that no token came, and gives the claim back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fail_google_login(
        &self,
        change: &Change<'_>,
        login: &GoogleLogin,
        claimant: &str,
        failure: GoogleFailure<'_>,
    ) -> Result<(), StoreError> {
        let (why, retry_at_ms, revoked_at_ms) = match failure {
            GoogleFailure::Passing { why, retry_at_ms } => (why, Some(retry_at_ms), None),
            GoogleFailure::Revoked { why } => (why, None, Some(change.at_ms)),
        };
        let mut changing = self.begin_change().await?;
        let written = sqlx::query(
            "UPDATE google_logins SET claimed_by = NULL, claimed_until_ms = NULL, failures = failures + 1, \
             retry_at_ms = $1, revoked_at_ms = $2, last_error = $3, last_error_at_ms = $4 \
             WHERE tenant_id = $5 AND credential_id = $6 AND token_version = $7 AND claimed_by = $8",
        )
        .bind(retry_at_ms)
        .bind(revoked_at_ms)
        .bind(shortened(why))
        .bind(change.at_ms)
        .bind(&login.tenant_id)
        .bind(&login.credential_id)
        .bind(login.token_version)
        .bind(claimant)
        .execute(changing.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Ok(());
        }
        let done = Done {
            action: if revoked_at_ms.is_some() {
                "google_login.revoked"
            } else {
                "google_login.renewal_failed"
            },
            tenant_id: Some(&login.tenant_id),
            subject: &login.credential_id,
            detail: json!({ "why": shortened(why) }),
        };
        changing.finish(change, done).await
    }

    /// Notes what a check of a login found: its tier, or what Google says against it. That nothing is said against a token
    /// does not mend that no new one comes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_google_check(
        &self,
        login: &GoogleLogin,
        tier: Option<&str>,
        error: Option<&str>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE google_logins SET tier = COALESCE($1, tier), \
             last_error = CASE WHEN CAST($2 AS TEXT) IS NULL AND failures > 0 THEN last_error ELSE $2 END, \
             last_error_at_ms = CASE WHEN CAST($3 AS BIGINT) IS NULL AND failures > 0 THEN last_error_at_ms ELSE $3 END \
             WHERE tenant_id = $4 AND credential_id = $5",
        )
        .bind(tier)
        .bind(error.map(shortened))
        .bind(error.map(|_| at_ms))
        .bind(&login.tenant_id)
        .bind(&login.credential_id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that Google does not take this version of the token, and that nobody renews it before an instant.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_google_refusal(
        &self,
        login: &GoogleLogin,
        error: &str,
        at_ms: i64,
        retry_at_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE google_logins SET last_error = $1, last_error_at_ms = $2, retry_at_ms = $3 \
             WHERE tenant_id = $4 AND credential_id = $5 AND token_version = $6",
        )
        .bind(shortened(error))
        .bind(at_ms)
        .bind(retry_at_ms)
        .bind(&login.tenant_id)
        .bind(&login.credential_id)
        .bind(login.token_version)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Sets the project under which a login works. Its tokens stay, written anew with it.
    ///
    /// # Errors
    /// When the tenant has no such login, or its token was renewed in the meantime.
    pub async fn set_google_project(
        &self,
        change: &Change<'_>,
        login: &GoogleLogin,
        project_id: Option<&str>,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        let (tenant_id, id) = (login.tenant_id.as_str(), login.credential_id.as_str());
        let mut changing = self.begin_change().await?;
        let written = sqlx::query(
            "UPDATE google_logins SET project_id = $1, token_version = token_version + 1 \
             WHERE tenant_id = $2 AND credential_id = $3 AND token_version = $4 AND claimed_by IS NULL",
        )
        .bind(project_id)
        .bind(tenant_id)
        .bind(id)
        .bind(login.token_version)
        .execute(changing.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::conflict("a renewal of this login under way"));
        }
        self.write_secret(changing.connection(), tenant_id, id, secret)
            .await?;
        let done = Done {
            action: "google_login.set_project",
            tenant_id: Some(tenant_id),
            subject: id,
            detail: json!({ "project_id": project_id }),
        };
        changing.finish(change, done).await
    }

    /// Notes that somebody agreed to the warning for a login.
    ///
    /// # Errors
    /// When the tenant has no such login.
    pub async fn consent_to_google_login(
        &self,
        change: &Change<'_>,
        (tenant_id, credential_id): (&str, &str),
        text_version: i64,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let written = sqlx::query(
            "UPDATE google_logins SET consent_by = $1, consent_at_ms = $2, consent_text = $3 \
             WHERE tenant_id = $4 AND credential_id = $5",
        )
        .bind(change.actor)
        .bind(change.at_ms)
        .bind(text_version)
        .bind(tenant_id)
        .bind(credential_id)
        .execute(changing.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::not_found(format!("login `{credential_id}`")));
        }
        let done = Done {
            action: "google_login.consent",
            tenant_id: Some(tenant_id),
            subject: credential_id,
            detail: json!({ "text": text_version }),
        };
        changing.finish(change, done).await
    }

    async fn write_secret(
        &self,
        connection: &mut AnyConnection,
        tenant_id: &str,
        id: &str,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        let key = self.data_key(connection, tenant_id).await?;
        let sealed = key.seal(&place(tenant_id, id), secret)?;
        sqlx::query("UPDATE credentials SET secret = $1 WHERE tenant_id = $2 AND id = $3")
            .bind(sealed)
            .bind(tenant_id)
            .bind(id)
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn upsert(
    connection: &mut AnyConnection,
    (tenant_id, id): (&str, &str),
    login: &NewGoogleLogin<'_>,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO google_logins (tenant_id, credential_id, kind, email, project_id, expires_at_ms, token_version, \
         failures, consent_by, consent_at_ms, consent_text) VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $8, $9) \
         ON CONFLICT (tenant_id, credential_id) DO UPDATE SET kind = excluded.kind, email = excluded.email, \
         tier = NULL, project_id = excluded.project_id, expires_at_ms = excluded.expires_at_ms, \
         token_version = google_logins.token_version + 1, claimed_by = NULL, claimed_until_ms = NULL, failures = 0, \
         retry_at_ms = NULL, revoked_at_ms = NULL, last_error = NULL, last_error_at_ms = NULL, \
         consent_by = excluded.consent_by, consent_at_ms = excluded.consent_at_ms, \
         consent_text = excluded.consent_text",
    )
    .bind(tenant_id)
    .bind(id)
    .bind(login.kind.as_str())
    .bind(login.email)
    .bind(login.project_id)
    .bind(login.expires_at_ms)
    .bind(login.consent.map(|(by, _)| by))
    .bind(login.consent.map(|_| now_ms))
    .bind(login.consent.map(|(_, text)| text))
    .execute(connection)
    .await?;
    Ok(())
}

impl GoogleLogin {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        Ok(Self {
            tenant_id: columns.text("tenant_id")?,
            credential_id: columns.text("credential_id")?,
            name: columns.text("name")?,
            disabled: columns.flag("disabled")?,
            kind: columns.word("kind", GoogleKind::read)?,
            email: columns.text_or_null("email")?,
            tier: columns.text_or_null("tier")?,
            project_id: columns.text_or_null("project_id")?,
            expires_at_ms: columns.number("expires_at_ms")?,
            token_version: columns.number("token_version")?,
            claimed_until_ms: columns.number_or_null("claimed_until_ms")?,
            failures: columns.number("failures")?,
            retry_at_ms: columns.number_or_null("retry_at_ms")?,
            revoked_at_ms: columns.number_or_null("revoked_at_ms")?,
            last_error: columns.text_or_null("last_error")?,
            last_error_at_ms: columns.number_or_null("last_error_at_ms")?,
            consent_by: columns.text_or_null("consent_by")?,
            consent_at_ms: columns.number_or_null("consent_at_ms")?,
            consent_text: columns.number_or_null("consent_text")?,
        })
    }
}

/// As much of it as is worth keeping, without what no database keeps.
fn shortened(why: &str) -> String {
    why.chars()
        .filter(|letter| !letter.is_control())
        .take(ERROR_LEN_MAX)
        .collect()
}
