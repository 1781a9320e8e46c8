//! What a client gives back that the gateway gave it, where it goes to a provider of the client's own dialect.
//!
//! Such a request is forwarded as it came. But the answers in it may be another vendor's, from before the conversation came
//! here, and hold what only the gateway can read: seals behind a tag, ids of calls that carry seals, thoughts that no vendor
//! has sealed. Their own vendor would refuse what another writes in its dialect. So a request is searched for the few
//! bytes that tell of such things; only where they stand is it walked through, and only what they stand in is edited.

mod places;
mod walk;

use std::ops::Range;

use memchr::memmem;

use crate::Dialect;
use crate::neutral::{Losses, ReasoningField, Target, carry};
use crate::refusal::Refusal;
use walk::Walk;

/// How an item of OpenAI's Responses begins that holds thoughts; whose it is tells what follows.
const THOUGHTS: &[u8] = b"\"rs_";
const SIGNATURE: &[u8] = b"\"signature\"";
/// The member in which only Gemini's OpenAI endpoint wants its seals.
const GOOGLES: &[u8] = b"\"thought_signature\"";
/// The letters of a call's id, which is a ULID.
const CALL_ID_BYTES: usize = 26;

/// The edits that take out of a request whatever only the gateway understands; none, nearly always.
///
/// # Errors
/// When thoughts would be lost of a tenant that wants nothing lost.
pub(crate) fn edits(
    dialect: Dialect,
    body: &[u8],
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<(Range<usize>, String)>, Refusal> {
    if !is_suspect(dialect, body, target) {
        return Ok(Vec::new());
    }
    let found = Walk::through(dialect, body, target);
    if found.loses_thoughts {
        losses.drop("reasoning")?;
    }
    Ok(found.edits)
}

/// Whether the bytes stand in it that things of the gateway's have.
fn is_suspect(dialect: Dialect, body: &[u8], target: &Target<'_>) -> bool {
    let has_seals = carry::MARKS.iter().any(|mark| memmem::find(body, mark).is_some());
    has_seals
        || match dialect {
            Dialect::OpenaiChat => !target.profile.extra_content && memmem::find(body, GOOGLES).is_some(),
            Dialect::OpenaiResponses => {
                follow(body, THOUGHTS).any(|rest| rest.first_chunk().is_some_and(is_call_id))
            }
            Dialect::AnthropicMessages => {
                target.profile.reasoning == ReasoningField::None && follow(body, SIGNATURE).any(is_empty_text)
            }
            Dialect::GeminiGenerate => false,
        }
}

/// What follows wherever these bytes stand.
fn follow<'b>(body: &'b [u8], bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    memmem::find_iter(body, bytes).filter_map(move |at| body.get(at + bytes.len()..))
}

/// Whether this is the id of a call, in whose ids of items it stands. Vendors' ids have small letters.
fn is_call_id(bytes: &[u8; CALL_ID_BYTES]) -> bool {
    bytes
        .iter()
        .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Whether a member has an empty text for a value, its name being read.
fn is_empty_text(after_name: &[u8]) -> bool {
    let value = after_name.trim_ascii_start().strip_prefix(b":");
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\"\""))
}

#[cfg(test)]
mod tests;
