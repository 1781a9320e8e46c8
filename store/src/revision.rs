//! How a replica learns of changes that others made: by asking what changed since a revision, and by being woken.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::EVERY_TENANT;
use crate::change::CHANNEL;
use crate::error::{StoreError, unreadable};
use crate::open::{Database, Store};
use crate::presence::Presence;

/// What changed since a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The revision to ask from the next time.
    pub revision: i64,
    /// Ids of tenants that changed, or were removed.
    pub tenants: Vec<String>,
    /// Whether something changed that belongs to every tenant.
    pub global: bool,
}

/// Tells when it is worth asking for changes. Only makes it sooner: whoever waits must also ask from time to time.
pub struct Wakeups {
    store: Store,
    woken: Arc<Notify>,
    listening: Option<AbortHandle>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so long without an announcement the connection is tested: it may hang, and nothing would ever be sent on it.
const QUIET_MAX: Duration = Duration::from_secs(30);

impl Store {
    /// What changed after this revision. When the database is behind it, because an older state was restored,
    /// everything counts as changed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn changes_since(&self, revision: i64) -> Result<Changes, StoreError> {
        let mut changes = Changes {
            revision: self.revision().await?,
            tenants: Vec::new(),
            global: false,
        };
        if changes.revision == revision {
            return Ok(changes);
        }
        let restored = changes.revision < revision;
        // Asked after the counter: a change in between is told now and once more, never left out.
        let rows = sqlx::query("SELECT scope FROM revisions WHERE revision > $1 ORDER BY scope")
            .bind(if restored { -1 } else { revision })
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable("revisions", "?"))?;
        for row in rows {
            let scope: String = row.try_get("scope").map_err(unreadable("revisions", "?"))?;
            if scope != EVERY_TENANT {
                changes.tenants.push(scope);
            } else {
                changes.global = true;
            }
        }
        changes.global |= restored;
        Ok(changes)
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let revision = sqlx::query_scalar("SELECT revision FROM revision_counter WHERE id = 1")
            .fetch_one(&self.pool)
            .await?;
        Ok(revision)
    }

    /// Begins to listen for announcements of changes. Call it inside a tokio runtime. On SQLite nothing is announced.
    pub fn wakeups(&self) -> Wakeups {
        let woken = Arc::default();
        Wakeups {
            listening: self.listen(&woken),
            woken,
            store: self.clone(),
        }
    }

    fn listen(&self, woken: &Arc<Notify>) -> Option<AbortHandle> {
        let Database::Postgres(url) = &self.database else {
            return None;
        };
        let listening = listen(Arc::clone(url), self.presence.clone(), Arc::clone(woken));
        Some(tokio::spawn(listening).abort_handle())
    }
}

impl Wakeups {
    /// Waits for the next announcement. One that comes while nobody waits is not lost; several become one.
    pub async fn next(&mut self) {
        if self.listening.as_ref().is_some_and(AbortHandle::is_finished) {
            // Only a panic ends it.
            self.listening = self.store.listen(&self.woken);
        }
        self.woken.notified().await;
    }
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

/// Wakes at every announcement, and after each connect, since announcements may have been missed before it.
async fn listen(url: Arc<str>, presence: Presence, woken: Arc<Notify>) {
    let mut pause = PAUSE_MIN;
    loop {
        let connected = timeout(CONNECT_TIMEOUT, connect(&url)).await;
        if let Ok(Ok(mut listener)) = connected {
            pause = PAUSE_MIN;
            woken.notify_one();
            tokio::select! {
                () = pass_on(&mut listener, &woken) => {}
                () = presence.lost() => {}
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Until the connection breaks, or hangs.
async fn pass_on(listener: &mut PgListener, woken: &Notify) {
    loop {
        match timeout(QUIET_MAX, listener.try_recv()).await {
            Ok(Ok(_)) => woken.notify_one(),
            Ok(Err(_)) => return,
            Err(_quiet) => {
                let asked = sqlx::query("SELECT 1").execute(&mut *listener);
                if !matches!(timeout(CONNECT_TIMEOUT, asked).await, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}

async fn connect(url: &str) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect(url)
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
