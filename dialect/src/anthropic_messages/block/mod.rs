//! Content blocks, of which Anthropic's turns and answers are made.

mod read;
mod write;

pub(super) use read::{Reading, cache_mark, read_citation, read_parts};
pub(super) use write::{
    input, joined, write_answer_text, write_cache, write_call, write_citation, write_raws, write_redacted,
    write_text, write_thinking,
};
