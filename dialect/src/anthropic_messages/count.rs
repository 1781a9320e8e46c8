//! Counting tokens: `POST /v1/messages/count_tokens`. A request to count is read by
//! [`read_request`](super::read_request), as one without a cap.

use serde::{Deserialize, Serialize};

use super::request::write_request;
use crate::json::{Members, ObjectWriter};
use crate::neutral::{BadAnswer, Losses, Request, Target, Written};
use crate::refusal::Refusal;

/// Members that take part in a count. Any other would be refused there.
const COUNTED: [&str; 7] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
];

#[derive(Serialize, Deserialize)]
struct Count {
    input_tokens: u64,
}

/// Writes a request to count for a provider.
///
/// # Errors
/// When something of it cannot be expressed here.
pub fn write_count_request(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Refusal> {
    let Written { body, undo } = write_request(request, target, losses)?;
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let mut counted = Vec::with_capacity(body.len());
    let mut object = ObjectWriter::new(&mut counted);
    for (name, value) in Members::read(text).unwrap_or_default().rest() {
        if COUNTED.contains(&name.as_ref()) {
            object.json(&name, value.get());
        }
    }
    object.end();
    Ok(Written { body: counted, undo })
}

/// The answer to a request to count.
pub fn write_count(input_tokens: u64) -> Vec<u8> {
    serde_json::to_vec(&Count { input_tokens }).unwrap_or_default()
}

/// How many tokens a provider counted.
///
/// # Errors
/// When the answer is no count.
pub fn read_count(body: &[u8]) -> Result<u64, BadAnswer> {
    let count: Count = serde_json::from_slice(body)?;
    Ok(count.input_tokens)
}
