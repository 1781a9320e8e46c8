//! Asks the database for leases, and gives back what is not needed. Runs on the control runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use policy::lease::{Holder, HolderSettings, Incarnation};
use store::Store;
use tokio::time::{sleep, timeout};
use ulid::Ulid;

use super::Limits;
use crate::failpoint::failpoint;

/// Between two questions.
const TICK: Duration = Duration::from_millis(100);
/// Between two times that old leases are looked for, and that all that is held is written down anew.
const TIDY: Duration = Duration::from_secs(60);
/// The same, where there were more of them than can be dealt with at once.
const TIDY_ON: Duration = Duration::from_secs(1);
/// Questions by which everything is given back at the end, each of which says only so much.
const GIVEN_BACK_BY: usize = 100;
/// After a question without an answer.
const RETRY: Duration = Duration::from_millis(200);

/// A holder that has not been told its number: it knows no time, so it grants nothing, and asks for nothing.
pub(super) fn nobody() -> Holder {
    let from = Incarnation {
        replica: Arc::from(""),
        number: 0,
    };
    Holder::new(from, 0, 0, HolderSettings::default())
}

/// Keeps what calls need at hand, until dropped. Nothing is asked before something is limited, or was left to be given back.
pub async fn keep(limits: Arc<Limits>, store: Store) {
    tokio::join!(ask_on(&limits, &store), tidy_on(&limits, &store));
}

async fn ask_on(limits: &Arc<Limits>, store: &Store) {
    loop {
        // A run that has begun goes on, though whoever kept it has fallen: calls under way hold some of it.
        if !has_begun(limits) {
            if !limits.journal.has_left() {
                limits.needed.notified().await;
            }
            begin(limits, store).await;
        }
        let mut noted = Instant::now();
        while !is_superseded(limits) {
            failpoint("limits");
            if noted.elapsed() > TIDY {
                noted = Instant::now();
                if let Some(holder) = limits.held().as_mut() {
                    limits.journal.note_all(holder);
                }
            }
            let is_idle = limits.held().as_ref().is_none_or(Holder::holds_nothing);
            // Also while nothing is held that is written down anew from time to time: spools are kept from there on.
            let pause = if is_idle { TIDY } else { TICK };
            let _needed_or_not = timeout(pause, limits.needed.notified()).await;
            ask(limits, store).await;
        }
        // Another process says that it is this one. Its calls and these are told apart by a new number.
        limits.needed.notify_one();
    }
}

/// Gives everything back, at the end.
pub async fn give_back(limits: &Limits, store: &Store) {
    let stop = || {
        let mut held = limits.held();
        let holder = held.as_mut()?;
        let request = holder.stop();
        limits.journal.note(holder);
        request
    };
    // What had been wished for and not answered is known by the first answer, and given back with the second question.
    for _ in 0..GIVEN_BACK_BY {
        let Some(request) = stop() else { break };
        let asked = limits.now();
        let Ok(answer) = store.refill(&request).await else {
            break;
        };
        let answered = limits.now();
        if let Some(holder) = limits.held().as_mut() {
            holder.answered(&request, &answer, asked, answered);
            limits.journal.note(holder);
        }
    }
    let from = limits.held().as_ref().map(|holder| holder.incarnation().clone());
    if let Some(from) = from.filter(|from| from.number > 0) {
        let _ended_or_not = store.end_incarnation(&from).await;
    }
}

/// Tidies the database from time to time, once something is limited. Nobody waits for leases meanwhile, however slow that is.
async fn tidy_on(limits: &Limits, store: &Store) {
    let mut pause = TIDY;
    loop {
        sleep(pause).await;
        if has_begun(limits) {
            pause = tidy(store).await;
        }
    }
}

/// Leaves behind what long closed windows have left in the database. Says how long after it has to be done again.
async fn tidy(store: &Store) -> Duration {
    match store.tidy_leases().await {
        Ok(tidied) if tidied.may_go_on() => TIDY_ON,
        Ok(_) => TIDY,
        Err(error) => {
            tracing::debug!(%error, "old leases stay for another minute");
            TIDY
        }
    }
}

fn has_begun(limits: &Limits) -> bool {
    let has_begun = |holder: &Holder| holder.incarnation().number > 0 && !holder.is_superseded();
    limits.held().as_ref().is_some_and(has_begun)
}

fn is_superseded(limits: &Limits) -> bool {
    limits.held().as_ref().is_some_and(Holder::is_superseded)
}

/// Has the database tell this replica its number.
async fn begin(limits: &Limits, store: &Store) {
    loop {
        let asked = limits.now();
        match store.begin_incarnation(&limits.replica).await {
            Ok(begun) => {
                let first_lease = Ulid::generate().0;
                let (from, store_epoch) = (begun.incarnation, begun.store_epoch);
                let mut holder = Holder::new(from, store_epoch, first_lease, limits.settings);
                holder.begin_clock(asked, limits.now(), begun.database_ms);
                limits.journal.begin(&mut holder);
                *limits.held() = Some(holder);
                // Now they can say what they need.
                limits.answered.notify_waiters();
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "no leases: the database does not tell this replica its number");
                limits.answered.notify_waiters();
                sleep(RETRY).await;
            }
        }
    }
}

async fn ask(limits: &Limits, store: &Store) {
    let asked = limits.now();
    let due = || {
        let mut held = limits.held();
        let holder = held.as_mut()?;
        let request = holder.due(asked);
        limits.journal.note(holder);
        request
    };
    let Some(request) = due() else {
        return;
    };
    failpoint("asked");
    let answer = store.refill(&request).await;
    failpoint("granted");
    limits.figures.asked.fetch_add(1, Ordering::Relaxed);
    let answered = limits.now();
    if let Some(holder) = limits.held().as_mut() {
        let (anomalies, store_epoch) = (holder.anomalies(), holder.store_epoch());
        match &answer {
            Ok(answer) => holder.answered(&request, answer, asked, answered),
            Err(_) => holder.unanswered(answered),
        }
        if holder.anomalies() > anomalies {
            tracing::error!("the database's clock has jumped: what was held of limits is given up");
        }
        limits.figures.flown(holder);
        if holder.store_epoch() == store_epoch {
            limits.journal.note(holder);
        } else {
            tracing::warn!("the database is not the one that it was; it is told what is held of limits");
            limits.journal.note_all(holder);
        }
    }
    if let Err(error) = answer {
        limits.figures.unanswered.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, wishes = request.wishes.len(), "the database did not answer; asking again");
        sleep(RETRY).await;
    }
    limits.answered.notify_waiters();
}
