//! Reading a whole answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Dialect;
use crate::neutral::{BadAnswer, Finish, Part, Profile, Raw, Reply};
use crate::openai_responses::fault::read_error;
use crate::openai_responses::item::{Item, read_item};
use crate::openai_responses::meter::Counts;
use crate::openai_responses::words;
use crate::tier::TierWord;

#[derive(Deserialize)]
struct Body<'a> {
    id: Option<String>,
    model: Option<String>,
    /// Some vendors write a fraction.
    created_at: Option<f64>,
    status: Option<String>,
    incomplete_details: Option<Details>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    usage: Option<Counts>,
    service_tier: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Details {
    reason: Option<String>,
}

/// Reads a whole answer.
///
/// # Errors
/// When it is no response, or tells of an error.
pub fn read_reply(body: &[u8], _profile: &Profile) -> Result<Reply, BadAnswer> {
    let body: Body<'_> = serde_json::from_slice(body)?;
    if let Some(error) = body.error {
        return Err(BadAnswer::Fault(read_error(None, error)));
    }
    let output = body
        .output
        .ok_or_else(|| BadAnswer::Malformed("there is no `output`".to_owned()))?;
    let status = body.status.as_deref().unwrap_or_default();
    let reason = body.incomplete_details.and_then(|details| details.reason);
    let tier = body.service_tier.as_deref().and_then(TierWord::new);
    let mut parts = Vec::new();
    for item in &output {
        read_output(item, &mut parts)?;
    }
    Ok(Reply {
        id: body.id.unwrap_or_default(),
        model: body.model.unwrap_or_default(),
        created_s: body.created_at.and_then(seconds),
        finish: finish(words::read_finish(status, reason.as_deref()), &parts),
        others: Vec::new(),
        logprobs: output.iter().find_map(|item| read_logprobs(item)),
        parts,
        usage: body.usage.and_then(|counts| counts.usage(tier)),
        service_tier: body.service_tier.as_deref().map(words::read_tier),
        raw: Vec::new(),
    })
}

/// Appends what an item of an answer says.
///
/// # Errors
/// When it is no item, or lacks what it must have.
fn read_output(json: &RawValue, parts: &mut Vec<Part>) -> Result<(), BadAnswer> {
    let item = read_item(json).map_err(|wrong| BadAnswer::Malformed(wrong.to_string()))?;
    match item {
        Item::Message(message) => parts.extend(message.parts),
        Item::Said(said) => parts.extend(said),
        Item::Done(raw) => parts.push(Part::Raw(raw)),
        // The vendor's own record of what its tools did or told.
        Item::Result(_) | Item::Tools(_) | Item::Nothing => {
            parts.push(Part::Raw(Raw::new(Dialect::OpenaiResponses, "", json.to_owned())));
        }
    }
    Ok(())
}

/// The reason by what the answer holds: refusals, too, are told as completed.
fn finish(told: Finish, parts: &[Part]) -> Finish {
    let has = |kind: fn(&Part) -> bool| parts.iter().any(kind);
    let has_call = has(|part| matches!(part, Part::ToolCall(_)));
    if told == Finish::End && !has_call && has(|part| matches!(part, Part::Refusal(_))) {
        return Finish::Refused(None);
    }
    told.by_content(has_call)
}

/// Whole seconds of a time that can be one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(in crate::openai_responses) fn seconds(time: f64) -> Option<u64> {
    (0.0..=1e15).contains(&time).then_some(time as u64)
}

/// Log-probabilities of the first text that has any.
fn read_logprobs(item: &RawValue) -> Option<Raw> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: Vec<Part<'a>>,
    }
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        logprobs: Option<&'a RawValue>,
    }
    let message: Message<'_> = serde_json::from_str(item.get()).ok()?;
    let mut told = message.content.into_iter().filter_map(|part| part.logprobs);
    let logprobs = told.find(|logprobs| !is_empty(logprobs))?;
    Some(Raw::new(
        Dialect::OpenaiResponses,
        "logprobs",
        logprobs.to_owned(),
    ))
}

/// Whether an array has nothing in it.
pub(in crate::openai_responses) fn is_empty(array: &RawValue) -> bool {
    let inside = array
        .get()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inside.is_none_or(|inside| inside.trim().is_empty())
}
