//! The store itself: a pool of connections to SQLite or to Postgres.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, Encode, Executor, IntoArguments, Transaction, Type};
use vault::Vault;

use crate::append::WayIn;
use crate::error::StoreError;
use crate::lease::Origin;
use crate::presence::Presence;

/// A handle on the database. Its clones share the connections.
///
/// Has no `Debug`: it knows the database's password.
#[derive(Clone)]
pub struct Store {
    pub(crate) pool: AnyPool,
    pub(crate) way_in: WayIn,
    pub(crate) vault: Vault,
    pub(crate) database: Database,
    pub(crate) presence: Presence,
    pub(crate) answer_timeout: Duration,
    pub(crate) origin: Origin,
}

/// Waiting comes first: what follows may have to wait for another process. What is deleted is overwritten, so that a
/// removed data key is gone from the file.
pub(crate) const SQLITE_PRAGMAS: &str = "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; \
    PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;";

/// How the database is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub connections_max: u32,
    /// For one statement on Postgres. SQLite has no such limit; there, another writer is waited for, for 2 s at most.
    pub statement_timeout: Duration,
    /// For getting a connection, a new one or one that becomes free.
    pub connect_timeout: Duration,
    /// For all of what [`Store::in_time`] does.
    pub answer_timeout: Duration,
}

/// Which database it is.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite,
    /// With the URL, by which announcements are listened for.
    Postgres(Arc<str>),
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connections_max: 10,
            statement_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(2),
        }
    }
}

impl Store {
    /// Opens `sqlite:PATH`, making the file when it is not there, or `postgres://…`. Does not migrate. In a path, `?`,
    /// `#` and `%` are written as `%3F`, `%23` and `%25`.
    ///
    /// # Errors
    /// When the URL is none of these, or the database does not answer in time.
    pub async fn open(url: &str, vault: Vault, options: StoreOptions) -> Result<Self, StoreError> {
        install_default_drivers();
        let (database, url) = Database::of(url)?;
        let connect: AnyConnectOptions = url.parse().map_err(|_| StoreError::BadUrl("it cannot be read"))?;
        let timeout_ms = i64::try_from(options.statement_timeout.as_millis()).unwrap_or(i64::MAX);
        let is_sqlite = matches!(database, Database::Sqlite);
        let presence = Presence::new();
        let way_in = WayIn::open(&database, &url, &options, &presence)
            .map_err(|_| StoreError::BadUrl("it cannot be read"))?;
        let mut pool = AnyPoolOptions::new()
            .max_connections(options.connections_max.max(1))
            .acquire_timeout(options.connect_timeout);
        if !is_sqlite {
            let (before, after) = (presence.clone(), presence.clone());
            // In place of the pool's own test, which waits for as long as it takes. On being given back, the pool tests
            // once more, when this has found an answer.
            pool = pool
                .test_before_acquire(false)
                .before_acquire(move |connection, metadata| {
                    let presence = before.clone();
                    Box::pin(async move { presence.test(connection, metadata).await })
                })
                .after_release(move |connection, metadata| {
                    let presence = after.clone();
                    Box::pin(async move { presence.test(connection, metadata).await })
                });
        }
        let pool = pool
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        sqlx::raw_sql(SQLITE_PRAGMAS).execute(&mut *connection).await?;
                        Ok(())
                    } else {
                        prepare_postgres::<Any>(connection, timeout_ms).await
                    }
                })
            })
            .connect_with(connect)
            .await?;
        Ok(Self {
            pool,
            way_in,
            vault,
            database,
            presence,
            answer_timeout: options.answer_timeout,
            origin: Origin::default(),
        })
    }

    /// Closes all connections, once what they are doing is done.
    pub async fn close(&self) {
        self.way_in.close().await;
        self.pool.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let asked = async { Ok(sqlx::query("SELECT 1").execute(&self.pool).await?) };
        self.in_time(asked).await.map(|_| ())
    }

    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Begins to write. SQLite takes its lock at once: a transaction that first read and then found another writer
    /// before it could not wait, only fail.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.database {
            Database::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Database::Postgres(_) => self.pool.begin().await,
        }
    }

    /// Begins to read several things as they were at one moment.
    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.database {
            Database::Sqlite => self.pool.begin().await,
            Database::Postgres(_) => {
                self.pool
                    .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await
            }
        }
    }

    /// The same, for what looks at so many rows that it may take longer than other statements.
    pub(crate) async fn begin_long_read(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let mut transaction = self.begin_read().await?;
        if matches!(self.database, Database::Postgres(_)) {
            sqlx::query("SET LOCAL statement_timeout = '3600s'")
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction)
    }
}

impl Database {
    /// Which database a URL means, and the URL with which to connect.
    fn of(url: &str) -> Result<(Self, String), StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok((Self::Postgres(Arc::from(url)), url.to_owned()));
        }
        if !url.starts_with("sqlite:") {
            return Err(StoreError::BadUrl(
                "it begins with neither `sqlite:` nor `postgres://`",
            ));
        }
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::BadUrl(
                "a database in memory is another one for each connection",
            ));
        }
        let url = if url.contains('?') {
            url.to_owned()
        } else {
            format!("{url}?mode=rwc")
        };
        Ok((Self::Sqlite, url))
    }
}

/// A transaction that is left open would hold its locks for ever: that of a replica which was cut off keeps the others
/// waiting, and itself when it is back.
pub(crate) async fn prepare_postgres<D>(
    connection: &mut D::Connection,
    timeout_ms: i64,
) -> Result<(), sqlx::Error>
where
    D: sqlx::Database,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    String: for<'q> Encode<'q, D> + Type<D>,
{
    sqlx::query(
        "SELECT set_config('statement_timeout', $1, false), \
                set_config('idle_in_transaction_session_timeout', $2, false)",
    )
    .bind(timeout_ms.to_string())
    .bind(timeout_ms.to_string())
    .execute(&mut *connection)
    .await?;
    Ok(())
}
