//! The ledger: one row for each finished attempt, written once however often it is told.

use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::error::{StoreError, is_about_content, unreadable};
use crate::open::Store;
use crate::row::Columns;

/// One attempt: one try of one target with one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Unique; telling the same attempt twice books it once.
    pub attempt_id: String,
    pub call_id: String,
    /// 1 for a call's first attempt.
    pub attempt_number: i64,
    pub tenant_id: String,
    pub key_id: String,
    pub credential_id: Option<String>,
    pub provider: String,
    /// What the client asked for.
    pub model_name: String,
    /// What the provider was asked for.
    pub model: String,
    pub dialect: String,
    pub streamed: bool,
    pub started_at_ms: i64,
    pub duration_us: i64,
    /// From the start to the answer's first byte, if there was one.
    pub first_byte_us: Option<i64>,
    /// The HTTP status that the provider sent; 0 when it sent none.
    pub status: i64,
    /// `ok`, `provider_error`, `cut`, `client_gone`, `timeout`, `unreachable` or `refused`.
    pub outcome: String,
    /// `None` when the provider told none: unknown is not 0.
    pub usage: Option<AttemptUsage>,
}

/// Tokens, as the provider counted them. Input includes cached and cache-written, output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptUsage {
    pub input_tokens: i64,
    pub cached_input_tokens: i64,
    pub cache_write_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub audio_input_tokens: i64,
    pub audio_output_tokens: i64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Rows that are new in the ledger; the others were there already.
    pub new: u64,
    /// Rows that the database will never take as they are. They are kept aside, with the reason.
    pub refused: u64,
}

const TABLE: &str = "attempts";

