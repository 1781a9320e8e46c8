//! The ledger: one row for each finished attempt, written once however often it is told.

use serde_json::{Value, json};
use sqlx::any::AnyRow;
use ulid::Ulid;

use crate::error::{StoreError, is_about_content, is_about_others, unreadable};
use crate::open::Store;
use crate::row::Columns;

/// One attempt: one try of one target with one credential. Its texts are owned when it was read; whoever writes it may
/// only lend them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow<Text = String> {
    /// Unique; telling the same attempt twice books it once. The call's id, which begins with its time, comes first.
    pub attempt_id: Text,
    pub call_id: Text,
    /// 1 for a call's first attempt.
    pub attempt_number: i64,
    pub tenant_id: Text,
    pub key_id: Text,
    pub credential_id: Option<Text>,
    pub provider: Text,
    /// What the client asked for.
    pub model_name: Text,
    /// What the provider was asked for.
    pub model: Text,
    pub dialect: Text,
    pub streamed: bool,
    pub started_at_ms: i64,
    pub duration_us: i64,
    /// From the start to the answer's first byte, if there was one.
    pub first_byte_us: Option<i64>,
    /// The HTTP status that the provider sent; 0 when it sent none.
    pub status: i64,
    /// `ok`, `provider_error`, `cut`, `client_gone`, `timeout`, `unreachable`, `refused` or `crashed`.
    pub outcome: Text,
    /// What was asked for: `chat`, `embeddings` or `count_tokens`.
    pub operation: Text,
    /// `None` when it is not known: unknown is not 0.
    pub usage: Option<AttemptUsage>,
    /// Where the usage is known from, or why it is not: `provider` told it, it is `estimated`, it is `unknown`,
    /// `unknown_crash` where this gateway went down during the attempt, or there is `none`, since nothing was used.
    pub usage_source: Text,
    /// In billionths of a dollar; `None` when no price is known.
    pub cost_nano: Option<i64>,
    /// Which prices that is by.
    pub price_version: Option<Text>,
    /// What limits were charged before it was sent.
    pub reserved_tokens: Option<i64>,
}

/// Tokens, as the provider counted them. Input includes cached and cache-written, output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptUsage {
    pub input_tokens: i64,
    pub cached_input_tokens: i64,
    pub cache_write_tokens: i64,
    /// Of what was written to the cache, what is kept for an hour.
    pub cache_write_1h_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub audio_input_tokens: i64,
    pub audio_output_tokens: i64,
    pub image_output_tokens: i64,
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
/// A call lasts an hour at most; an attempt that began after some instant may be one of a call from so long before it.
const CALL_MS_MAX: i64 = 2 * 3_600_000;
const CLOCK_MS_MAX: i64 = 600_000;
/// How often rows are told again at once when another replica was in the way.
const TRIES: u32 = 5;

