pub(crate) mod checker;
mod crossed;
mod errors;
mod identity;
mod look;
mod recorded;
mod reply;
mod request;
mod stream;
