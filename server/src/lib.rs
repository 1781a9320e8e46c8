//! HTTP: what clients see of the gateway.
//!
//! Each worker thread has a runtime, a listener on the shared port and upstream connections of its own
//! ([`serve`]); a request never crosses from one to another, and a connection only before anything was read from it. [`endpoint`] is the list of what can be asked for.

mod accept;
mod answer;
mod balance;
mod client;
mod connection;
mod connections;
mod door;
mod drain;
mod endpoint;
mod few;
mod front;
mod limits;
mod listen;
mod loopback;
mod observe;
mod panic;
mod patience;
mod rates;
mod streams;
mod ui;

pub use accept::{Phase, serve};
pub use balance::{Balance, Seat};
pub use connections::Connections;
pub use door::{Door, FailureLimit, TrustedProxies};
pub use limits::FrontLimits;
pub use listen::{ListenError, Listeners};
pub use loopback::serve_loopback;
pub use observe::{Observed, observe};
pub use ui::{Origin, OriginError, Ui, UiParts, serve_ui};
