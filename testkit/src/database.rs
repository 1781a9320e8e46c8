//! Databases that belong to one test and go with it.
//!
//! SQLite in a folder of its own, and a fresh database on the Postgres server that `TOLLGATE_TEST_POSTGRES_URL` names
//! (as an administrator: `postgres://postgres@127.0.0.1:5432/postgres`). Without that variable, what needs Postgres is
//! skipped and says so.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// A database without a schema. It is removed when this is dropped.
pub struct TestDatabase {
    url: String,
    /// What stands behind the URL and goes with it.
    _behind: Behind,
}

enum Behind {
    Folder(#[expect(dead_code, reason = "it is held for its drop")] TempDir),
    Server {
        admin_url: String,
        name: String,
    },
    /// Somebody else's business.
    Elsewhere,
}

const POSTGRES_URL: &str = "TOLLGATE_TEST_POSTGRES_URL";

impl TestDatabase {
    /// A path in a folder of its own; the file is made by whoever opens it.
    #[expect(clippy::expect_used, reason = "a test without its database has failed")]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let path = folder.path().join("tollgate.db");
        Self {
            url: format!("sqlite:{}", path.display()),
            _behind: Behind::Folder(folder),
        }
    }

    /// One that a test has made by itself, and sees to by itself.
    pub fn elsewhere(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            _behind: Behind::Elsewhere,
        }
    }

    /// A new database on the server of the tests; `None`, with a printed line, when there is no such server.
    #[expect(clippy::expect_used, reason = "a test without its database has failed")]
    pub async fn postgres() -> Option<Self> {
        let Ok(admin_url) = std::env::var(POSTGRES_URL) else {
            crate::skip(&format!("on Postgres: {POSTGRES_URL} is not set"));
            return None;
        };
        let name = unused_name();
        run(&admin_url, format!("CREATE DATABASE {name}"))
            .await
            .expect("a database on the server of the tests");
        let (server, _) = admin_url
            .rsplit_once('/')
            .expect("a URL with the name of a database");
        Some(Self {
            url: format!("{server}/{name}"),
            _behind: Behind::Server { admin_url, name },
        })
    }

    /// One of each kind that there is.
    #[expect(clippy::expect_used, reason = "a test without its database has failed")]
    pub fn each() -> Vec<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let postgres = runtime.expect("a runtime").block_on(Self::postgres());
        std::iter::once(Self::sqlite()).chain(postgres).collect()
    }

    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Runs a statement in a database of either kind, behind the back of whoever has it open.
#[expect(clippy::expect_used, reason = "a test without its database has failed")]
pub fn execute(url: &str, statement: &str) {
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.expect("a runtime").block_on(async {
        let mut connection = sqlx::AnyConnection::connect(url).await?;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await?;
        connection.close().await
    });
    done.expect("the statement runs");
}

/// What a statement answers: the first column of its first row, as a text.
#[expect(clippy::expect_used, reason = "a test without its database has failed")]
pub fn ask(url: &str, statement: &str) -> String {
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.expect("a runtime").block_on(async {
        let mut connection = sqlx::AnyConnection::connect(url).await?;
        let answer = sqlx::query_scalar(AssertSqlSafe(statement.to_owned()))
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<String, sqlx::Error>(answer)
    });
    answer.expect("the statement answers")
}

impl Drop for Behind {
    /// Dropping cannot wait, and may happen inside a runtime; hence a thread with its own.
    fn drop(&mut self) {
        let Self::Server { admin_url, name } = self else {
            return;
        };
        let (admin_url, statement) = (admin_url.clone(), format!("DROP DATABASE {name} WITH (FORCE)"));
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                // A database that stays behind disturbs no other test.
                let _dropped = runtime.block_on(run(&admin_url, statement));
            }
        });
        let _joined = dropping.join();
    }
}

async fn run(url: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    // A name that was made here, and no statement takes a name as a bound value.
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

/// A name that no other test uses, in this process or another, now or earlier.
fn unused_name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("tollgate_test_{}_{nanos}_{number}", process::id())
}
