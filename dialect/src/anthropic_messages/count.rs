//! Counting tokens: `POST /v1/messages/count_tokens`. A request to count is read by
//! [`read_request`](super::read_request), as one without a cap.

use serde::{Deserialize, Serialize};

use crate::neutral::BadAnswer;

#[derive(Serialize, Deserialize)]
struct Count {
    input_tokens: u64,
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
