use super::*;

mod checker;
mod collect;
mod property;
mod recorded;
mod request;
mod stream;
