//! Refusals in OpenAI's error shape, which both of its dialects share; in a stream, as this one's `error` event.

use crate::json::ObjectWriter;
use crate::refusal::Refusal;
use crate::sse;

pub use crate::openai_chat::write_refusal;

/// A refusal as the last event of a stream that has begun, with its number in that stream.
pub fn write_refusal_event(refusal: &Refusal, number: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    sse::begin_event(Some("error"), &mut out);
    let body = write_refusal(refusal);
    let mut object = ObjectWriter::new(&mut out);
    object
        .member("type", "error")
        .member("sequence_number", &number)
        .member("code", refusal.code.as_str())
        .member("message", &refusal.message)
        .member("param", &refusal.param);
    // `{"error":{…}}`, of which the inside is wanted.
    let error = body
        .strip_prefix(b"{\"error\":")
        .and_then(|body| body.strip_suffix(b"}"));
    object.begin("error").extend_from_slice(error.unwrap_or(b"null"));
    object.end();
    sse::end_event(&mut out);
    out
}
