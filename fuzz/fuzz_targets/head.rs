#![no_main]
//! The heads of requests, through the HTTP library and the checks of the front.

#[path = "../checks/head.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
