use super::*;

mod checker;
mod collect;
mod recorded;
mod request;
