//! Reading a provider's whole answer.

use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::{BadAnswer, Finish, Part, Profile, Raw, Reply};

use super::super::block::{Reading, read_parts};
use super::super::fault::read_fault;
use super::super::usage::{Counts, Tier};
use super::super::words;

/// Reads an answer. An error under a good status is one all the same.
///
/// # Errors
/// When it is no answer, or an error.
pub fn read_reply(body: &[u8], _profile: &Profile) -> Result<Reply, BadAnswer> {
    let text = std::str::from_utf8(body).map_err(|_| BadAnswer::Malformed("it is not UTF-8".to_owned()))?;
    let mut members = serde_json::from_str::<Members<'_>>(text)?;
    let kind = members.text("type")?;
    if kind.as_deref() == Some("error") {
        return Err(BadAnswer::Fault(read_fault(500, body)));
    }
    let content = members.take("content").ok_or(WrongType("content"))?;
    let parts = read_parts(content, "content", Reading::Reply)?;
    let has_tool_call = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let finish = read_finish(&mut members)?.by_content(has_tool_call);
    let usage = members.take("usage");
    members.take("role");
    Ok(Reply {
        id: members.text("id")?.unwrap_or_default(),
        model: members.text("model")?.unwrap_or_default(),
        created_s: None,
        parts,
        finish,
        others: Vec::new(),
        usage: usage.and_then(read::<Counts>).and_then(Counts::usage),
        service_tier: usage
            .and_then(read::<Tier>)
            .and_then(|tier| tier.service_tier)
            .map(words::read_tier),
        logprobs: None,
        raw: members
            .rest()
            .map(|(name, value)| Raw::new(Dialect::AnthropicMessages, name, value.to_owned()))
            .collect(),
    })
}

fn read_finish(members: &mut Members<'_>) -> Result<Finish, WrongType> {
    let word = members.text("stop_reason")?;
    let sequence = members.text("stop_sequence")?;
    let details = members.take("stop_details");
    Ok(word.map_or(Finish::End, |word| {
        words::read_finish(&word, sequence, details.and_then(explanation))
    }))
}

/// The explanation of a refusal, in `stop_details`.
pub(in super::super) fn explanation(details: &RawValue) -> Option<String> {
    Members::read(details.get())?.text("explanation").ok()?
}

/// A vendor's strange counts make no answer unusable.
fn read<'a, T: serde::Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}
