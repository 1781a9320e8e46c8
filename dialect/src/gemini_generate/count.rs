//! `countTokens`: how long a request is, without an answer to it.

use serde_json::value::RawValue;

use super::request::{read_request, write_request};
use super::wire::{Number, object};
use crate::json::{Members, ObjectWriter};
use crate::neutral::{BadAnswer, Losses, Request, Target, Written};
use crate::refusal::Refusal;

object! {
    struct Count<'a> {
        total: Number = "totalTokens",
    }
}

/// Reads what is to be counted: contents alone, or a whole request in `generateContentRequest`.
///
/// # Errors
/// When it is no request of this dialect.
pub fn read_count_request(body: &[u8], model: &str) -> Result<Request, Refusal> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut members = Members::read(text).unwrap_or_default();
    let inner: Option<&RawValue> = members
        .take("generateContentRequest")
        .or_else(|| members.take("generate_content_request"));
    read_request(inner.map_or(body, |inner| inner.get().as_bytes()), model, false)
}

/// Writes a request so that all of it is counted: instructions and tools too, which only a whole request holds.
///
/// # Errors
/// When something of it cannot be expressed here.
pub fn write_count_request(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Refusal> {
    let inner = write_request(request, target, losses)?;
    let mut body = br#"{"generateContentRequest":{"model":"#.to_vec();
    crate::json::write(&format!("models/{}", target.model), &mut body);
    // The inner request is an object and has contents at least.
    body.push(b',');
    body.extend(inner.body.get(1..).unwrap_or_default());
    body.push(b'}');
    Ok(Written {
        body,
        undo: inner.undo,
    })
}

/// The tokens that an answer tells.
///
/// # Errors
/// When it tells none.
pub fn read_count(body: &[u8]) -> Result<u64, BadAnswer> {
    let count: Count<'_> = serde_json::from_slice(body)?;
    let total = count.total.and_then(Number::count);
    total.ok_or_else(|| BadAnswer::Malformed("there is no count in it".to_owned()))
}

/// The answer to a client of this dialect.
pub fn write_count(tokens: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    object.member("totalTokens", &tokens);
    object.end();
    body
}
