#![no_main]
//! Reading what speaks anthropic_messages, and writing what was read in every dialect.

#[path = "../checks/codec.rs"]
#[allow(dead_code)]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::anthropic_messages(bytes));