impl Store {
    /// Books attempts and adds them to the sums. A row that the database refuses for what it holds is put aside and does
    /// not hold up the others: it is found by halves.
    ///
    /// # Errors
    /// When the database does not answer; then it is not known what was booked, and the same rows may be told again.
    pub async fn append_attempts<T: AsRef<str> + Sync>(
        &self,
        rows: &[AttemptRow<T>],
    ) -> Result<Appended, StoreError> {
        let rows: Vec<AttemptRow<&str>> = rows.iter().map(AttemptRow::lent).collect();
        let mut appended = Appended::default();
        let mut parts = vec![rows.as_slice()];
        let mut tries = 0;
        while let Some(part) = parts.pop() {
            match self.way_in.append(part).await {
                Ok(new) => appended.new += new,
                // Another replica was in the way.
                Err(error) if is_about_others(&error) && tries < TRIES => {
                    tries += 1;
                    parts.push(part);
                }
                Err(error) if is_about_content(&error) => match part {
                    [row] => {
                        self.put_aside(row, &error).await?;
                        appended.refused += 1;
                    }
                    _ => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(appended)
    }

    /// Tries again to book the rows that were put aside, and says how many were booked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn retry_refused(&self) -> Result<u64, StoreError> {
        let aside = sqlx::query(
            "SELECT attempt_id AS id, attempt FROM refused_attempts ORDER BY attempt_id LIMIT 1000",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable("refused_attempts", "?"))?;
        let mut booked = 0;
        for aside in &aside {
            let columns = Columns::of("refused_attempts", aside)?;
            let text = columns.text("attempt")?;
            let Some(row) = AttemptRow::from_json(&text) else {
                continue;
            };
            match self.way_in.append(&[row.lent()]).await {
                Ok(_) => {
                    sqlx::query("DELETE FROM refused_attempts WHERE attempt_id = $1")
                        .bind(columns.id())
                        .execute(&self.pool)
                        .await?;
                    booked += 1;
                }
                Err(error) if is_about_content(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(booked)
    }

    /// How many rows are put aside.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_refused(&self) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM refused_attempts")
            .fetch_one(&self.pool)
            .await?;
        Ok(count)
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
             AND attempt_id >= $1 AND attempt_id <= $3 ORDER BY attempt_number LIMIT 1000",
        )
        .bind(call_id)
        .bind(tenant_id)
        .bind(format!("{call_id}-999999"))
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, call_id))?;
        rows.iter().map(AttemptRow::read).collect()
    }

    /// Attempts since an instant, those of the newest calls first, `limit` at most: a tenant's, or all.
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
             AND attempt_id >= $3 ORDER BY attempt_id DESC LIMIT $4",
        )
        .bind(tenant_id)
        .bind(since_at_ms)
        .bind(ids_from(since_at_ms))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(unreadable(TABLE, "?"))?;
        rows.iter().map(AttemptRow::read).collect()
    }

    async fn put_aside(&self, row: &AttemptRow<&str>, error: &sqlx::Error) -> Result<(), StoreError> {
        // JSON writes what a text column cannot hold, such as a NUL, as an escape; so does this for the id.
        let attempt = json!({
            "attempt_id": row.attempt_id, "call_id": row.call_id, "attempt_number": row.attempt_number,
            "tenant_id": row.tenant_id, "key_id": row.key_id, "credential_id": row.credential_id,
            "provider": row.provider, "model_name": row.model_name, "model": row.model, "dialect": row.dialect,
            "streamed": row.streamed, "started_at_ms": row.started_at_ms, "duration_us": row.duration_us,
            "first_byte_us": row.first_byte_us, "status": row.status, "outcome": row.outcome,
            "operation": row.operation, "usage_source": row.usage_source, "cost_nano": row.cost_nano,
            "price_version": row.price_version, "reserved_tokens": row.reserved_tokens,
            "usage": row.usage.map(|usage| json!({
                "input_tokens": usage.input_tokens, "cached_input_tokens": usage.cached_input_tokens,
                "cache_write_tokens": usage.cache_write_tokens, "cache_write_1h_tokens": usage.cache_write_1h_tokens,
                "output_tokens": usage.output_tokens, "reasoning_tokens": usage.reasoning_tokens,
                "audio_input_tokens": usage.audio_input_tokens, "audio_output_tokens": usage.audio_output_tokens,
                "image_output_tokens": usage.image_output_tokens,
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

impl<Text: AsRef<str>> AttemptRow<Text> {
    /// The same row, whose texts are this one's.
    pub fn lent(&self) -> AttemptRow<&str> {
        AttemptRow {
            attempt_id: self.attempt_id.as_ref(),
            call_id: self.call_id.as_ref(),
            attempt_number: self.attempt_number,
            tenant_id: self.tenant_id.as_ref(),
            key_id: self.key_id.as_ref(),
            credential_id: self.credential_id.as_ref().map(Text::as_ref),
            provider: self.provider.as_ref(),
            model_name: self.model_name.as_ref(),
            model: self.model.as_ref(),
            dialect: self.dialect.as_ref(),
            streamed: self.streamed,
            started_at_ms: self.started_at_ms,
            duration_us: self.duration_us,
            first_byte_us: self.first_byte_us,
            status: self.status,
            outcome: self.outcome.as_ref(),
            operation: self.operation.as_ref(),
            usage: self.usage,
            usage_source: self.usage_source.as_ref(),
            cost_nano: self.cost_nano,
            price_version: self.price_version.as_ref().map(Text::as_ref),
            reserved_tokens: self.reserved_tokens,
        }
    }
}

impl AttemptRow {
    /// As it was put aside.
    fn from_json(text: &str) -> Option<Self> {
        let row: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| row.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| row.get(name)?.as_i64();
        let usage = row.get("usage").filter(|usage| usage.is_object()).map(|usage| {
            let count = |name: &str| usage.get(name).and_then(Value::as_i64).unwrap_or(0);
            AttemptUsage {
                input_tokens: count("input_tokens"),
                cached_input_tokens: count("cached_input_tokens"),
                cache_write_tokens: count("cache_write_tokens"),
                cache_write_1h_tokens: count("cache_write_1h_tokens"),
                output_tokens: count("output_tokens"),
                reasoning_tokens: count("reasoning_tokens"),
                audio_input_tokens: count("audio_input_tokens"),
                audio_output_tokens: count("audio_output_tokens"),
                image_output_tokens: count("image_output_tokens"),
            }
        });
        let source = if usage.is_some() { "provider" } else { "unknown" };
        Some(Self {
            attempt_id: text("attempt_id")?,
            call_id: text("call_id")?,
            attempt_number: number("attempt_number")?,
            tenant_id: text("tenant_id")?,
            key_id: text("key_id")?,
            credential_id: text("credential_id"),
            provider: text("provider")?,
            model_name: text("model_name")?,
            model: text("model")?,
            dialect: text("dialect")?,
            streamed: row.get("streamed")?.as_bool()?,
            started_at_ms: number("started_at_ms")?,
            duration_us: number("duration_us")?,
            first_byte_us: number("first_byte_us"),
            status: number("status")?,
            outcome: text("outcome")?,
            // Older programs have put rows aside without these.
            operation: text("operation").unwrap_or_default(),
            usage,
            usage_source: text("usage_source").unwrap_or_else(|| source.to_owned()),
            cost_nano: number("cost_nano"),
            price_version: text("price_version"),
            reserved_tokens: number("reserved_tokens"),
        })
    }

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
            operation: columns.text("operation")?,
            usage_source: columns.text_or_null("usage_source")?.unwrap_or_default(),
            cost_nano: columns.number_or_null("cost_nano")?,
            price_version: columns.text_or_null("price_version")?,
            reserved_tokens: columns.number_or_null("reserved_tokens")?,
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
            // Older programs have booked rows without these.
            cache_write_1h_tokens: columns.number_or_null("cache_write_1h_tokens")?.unwrap_or(0),
            output_tokens: columns.number("output_tokens")?,
            reasoning_tokens: columns.number("reasoning_tokens")?,
            audio_input_tokens: columns.number("audio_input_tokens")?,
            audio_output_tokens: columns.number("audio_output_tokens")?,
            image_output_tokens: columns.number_or_null("image_output_tokens")?.unwrap_or(0),
        })
    }
}

/// The least id that an attempt which began at this instant can have.
pub(crate) fn ids_from(started_at_ms: i64) -> String {
    let called_at_ms = u64::try_from(started_at_ms.saturating_sub(CALL_MS_MAX)).unwrap_or(0);
    Ulid::from_parts(called_at_ms, 0).to_string()
}

/// What the id of an attempt that began before this instant is less than. The clock may have been set back in between, by
/// a little.
pub(crate) fn ids_until(started_at_ms: i64) -> String {
    let called_at_ms = u64::try_from(started_at_ms.saturating_add(CLOCK_MS_MAX)).unwrap_or(0);
    Ulid::from_parts(called_at_ms, 0).to_string()
}
