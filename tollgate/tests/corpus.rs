//! What fuzzing begins with, and what it has found, replayed as an ordinary test: `fuzz/corpus/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test stops at the first thing that is wrong; the checks are shared with the fuzz targets"
)]

use std::path::Path;

#[path = "../../fuzz/checks/body.rs"]
mod body;
#[path = "../../fuzz/checks/codec.rs"]
mod codec;
#[path = "../../fuzz/checks/head.rs"]
mod head;
#[path = "../../fuzz/checks/key.rs"]
mod key;
#[path = "../../fuzz/checks/stream.rs"]
mod stream;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "there is no corpus of {target}");
}

#[test]
fn heads() {
    replay("head", head::check);
}

#[test]
fn bodies() {
    replay("body", body::check);
}

#[test]
fn streams() {
    replay("stream", stream::check);
}

#[test]
fn keys() {
    replay("key", key::check);
}

#[test]
fn codecs() {
    replay("openai_chat", codec::openai_chat);
    replay("openai_responses", codec::openai_responses);
    replay("anthropic_messages", codec::anthropic_messages);
    replay("gemini_generate", codec::gemini_generate);
}
