//! Why the store did not do something.
//!
//! The text of an error goes to logs and to callers. It never holds a secret, a bound value or the database's URL.

use sqlx::error::DatabaseError;
use vault::VaultError;

/// Why the store did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the database URL is not usable: {0}")]
    BadUrl(&'static str),
    /// May be tried again: the database is away, too busy, or too slow.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    #[error(
        "the database has schema {found}, this program knows {known} at most: it was migrated by a newer one"
    )]
    SchemaTooNew { found: i64, known: i64 },
    #[error("the database has schema {found}, this program needs {known}: run `tollgate migrate`")]
    SchemaTooOld { found: i64, known: i64 },
    #[error("the master key is not the one under which this database was sealed")]
    WrongMasterKey,
    #[error("{what}: {why}")]
    Invalid { what: &'static str, why: String },
    #[error("there is already {what}")]
    Conflict { what: String },
    #[error("there is no {what}")]
    NotFound { what: String },
    /// A row that this program cannot have written, or not this version of it.
    #[error("row `{row}` of {table} makes no sense: {why}")]
    Poison {
        table: &'static str,
        row: String,
        why: String,
    },
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the database refused: {0}")]
    Other(String),
}

impl StoreError {
    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    pub(crate) fn poison(table: &'static str, row: &str, why: impl Into<String>) -> Self {
        Self::Poison {
            table,
            row: row.to_owned(),
            why: why.into(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) if is_passing(error.as_ref()) => {
                Self::Unavailable(error.message().to_owned())
            }
            sqlx::Error::Database(error) => Self::Other(error.message().to_owned()),
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection in time".to_owned()),
            sqlx::Error::PoolClosed => Self::Unavailable("it was closed".to_owned()),
            sqlx::Error::Io(error) => Self::Unavailable(error.to_string()),
            sqlx::Error::Tls(error) => Self::Unavailable(error.to_string()),
            sqlx::Error::Protocol(why) => Self::Unavailable(why),
            sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
                Self::Unavailable("the connection broke".to_owned())
            }
            // Its text may quote the URL.
            sqlx::Error::Configuration(_) => Self::BadUrl("it cannot be read"),
            other => Self::Other(other.to_string()),
        }
    }
}

/// A unique violation as a conflict about `what`, anything else as it is.
pub(crate) fn taken(what: impl FnOnce() -> String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match error.as_database_error() {
        Some(refused) if refused.is_unique_violation() => StoreError::conflict(what()),
        _ => error.into(),
    }
}

/// A value in a result that cannot be read at all, which no column can be blamed for, as poison.
pub(crate) fn unreadable(table: &'static str, row: &str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match error {
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::AnyDriverError(_) => {
            StoreError::poison(table, row, "a value cannot be read")
        }
        other => other.into(),
    }
}

/// Whether the database refused for what a row holds (SQLSTATE classes 22 and 23; SQLite's `CONSTRAINT`, `TOOBIG` and
/// `MISMATCH`): the same row will be refused again.
pub(crate) fn is_about_content(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        return false;
    };
    match sqlite_code(&code) {
        Some(primary) => [18, 19, 20].contains(&primary),
        None => code.starts_with("22") || code.starts_with("23"),
    }
}

/// Whether the database gave up a transaction for the sake of others (deadlock, serialisation): the same will do.
pub(crate) fn is_about_others(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code == "40P01" || code == "40001")
}

/// Whether a table is not there (SQLSTATE 42P01; SQLite has no code of its own for it).
pub(crate) fn is_missing_table(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| match error.code() {
        Some(code) if sqlite_code(&code) == Some(1) => error.message().starts_with("no such table"),
        Some(code) => code == "42P01",
        None => false,
    })
}

/// Whether the database may answer the same request later. Postgres: connection, resources, serialisation, a lock or a
/// statement that took too long, shutting down, read-only after a fail-over. SQLite: busy, locked, read-only, I/O,
/// full, cannot open.
fn is_passing(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else {
        return false;
    };
    match sqlite_code(&code) {
        Some(primary) => [5, 6, 8, 10, 13, 14].contains(&primary),
        // With the wrong password, without the database or without a right to it nothing is told about any row.
        None => ["08", "28", "3D", "40", "42501", "53", "55", "57", "58", "25006"]
            .iter()
            .any(|class| code.starts_with(class)),
    }
}

/// SQLite's primary result code; `None` for an SQLSTATE, which always has five letters. (SQLite's extended codes have
/// four digits at most.)
fn sqlite_code(code: &str) -> Option<u32> {
    (code.len() < 5)
        .then_some(code)
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff)
}
