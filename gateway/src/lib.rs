//! The one way of a call, and the live state behind it.
//!
//! A call runs through [`Worker::call`], which reads as the list of its steps: identify, look, route,
//! admit, attempt, relay; settling happens when the answer's body ends or is dropped. Each step returns its own
//! type, and the next one asks for it, so that nothing can be sent without a permit, nor relayed without an answer.
//!
//! What a call needs to know about its tenant is in memory ([`live`]): the first call of a tenant loads it, changes
//! in the database replace it, and no call after that waits for the database. What a call leaves behind is in the
//! [`ledger`]: on the disk before anything is sent, and in the database soon after it has ended.

mod call;
pub mod google;
pub mod ledger;
pub mod limits;
pub mod live;
pub mod seeing;

mod admission;
mod call_id;
mod clock;
mod failpoint;
mod gateway;
mod models;
mod room;
mod sessions;
mod vitals;
mod worker;

pub use admission::Admission;
pub use call::{Beat, ClientStream, KeepAlive, Reply, ReplyBody, ReplyHead, RequestBody};
pub use call_id::CallId;
pub use clock::now_ms;
pub use failpoint::failpoint;
pub use gateway::{AttemptSettings, Gateway, GatewaySettings, OpenError};
pub use room::{BodyRoom, RoomSettings};
pub use sessions::{SessionError, Sessions, SignedIn};
pub use vitals::Vitals;
pub use worker::{Asked, Operation, Request, Worker};
