#![no_main]
//! The parser of gateway keys.

#[path = "../checks/key.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
