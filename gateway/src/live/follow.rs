//! Following the database: changes made by any replica, or by the command line, reach the directory.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::time::{Instant, sleep_until};

use super::directory::Directory;
use crate::failpoint::failpoint;

/// Takes in changes whenever the database announces one, and at the latest every `poll`, until dropped.
///
/// The announcement (LISTEN/NOTIFY on Postgres) only makes it sooner. The poll alone is enough: it is what SQLite
/// and databases without NOTIFY live on, and it repairs a lost announcement.
pub async fn follow(directory: Arc<Directory>, store: Store, poll: Duration) {
    let mut wakeups = store.wakeups();
    loop {
        let next_poll = Instant::now() + poll;
        failpoint("follow");
        if directory.take_in_changes().await.is_err() {
            sleep_until(next_poll).await;
            continue;
        }
        tokio::select! {
            () = wakeups.next() => {}
            () = sleep_until(next_poll) => {}
        }
    }
}
