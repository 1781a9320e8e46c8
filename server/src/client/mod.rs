//! The client API: what applications call with a gateway key, and what operators ask of the process.

mod body;
pub(crate) mod call;
pub(crate) mod early;
pub(crate) mod health;
mod key;
pub(crate) mod models;

pub(crate) use early::Early;
pub(crate) use key::presented_key;
