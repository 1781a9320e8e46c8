//! What must be known of a request before it can be routed; all else passes unseen.

use crate::envelope::Envelope;
use crate::json::{Limits, scan};
use crate::look::{LookError, hold_to_limits, model_name, optional, refuse_unstorable, tier};

/// Looks at a request. There need not be any `input`: what is stored with the vendor can stand in its place.
///
/// # Errors
/// When it is no JSON object within the limits, has no model, or a member that is not allowed.
pub fn look(body: &[u8], limits: &Limits) -> Result<Envelope, LookError> {
    let object = scan(body, limits)?;
    let (model, model_at) = model_name(body, &object)?;
    let input = object.get("input").and_then(|at| body.get(at.start));
    match input {
        Some(b'[') => hold_to_limits(body, &object, "input")?,
        Some(b'"' | b'n') | None => {}
        Some(_) => return Err(LookError::Invalid("input")),
    }
    let names = ["user", "metadata", "safety_identifier", "prompt_cache_key"];
    refuse_unstorable(body, &object, &names)?;
    let max_tokens: Option<i64> = optional(body, &object, "max_output_tokens")?;
    if max_tokens.is_some_and(|tokens| !(0..=i64::from(i32::MAX)).contains(&tokens)) {
        return Err(LookError::Invalid("max_output_tokens"));
    }
    Ok(Envelope {
        stream: optional(body, &object, "stream")?.unwrap_or(false),
        max_tokens: max_tokens
            .and_then(|tokens| u64::try_from(tokens).ok())
            .filter(|tokens| *tokens > 0),
        tier: tier(body, &object),
        ..Envelope::new(body, model, Some(model_at))
    })
}
