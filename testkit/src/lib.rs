//! For tests only: what several crates need to be tested.
//!
//! [`database`]: databases to run on. [`vendor`]: a provider that does what a test tells it, faults included.
//! [`vendors`]: providers that understand what they are asked.
//! [`process`]: the gateway as people run it, a process of its own. [`client`]: asking it over HTTP, byte by byte.
//! [`collector`]: what it sends as traces. [`code_assist`]: Google's side of the Gemini CLI.
//! [`load`]: asking it again and again. [`postgres`]: a server that may be stopped. [`chaos`]: a bad way to it. [`clock`]: a
//! clock that is wrong. [`skip`]: what is said where one of these cannot be had.

pub mod chaos;
pub mod client;
pub mod clock;
pub mod code_assist;
pub mod collector;
pub mod database;
pub mod load;
pub mod postgres;
pub mod process;
mod skip;
pub mod vendor;
pub mod vendors;

pub use skip::skip;
