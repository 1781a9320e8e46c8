//! What a replica and the database say to each other about leases: one question and one answer a tick, for all limits
//! together.
//!
//! All amounts are whole units of the limit. The database's part is one transaction (`store`), the replica's part a state
//! machine ([`super`]); both are bound by the same invariants: what was granted of a window never exceeds its cap, and
//! nothing comes back by the passing of time.

use std::sync::Arc;

use crate::limit::{Cap, Window};

/// The name of a lease, made by the replica that wishes for it. To ask again with the same one never grants twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u128);

/// One run of one replica: its number grows by one with each start. What an earlier run says changes nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    pub replica: Arc<str>,
    pub number: i64,
}

/// What a replica wants, and what it tells.
#[derive(Debug, Clone)]
pub struct RefillRequest {
    pub from: Incarnation,
    /// The epoch of the database as the replica knows it; after a restore it is another one.
    pub store_epoch: i64,
    /// Questions of this run that it knows to be answered. A database that knows of fewer is an older copy of itself.
    pub turn: u64,
    pub wishes: Vec<GrantWish>,
    pub returns: Vec<Return>,
    pub settled: Vec<Settled>,
    /// To a database that is not the one that it was: what may be missing there. It stands for everything else.
    pub reports: Option<Vec<Report>>,
}

/// A wish for units of one window of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantWish {
    pub lease: LeaseId,
    pub tenant_id: Arc<str>,
    pub limit_id: Arc<str>,
    pub window: Window,
    /// The cap as the replica knows it; the row's own holds once there is one, and is changed by whoever changes the limit.
    pub cap: Cap,
    pub units: u64,
    /// Callers are waiting and there is nothing to give them: others should return what they do not need.
    pub contended: bool,
}

/// Units that a lease gives back. They left its holder's hands before this is sent, and never come back there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    pub lease: LeaseId,
    /// Everything that the lease has returned so far, this included: to say it twice changes nothing.
    pub returned_in_all: u64,
    /// The holder has nothing left of it and will ask nothing more of it.
    pub closed: bool,
}

/// A lease as its holder knows it, told to a database that may have forgotten it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub lease: LeaseId,
    pub tenant_id: Arc<str>,
    pub limit_id: Arc<str>,
    pub window: Window,
    pub amount: u64,
    pub returned_in_all: u64,
    pub settled_in_all: u64,
    pub overdraft_in_all: u64,
    pub closed: bool,
}

/// What of a lease was used, as the providers told it: for the books, nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub lease: LeaseId,
    pub settled_in_all: u64,
    /// Used beyond what was reserved.
    pub overdraft_in_all: u64,
}

/// The database's answer.
#[derive(Debug, Clone)]
pub struct RefillAnswer {
    /// Some other run of this replica has begun, or the database is not the one that the replica knows: nothing was done.
    pub standing: Standing,
    pub store_epoch: i64,
    /// Questions of this run that the database has answered, as far as it knows.
    pub turn: u64,
    /// The database's time, between question and answer, in milliseconds since the Unix epoch.
    pub database_ms: i64,
    pub grants: Vec<Grant>,
    /// Returns that are counted, so that they need not be told again.
    pub returns: Vec<LeaseId>,
    /// Windows that the replica has to do with, as they stand.
    pub counters: Vec<LeaseStanding>,
    /// Live replicas, this one included.
    pub replicas: u32,
}

/// How the one who asked stands with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Current,
    /// So much as was told is counted, and nothing granted: the database may have forgotten what others hold, and waits for
    /// them to say so.
    Learning,
    /// A later run of the same replica has begun.
    Superseded,
    /// The database was restored, or is another one.
    OtherStore,
}

/// What a wish came to. The same lease asked for again has the same answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub lease: LeaseId,
    pub window: Window,
    /// Zero when nothing was left, or the window is over.
    pub units: u64,
}

/// A window of a limit, over all replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStanding {
    pub limit_id: Arc<str>,
    pub window: Window,
    pub cap: Cap,
    pub granted: u64,
    /// Somebody waits for units of it.
    pub contended: bool,
}

impl LeaseStanding {
    /// Units that are not granted to anybody.
    pub(super) fn left(&self) -> u64 {
        match self.cap {
            Cap::Units(cap) => cap.saturating_sub(self.granted),
            Cap::Unlimited => u64::MAX,
        }
    }
}
