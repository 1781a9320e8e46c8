//! Limits, as calls meet them: what a call may use is taken from leases before it is sent, and settled when it is over.
//!
//! All of it is in memory ([`policy::lease::Holder`]), behind one lock that is never held while anything is waited for. The
//! [`keeper`] asks the database for more on the control runtime. A call waits for it only when what it needs is not there,
//! and no longer than [`PATIENCE`].

mod expected;
mod figures;
mod journal;
mod keeper;
mod needs;
mod rates;
mod refuse;
#[cfg(test)]
mod speed;
mod taken;

pub(crate) use expected::Like;
pub(crate) use figures::Figures;
pub(crate) use journal::{Journal, Left};
pub use keeper::{give_back, keep};
pub(crate) use needs::{Party, are_measured, has_soft, is_of_credential, needs};
pub(crate) use rates::rates;
pub(crate) use refuse::{refuse, unpriced};
pub(crate) use taken::Taken;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::lease::{Denied, DeniedWhy, Holder, HolderSettings, Moment, Want};
use policy::limit::Limit;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::failpoint::failpoint;
use expected::Expected;

/// What this process holds of all limits.
pub struct Limits {
    /// The name of this process among others, which it keeps over a restart.
    replica: Arc<str>,
    /// None until something is limited, and the database has told this replica its number.
    holder: Mutex<Option<Holder>>,
    /// Where what it holds is written down, before it is used.
    journal: Journal,
    settings: HolderSettings,
    began_us: u64,
    /// What calls are expected to use.
    pub(crate) expected: Expected,
    pub(crate) figures: Figures,
    /// Somebody needs what is not there.
    needed: Notify,
    /// The database has answered.
    answered: Notify,
}

/// One limit and how much of it a call needs.
pub(crate) struct Need {
    pub(crate) limit: Arc<Limit>,
    pub(crate) units: u64,
}

/// How long a call waits for units that are to be asked for.
const PATIENCE: Duration = Duration::from_millis(250);
/// And in all, however many candidates it waits for in vain: the first may have taken all that one is worth.
pub(crate) const PATIENCE_IN_ALL: Duration = Duration::from_millis(500);
/// How long the end of a window may be in doubt.
const BOUNDARY: Duration = Duration::from_millis(2);

impl Limits {
    pub(crate) fn new(replica: Arc<str>, journal: Journal, settings: HolderSettings) -> Self {
        Self {
            replica,
            journal,
            settings,
            holder: Mutex::new(None),
            began_us: running_us(),
            expected: Expected::default(),
            figures: Figures::default(),
            needed: Notify::new(),
            answered: Notify::new(),
        }
    }

    /// Takes what a call needs, waiting for it for a moment where the database may give it: no longer than the `patience` that
    /// is left, of which it takes what it waits.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) async fn take(
        self: &Arc<Self>,
        tenant_id: &Arc<str>,
        needs: &[Need],
        patience: &mut Duration,
    ) -> Result<Taken, Box<Denied>> {
        if needs.is_empty() {
            return Ok(Taken::nothing(self));
        }
        let taken = match self.try_take(tenant_id, needs) {
            Err(denied) if is_worth_waiting(denied.why) => {
                self.wait_and_take(tenant_id, needs, patience).await
            }
            taken => taken,
        };
        match &taken {
            Ok(_) => {
                self.figures.taken(needs);
                failpoint("taken");
            }
            Err(denied) => self.figures.refused(&denied.limit),
        }
        taken
    }

    async fn wait_and_take(
        self: &Arc<Self>,
        tenant_id: &Arc<str>,
        needs: &[Need],
        patience: &mut Duration,
    ) -> Result<Taken, Box<Denied>> {
        let began = tokio::time::Instant::now();
        let deadline = began + PATIENCE.min(*patience);
        let taken = self.take_until(deadline, tenant_id, needs).await;
        *patience = patience.saturating_sub(began.elapsed());
        taken
    }

    async fn take_until(
        self: &Arc<Self>,
        deadline: tokio::time::Instant,
        tenant_id: &Arc<str>,
        needs: &[Need],
    ) -> Result<Taken, Box<Denied>> {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            // Whoever is not in the line before asking could miss the answer.
            answered.as_mut().enable();
            let denied = match self.try_take(tenant_id, needs) {
                Err(denied) if is_worth_waiting(denied.why) => denied,
                taken => return taken,
            };
            if denied.why == DeniedWhy::Boundary {
                tokio::time::sleep(BOUNDARY).await;
            } else {
                self.needed.notify_one();
                let _answered_or_not = timeout_at(deadline, answered).await;
            }
            if tokio::time::Instant::now() >= deadline {
                return self.try_take(tenant_id, needs);
            }
        }
    }

    fn try_take(self: &Arc<Self>, tenant_id: &Arc<str>, needs: &[Need]) -> Result<Taken, Box<Denied>> {
        let wants: Vec<Want<'_>> = needs
            .iter()
            .map(|need| Want {
                tenant_id,
                limit: &need.limit,
                units: need.units,
            })
            .collect();
        let now = self.now();
        let mut held = self.held();
        let holder = held.get_or_insert_with(keeper::nobody);
        let reservation = holder.reserve(now, &wants)?;
        if !self.journal.note(holder)
            && let Some(first) = needs.first()
        {
            // What is taken and cannot be written down would be given back by the next run, although it was used.
            holder.unused(reservation, now);
            return Err(Box::new(Denied {
                limit: first.limit.clone(),
                window: None,
                wanted: first.units,
                why: DeniedWhy::StoreAway,
                now_ms: None,
            }));
        }
        drop(held);
        Ok(Taken::new(self, reservation))
    }

    fn held(&self) -> MutexGuard<'_, Option<Holder>> {
        // A panic elsewhere leaves what is held as it was before or after a step: each of them is whole.
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On the clock that the holder goes by.
    fn now(&self) -> Moment {
        running_us().saturating_sub(self.began_us)
    }
}

/// How long the machine has been running, in microseconds, what it has slept through included: the database's clock went on
/// meanwhile.
fn running_us() -> u64 {
    let running = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (running.tv_sec, running.tv_nsec);
    u64::try_from(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)).unwrap_or_default()
}

fn is_worth_waiting(why: DeniedWhy) -> bool {
    matches!(why, DeniedWhy::Waiting | DeniedWhy::Boundary)
}