impl Store {
    /// Books attempts, all at once. A row that the database refuses for what it holds is put aside and does not hold
    /// up the others.
    ///
    /// # Errors
    /// When the database does not answer; then it is not known what was booked, and the same rows may be told again.
    pub async fn append_attempts(&self, rows: &[AttemptRow]) -> Result<Appended, StoreError> {
        match self.append_together(rows).await {
            Ok(new) => Ok(Appended { new, refused: 0 }),
            Err(error) if is_about_content(&error) => self.append_one_by_one(rows).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The attempts of one call, in their order: inside a tenant, or wherever.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn attempts_of(
        &self,
        tenant_id: Option<&str>,
        call_id: &str,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM attempts WHERE call_id = $1 AND (CAST($2 AS TEXT) IS NULL OR tenant_id = $2) \
             ORDER BY attempt_number LIMIT 1000",
        )
        .bind(call_id)
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, call_id))?;
        rows.iter().map(AttemptRow::read).collect()
    }

    /// Attempts since an instant, the newest first, `limit` at most: a tenant's, or all.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_attempts(
        &self,
        tenant_id: Option<&str>,
        since_at_ms: i64,
        limit: i64,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM attempts WHERE (CAST($1 AS TEXT) IS NULL OR tenant_id = $1) AND started_at_ms >= $2 \
             ORDER BY started_at_ms DESC, attempt_id DESC LIMIT $3",
        )
        .bind(tenant_id)
        .bind(since_at_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, "?"))?;
        rows.iter().map(AttemptRow::read).collect()
    }

    async fn append_together(&self, rows: &[AttemptRow]) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin_write().await?;
        let mut new = 0;
        for row in rows {
            new += insert(&mut transaction, row).await?;
        }
        transaction.commit().await?;
        Ok(new)
    }

    async fn append_one_by_one(&self, rows: &[AttemptRow]) -> Result<Appended, StoreError> {
        let mut appended = Appended::default();
        for row in rows {
            match self.append_together(std::slice::from_ref(row)).await {
                Ok(new) => appended.new += new,
                Err(error) if is_about_content(&error) => {
                    self.put_aside(row, &error).await?;
                    appended.refused += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(appended)
    }

    async fn put_aside(&self, row: &AttemptRow, error: &sqlx::Error) -> Result<(), StoreError> {
        // JSON writes what a text column cannot hold, such as a NUL, as an escape; so does this for the id.
        let attempt = json!({
            "attempt_id": row.attempt_id, "call_id": row.call_id, "attempt_number": row.attempt_number,
            "tenant_id": row.tenant_id, "key_id": row.key_id, "credential_id": row.credential_id,
            "provider": row.provider, "model_name": row.model_name, "model": row.model, "dialect": row.dialect,
            "streamed": row.streamed, "started_at_ms": row.started_at_ms, "duration_us": row.duration_us,
            "first_byte_us": row.first_byte_us, "status": row.status, "outcome": row.outcome,
            "usage": row.usage.map(|usage| json!({
                "input_tokens": usage.input_tokens, "cached_input_tokens": usage.cached_input_tokens,
                "cache_write_tokens": usage.cache_write_tokens, "output_tokens": usage.output_tokens,
                "reasoning_tokens": usage.reasoning_tokens, "audio_input_tokens": usage.audio_input_tokens,
                "audio_output_tokens": usage.audio_output_tokens,
            })),
        });
        sqlx::query(
            "INSERT INTO refused_attempts (attempt_id, why, attempt) VALUES ($1, $2, $3) \
             ON CONFLICT (attempt_id) DO NOTHING",
        )
        .bind(row.attempt_id.escape_default().to_string())
        .bind(error.to_string())
        .bind(attempt.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

impl AttemptRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::named_by(TABLE, row, "attempt_id")?;
        Ok(Self {
            attempt_id: columns.id(),
            call_id: columns.text("call_id")?,
            attempt_number: columns.number("attempt_number")?,
            tenant_id: columns.text("tenant_id")?,
            key_id: columns.text("key_id")?,
            credential_id: columns.text_or_null("credential_id")?,
            provider: columns.text("provider")?,
            model_name: columns.text("model_name")?,
            model: columns.text("model")?,
            dialect: columns.text("dialect")?,
            streamed: columns.flag("streamed")?,
            started_at_ms: columns.number("started_at_ms")?,
            duration_us: columns.number("duration_us")?,
            first_byte_us: columns.number_or_null("first_byte_us")?,
            status: columns.number("status")?,
            outcome: columns.text("outcome")?,
            usage: match columns.number_or_null("input_tokens")? {
                Some(_) => Some(AttemptUsage::read(&columns)?),
                None => None,
            },
        })
    }
}

impl AttemptUsage {
    /// From columns that are named as the counts are.
    pub(crate) fn read(columns: &Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            input_tokens: columns.number("input_tokens")?,
            cached_input_tokens: columns.number("cached_input_tokens")?,
            cache_write_tokens: columns.number("cache_write_tokens")?,
            output_tokens: columns.number("output_tokens")?,
            reasoning_tokens: columns.number("reasoning_tokens")?,
            audio_input_tokens: columns.number("audio_input_tokens")?,
            audio_output_tokens: columns.number("audio_output_tokens")?,
        })
    }
}

async fn insert(connection: &mut AnyConnection, row: &AttemptRow) -> Result<u64, sqlx::Error> {
    let usage = |count: fn(&AttemptUsage) -> i64| row.usage.as_ref().map(count);
    let inserted = sqlx::query(
        "INSERT INTO attempts \
         (tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, model_name, model, dialect, \
          streamed, started_at_ms, duration_us, first_byte_us, status, outcome, input_tokens, cached_input_tokens, \
          cache_write_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
          $23) ON CONFLICT (tenant_id, attempt_id) DO NOTHING",
    )
    .bind(&row.tenant_id)
    .bind(&row.attempt_id)
    .bind(&row.call_id)
    .bind(row.attempt_number)
    .bind(&row.key_id)
    .bind(row.credential_id.as_deref())
    .bind(&row.provider)
    .bind(&row.model_name)
    .bind(&row.model)
    .bind(&row.dialect)
    .bind(i64::from(row.streamed))
    .bind(row.started_at_ms)
    .bind(row.duration_us)
    .bind(row.first_byte_us)
    .bind(row.status)
    .bind(&row.outcome)
    .bind(usage(|usage| usage.input_tokens))
    .bind(usage(|usage| usage.cached_input_tokens))
    .bind(usage(|usage| usage.cache_write_tokens))
    .bind(usage(|usage| usage.output_tokens))
    .bind(usage(|usage| usage.reasoning_tokens))
    .bind(usage(|usage| usage.audio_input_tokens))
    .bind(usage(|usage| usage.audio_output_tokens))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}
