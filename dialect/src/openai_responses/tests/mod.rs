use super::*;

pub(crate) mod checker;
mod collect;
mod crossed;
mod property;
mod recorded;
mod request;
mod stream;
