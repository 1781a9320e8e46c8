#![no_main]
//! Reading what speaks openai_chat, and writing what was read in every dialect.

#[path = "../checks/codec.rs"]
#[allow(dead_code)]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::openai_chat(bytes));
