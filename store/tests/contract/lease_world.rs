//! A tenant with limits, and replicas that ask for units of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use policy::lease::{
    GrantWish, Incarnation, LeaseId, RefillAnswer, RefillRequest, Return, Settled, Standing,
};
use policy::limit::{Calendar, Cap, Firmness, Limit, Period, Subject, Unit, Window};
use store::{NewLimit, Store, WindowReport};

use crate::world::{CHANGE, World};

/// One run of one replica.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) store: Store,
    pub(crate) from: Incarnation,
    pub(crate) epoch: i64,
}

static LEASES: AtomicU64 = AtomicU64::new(1);

impl Replica {
    pub(crate) async fn begin(store: &Store, name: &str) -> Self {
        let begun = store.begin_incarnation(name).await.unwrap();
        Self {
            store: store.clone(),
            from: begun.incarnation,
            epoch: begun.store_epoch,
        }
    }

    pub(crate) fn question(&self) -> RefillRequest {
        RefillRequest {
            from: self.from.clone(),
            store_epoch: self.epoch,
            turn: 0,
            wishes: Vec::new(),
            returns: Vec::new(),
            settled: Vec::new(),
            reports: None,
        }
    }

    pub(crate) async fn ask(&self, request: &RefillRequest) -> RefillAnswer {
        self.store.refill(request).await.unwrap()
    }

    /// Asks for units of one window, and says what came.
    pub(crate) async fn take(&self, limit: &Limit, window: Window, units: u64) -> (LeaseId, u64) {
        let wish = wish(limit, window, units);
        let request = RefillRequest {
            wishes: vec![wish.clone()],
            ..self.question()
        };
        let answer = self.ask(&request).await;
        assert_eq!(answer.standing, Standing::Current);
        assert_eq!(answer.grants.len(), 1);
        assert_eq!(answer.grants[0].lease, wish.lease);
        (wish.lease, answer.grants[0].units)
    }

    pub(crate) async fn give_back(&self, lease: LeaseId, returned_in_all: u64, closed: bool) -> RefillAnswer {
        let request = RefillRequest {
            returns: vec![Return {
                lease,
                returned_in_all,
                closed,
            }],
            ..self.question()
        };
        self.ask(&request).await
    }

    pub(crate) async fn settle(&self, lease: LeaseId, settled_in_all: u64) {
        let request = RefillRequest {
            settled: vec![Settled {
                lease,
                settled_in_all,
                overdraft_in_all: 0,
            }],
            ..self.question()
        };
        self.ask(&request).await;
    }

    /// The window that is under way, by the database's clock; one that ends soon is not taken.
    pub(crate) async fn window(&self, limit: &Limit) -> Window {
        let calendar = Calendar::of(&limit.zone).unwrap();
        let answer = self.ask(&self.question()).await;
        calendar.window(limit.period, answer.database_ms)
    }
}

pub(crate) fn new_lease() -> LeaseId {
    LeaseId(u128::from(LEASES.fetch_add(1, Ordering::Relaxed)) << 64)
}

pub(crate) fn wish(limit: &Limit, window: Window, units: u64) -> GrantWish {
    GrantWish {
        lease: new_lease(),
        tenant_id: Arc::from("ten-acme"),
        limit_id: limit.id.clone(),
        window,
        cap: limit.cap,
        units,
        contended: false,
    }
}

pub(crate) async fn limit(world: &World, id: &str, period: Period, cap: Cap) -> Limit {
    let unit = match period {
        Period::Always => Unit::Concurrent,
        _ => Unit::Requests,
    };
    limit_on(world, id, &Subject::Model(id.into()), unit, period, cap).await
}

pub(crate) async fn limit_on(
    world: &World,
    id: &str,
    subject: &Subject,
    unit: Unit,
    period: Period,
    cap: Cap,
) -> Limit {
    let new = NewLimit {
        id,
        tenant_id: "ten-acme",
        subject,
        unit,
        period,
        zone: "UTC",
        cap,
        mode: None,
        firmness: Firmness::Hard,
        unpriced: None,
    };
    world.store.set_limit(&CHANGE, &new).await.unwrap().limit
}

/// The one window of a limit that was ever asked for.
pub(crate) async fn report(world: &World, limit: &Limit) -> WindowReport {
    let all = world.store.lease_report(None, 0, 10_000).await.unwrap();
    let mut of_this: Vec<WindowReport> = all
        .into_iter()
        .filter(|report| report.limit_id == *limit.id)
        .collect();
    assert_eq!(of_this.len(), 1, "{of_this:?}");
    of_this.remove(0)
}

/// I1 and C3, of everything.
pub(crate) async fn assert_sound(store: &Store) {
    for report in store.lease_report(None, 0, 10_000).await.unwrap() {
        assert_eq!(report.counted_wrongly(), 0, "{report:?}");
        assert_eq!(report.unexplained(), 0, "{report:?}");
        assert_eq!(report.burnt, report.sums.burnt, "{report:?}");
    }
}
