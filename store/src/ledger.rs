//! The ledger: one row for each finished attempt, written once however often it is told.

use std::sync::LazyLock;

use serde_json::json;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};
use ulid::Ulid;

use crate::error::{StoreError, is_about_content, unreadable};
use crate::open::{Database, Store};
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
/// Rows that one statement takes. Each statement is a round trip, to Postgres over the network and to SQLite to its
/// thread, which costs more than the row itself.
const TOGETHER: usize = 32;
/// A call lasts an hour at most; an attempt that began after some instant may be one of a call from so long before it.
const CALL_MS_MAX: i64 = 2 * 3_600_000;

/// The statements that take one row and as many as one takes, for SQLite and for Postgres.
static INSERT_SQLITE: LazyLock<[String; 2]> =
    LazyLock::new(|| [1, TOGETHER].map(|rows| insert(rows, |_| "?".to_owned())));
static INSERT_POSTGRES: LazyLock<[String; 2]> =
    LazyLock::new(|| [1, TOGETHER].map(|rows| insert(rows, |number| format!("${number}"))));

impl Store {
    /// Books attempts, all at once. A row that the database refuses for what it holds is put aside and does not hold
    /// up the others.
    ///
    /// # Errors
    /// When the database does not answer; then it is not known what was booked, and the same rows may be told again.
    pub async fn append_attempts<T: AsRef<str> + Sync>(
        &self,
        rows: &[AttemptRow<T>],
    ) -> Result<Appended, StoreError> {
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

    async fn append_together<T: AsRef<str>>(&self, rows: &[AttemptRow<T>]) -> Result<u64, sqlx::Error> {
        let [one, many] = match self.database {
            Database::Sqlite => &*INSERT_SQLITE,
            Database::Postgres(_) => &*INSERT_POSTGRES,
        };
        let mut transaction = self.begin_write().await?;
        let mut new = 0;
        let (blocks, rest) = rows.as_chunks::<TOGETHER>();
        for block in blocks {
            new += append(&mut transaction, many, block).await?;
        }
        for row in rest {
            new += append(&mut transaction, one, std::slice::from_ref(row)).await?;
        }
        transaction.commit().await?;
        Ok(new)
    }

    async fn append_one_by_one<T: AsRef<str>>(&self, rows: &[AttemptRow<T>]) -> Result<Appended, StoreError> {
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

    async fn put_aside<T: AsRef<str>>(
        &self,
        row: &AttemptRow<T>,
        error: &sqlx::Error,
    ) -> Result<(), StoreError> {
        let row = row.lent();
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
            output_tokens: columns.number("output_tokens")?,
            reasoning_tokens: columns.number("reasoning_tokens")?,
            audio_input_tokens: columns.number("audio_input_tokens")?,
            audio_output_tokens: columns.number("audio_output_tokens")?,
        })
    }
}

/// The least id that an attempt which began at this instant can have.
pub(crate) fn ids_from(started_at_ms: i64) -> String {
    let called_at_ms = u64::try_from(started_at_ms.saturating_sub(CALL_MS_MAX)).unwrap_or(0);
    Ulid::from_parts(called_at_ms, 0).to_string()
}

/// The statement that takes so many rows, whose places are written like this. It depends on nothing else. SQLite looks for
/// a place with a number among all of them, which for hundreds takes longer than the rest; there they have none.
fn insert(rows: usize, place: impl Fn(usize) -> String) -> String {
    let columns = "tenant_id, attempt_id, call_id, attempt_number, key_id, credential_id, provider, model_name, model, \
                   dialect, streamed, started_at_ms, duration_us, first_byte_us, status, outcome, input_tokens, \
                   cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, audio_input_tokens, \
                   audio_output_tokens, operation, usage_source, cost_nano, price_version, reserved_tokens";
    let width = columns.split(',').count();
    let values = (0..rows).map(|row| {
        let places: Vec<String> = (1..=width).map(|column| place(row * width + column)).collect();
        format!("({})", places.join(", "))
    });
    let values: Vec<String> = values.collect();
    format!(
        "INSERT INTO attempts ({columns}) VALUES {} ON CONFLICT (tenant_id, attempt_id) DO NOTHING",
        values.join(", ")
    )
}

async fn append<T: AsRef<str>>(
    connection: &mut AnyConnection,
    sql: &'static str,
    rows: &[AttemptRow<T>],
) -> Result<u64, sqlx::Error> {
    let query = rows.iter().fold(sqlx::query(sql), bind);
    Ok(query.execute(connection).await?.rows_affected())
}

fn bind<'q, T: AsRef<str>>(
    query: Query<'q, Any, AnyArguments>,
    row: &AttemptRow<T>,
) -> Query<'q, Any, AnyArguments> {
    let row = row.lent();
    let usage = |count: fn(&AttemptUsage) -> i64| row.usage.as_ref().map(count);
    query
        .bind(row.tenant_id)
        .bind(row.attempt_id)
        .bind(row.call_id)
        .bind(row.attempt_number)
        .bind(row.key_id)
        .bind(row.credential_id)
        .bind(row.provider)
        .bind(row.model_name)
        .bind(row.model)
        .bind(row.dialect)
        .bind(i64::from(row.streamed))
        .bind(row.started_at_ms)
        .bind(row.duration_us)
        .bind(row.first_byte_us)
        .bind(row.status)
        .bind(row.outcome)
        .bind(usage(|usage| usage.input_tokens))
        .bind(usage(|usage| usage.cached_input_tokens))
        .bind(usage(|usage| usage.cache_write_tokens))
        .bind(usage(|usage| usage.output_tokens))
        .bind(usage(|usage| usage.reasoning_tokens))
        .bind(usage(|usage| usage.audio_input_tokens))
        .bind(usage(|usage| usage.audio_output_tokens))
        .bind(row.operation)
        .bind(row.usage_source)
        .bind(row.cost_nano)
        .bind(row.price_version)
        .bind(row.reserved_tokens)
}
