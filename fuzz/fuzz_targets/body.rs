#![no_main]
//! The body scan and the splice, against serde_json.

#[path = "../checks/body.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
