//! Leases: the parts of a window's budget that replicas hold.

mod exchange;

pub use exchange::{
    Grant, GrantWish, Incarnation, LeaseId, LeaseStanding, RefillAnswer, RefillRequest, Return, Settled,
    Standing,
};
