pub(crate) mod checker;
mod errors;
mod identity;
mod look;
mod recorded;
mod reply;
mod request;
mod stream;
