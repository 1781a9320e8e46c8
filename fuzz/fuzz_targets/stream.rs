#![no_main]
//! The relay of a stream, however it is cut.

#[path = "../checks/stream.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
