//! Whether the database is there: noticing that a connection hangs, and letting go of all that may hang with it.
//!
//! A server that went away without a word (a cut cable, a firewall that forgot its connections) leaves sockets on which
//! nothing ever comes. The pool would wait on them for as long as TCP does, a quarter of an hour: to test one before it
//! is handed out, to test one that is given back. So each test has a limit here, and the first connection that is found
//! to hang takes with it all that are as old as it: the next statement opens a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::pool::PoolConnectionMetadata;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::StoreError;
use crate::open::Store;

/// When connections were last found to hang.
#[derive(Clone)]
pub(crate) struct Presence {
    lost: Arc<watch::Sender<Option<Instant>>>,
}

/// For a connection to answer that it is there.
const TEST_TIMEOUT: Duration = Duration::from_secs(1);

impl Store {
    /// Does something that is short, and waits for it no longer than [`crate::StoreOptions::answer_timeout`].
    ///
    /// # Errors
    /// When there is no answer in time, besides what `work` itself may say.
    pub async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if let Ok(done) = timeout(self.answer_timeout, self.while_there(work)).await {
            return done;
        }
        self.presence.lose();
        Err(StoreError::Unavailable("no answer in time".to_owned()))
    }

    /// The same with work that may be much: that it takes longer than it may is no reason to give connections up on which the
    /// database answers.
    ///
    /// # Errors
    /// When there is no answer in time, besides what `work` itself may say.
    pub(crate) async fn in_time_if_there<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if let Ok(done) = timeout(self.answer_timeout, self.while_there(work)).await {
            return done;
        }
        let answers = async { sqlx::query("SELECT 1").execute(&self.pool).await.is_ok() };
        if !timeout(TEST_TIMEOUT, answers).await.unwrap_or(false) {
            self.presence.lose();
        }
        Err(StoreError::Unavailable("no answer in time".to_owned()))
    }

    /// Does something that may take long, but not on connections of which it has become known that they hang.
    ///
    /// # Errors
    /// When that becomes known, besides what `work` itself may say.
    pub async fn while_there<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lost = self.presence.clone();
        tokio::select! {
            biased;
            done = work => done,
            () = lost.lost() => Err(StoreError::Unavailable("its connections hang".to_owned())),
        }
    }
}

impl Presence {
    pub(crate) fn new() -> Self {
        Self {
            lost: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Gives up all connections that there are.
    pub(crate) fn lose(&self) {
        self.lost.send_replace(Some(Instant::now()));
    }

    /// Waits until that happens the next time.
    pub(crate) async fn lost(&self) {
        // The sender lives as long as this, so it cannot end otherwise.
        let _lost = self.lost.subscribe().changed().await;
    }

    /// Whether a connection may be used.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn test(
        &self,
        connection: &mut impl Connection,
        metadata: PoolConnectionMetadata,
    ) -> Result<bool, sqlx::Error> {
        let made = Instant::now().checked_sub(metadata.age);
        if self.lost.borrow().is_some_and(|lost| made < Some(lost)) {
            return Ok(false);
        }
        match timeout(TEST_TIMEOUT, connection.ping()).await {
            Ok(answered) => answered.map(|()| true),
            Err(_) => {
                self.lose();
                Err(sqlx::Error::PoolTimedOut)
            }
        }
    }
}
