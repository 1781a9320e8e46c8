//! Limits: what a tenant, one of its keys, one of its credentials or one model may use in a period.
//!
//! A [`Limit`] is a rule; a [`Window`] is one of its periods on the calendar; what may still be used in a window is held in
//! leases ([`crate::lease`]). Money is counted in nano-dollars.

mod calendar;

use std::sync::Arc;

pub use calendar::{Calendar, ROLLING_SLOT_MS, ROLLING_SLOTS, UnknownZone};

/// One rule of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub id: Arc<str>,
    pub subject: Subject,
    pub unit: Unit,
    pub period: Period,
    /// The zone on whose calendar days and months begin, by its IANA name.
    pub zone: Arc<str>,
    pub cap: Cap,
    pub mode: Mode,
    pub firmness: Firmness,
    pub unpriced: Unpriced,
}

/// Whose use is counted. All of them belong to the tenant that has the limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    Tenant,
    /// A gateway key, by its id.
    Key(Arc<str>),
    /// A credential, by its id.
    Credential(Arc<str>),
    /// A model, by what the provider calls it.
    Model(Arc<str>),
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    Requests,
    InputTokens,
    OutputTokens,
    /// Input and output together.
    Tokens,
    NanoDollars,
    /// Calls under way at the same time.
    Concurrent,
}

/// Over what it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// From one full minute to the next, as providers count.
    Minute,
    /// Any sixty seconds.
    RollingMinute,
    Day,
    Month,
    /// As long as it takes: for what is given back when a call is over.
    Always,
}

/// How much. To have no limit, to have none left, and to have one of 0 are three things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cap {
    /// At most so many units; 0 refuses all.
    Units(u64),
    /// Counted and shown, and never a reason to refuse.
    Unlimited,
}

/// What is done when it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Enforce,
    /// Counts and reports what would have been refused, and refuses nothing.
    Observe,
}

/// Whether use may pass it at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Firmness {
    /// Never: an upper bound of what a call may use is reserved.
    Hard,
    /// By what the calls under way use more than was expected of them; it is carried as debt.
    Soft,
}

/// What a limit on money does with a call to a model of which nobody knows the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unpriced {
    Refuse,
    /// It passes, and nothing of the limit is reserved for it.
    Allow,
}

/// A period of a limit: from its start to before its end, in milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    pub start_ms: i64,
    pub end_ms: i64,
}

impl Window {
    pub fn contains(self, at_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&at_ms)
    }
}

impl Unit {
    /// The word in the database, on the command line and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Tokens => "tokens",
            Self::NanoDollars => "nano_dollars",
            Self::Concurrent => "concurrent",
        }
    }
}

impl Period {
    /// The word in the database, on the command line and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::RollingMinute => "rolling_minute",
            Self::Day => "day",
            Self::Month => "month",
            Self::Always => "always",
        }
    }
}

impl Mode {
    /// The word in the database, on the command line and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

impl Firmness {
    /// The word in the database, on the command line and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

impl Unpriced {
    /// The word in the database, on the command line and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Allow => "allow",
        }
    }
}
