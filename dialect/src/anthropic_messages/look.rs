//! What must be known of a request before it can be routed; all else passes unseen.

use crate::envelope::Envelope;
use crate::json::{Limits, Object, scan};
use crate::look::{LookError, hold_to_limits, model_name, optional, refuse_unstorable, tier};

/// No model answers with more; a larger number would only be held back from the client's limits.
const ANSWER_TOKENS_MAX: u64 = i32::MAX as u64;

/// Looks at a request for an answer. A cap of 0 only warms the prompt cache.
///
/// # Errors
/// When it is no JSON object within the limits, lacks the model, the messages or the cap, or has a member that is not
/// allowed.
pub fn look(body: &[u8], limits: &Limits) -> Result<Envelope, LookError> {
    let object = scan(body, limits)?;
    let envelope = common(body, &object)?;
    let max_tokens: Option<u64> = optional(body, &object, "max_tokens")?;
    let max_tokens = max_tokens.ok_or(LookError::Missing("max_tokens"))?;
    if max_tokens > ANSWER_TOKENS_MAX {
        return Err(LookError::Invalid("max_tokens"));
    }
    Ok(Envelope {
        stream: optional(body, &object, "stream")?.unwrap_or(false),
        max_tokens: Some(max_tokens),
        tier: tier(body, &object),
        ..envelope
    })
}

/// Looks at a request to count tokens.
///
/// # Errors
/// As [`look`]; but there is no cap to be looked for.
pub fn look_count(body: &[u8], limits: &Limits) -> Result<Envelope, LookError> {
    common(body, &scan(body, limits)?)
}

fn common(body: &[u8], object: &Object<'_>) -> Result<Envelope, LookError> {
    let (model, model_at) = model_name(body, object)?;
    hold_to_limits(body, object, "messages")?;
    refuse_unstorable(body, object, &["metadata"])?;
    Ok(Envelope::new(body, model, Some(model_at)))
}
