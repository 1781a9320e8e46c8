//! Reading an answer of Gemini's, into the neutral middle.

use super::super::answer::{Answer, Candidate, gather_candidate, seconds};
use super::super::calls::Calls;
use super::super::fault::fault_of;
use super::super::wire::Str;
use super::super::{citations, read_part};
use crate::Dialect;
use crate::neutral::{BadAnswer, Choice, Finish, Part, Profile, Raw, Reply};

/// Reads an answer.
///
/// # Errors
/// When it is none, or tells of an error.
pub fn read_reply(body: &[u8], _profile: &Profile) -> Result<Reply, BadAnswer> {
    let mut answer: Answer<'_> = serde_json::from_slice(body)?;
    if let Some(error) = answer.error {
        return Err(BadAnswer::Fault(fault_of(200, error.get())));
    }
    let mut candidates = answer.candidates.take().unwrap_or_default();
    let blocked = answer.blocked();
    if candidates.is_empty() && blocked.is_none() {
        return Err(BadAnswer::Malformed("there is no candidate in it".to_owned()));
    }
    let mut reply = Reply {
        id: answer.id.clone().map(Str::into_owned).unwrap_or_default(),
        model: answer.model.clone().map(Str::into_owned).unwrap_or_default(),
        created_s: answer.created.as_ref().and_then(|time| seconds(time.as_str())),
        parts: Vec::new(),
        finish: blocked.unwrap_or(Finish::End),
        others: Vec::new(),
        usage: answer.usage.as_ref().and_then(|counts| counts.usage()),
        service_tier: answer.tier(),
        logprobs: None,
        raw: Vec::new(),
    };
    if let Some(feedback) = answer.feedback {
        let raw = Raw::new(Dialect::GeminiGenerate, "promptFeedback", feedback.to_owned());
        reply.raw.push(raw);
    }
    read_part::gather(answer.rest, "", &mut reply.raw);
    candidates.sort_by_key(|candidate| candidate.index.unwrap_or(0));
    let mut choices = (0..)
        .zip(candidates)
        .map(|(number, candidate)| read_candidate(candidate, Calls::of_choice(&reply.id, number)));
    if let Some(first) = choices.next() {
        reply.others = choices.collect();
        reply.parts = first.parts;
        reply.finish = first.finish;
        reply.logprobs = first.logprobs;
        reply.raw.extend(first.raw);
    }
    Ok(reply)
}

fn read_candidate(mut candidate: Candidate<'_>, mut calls: Calls) -> Choice {
    let (mut parts, mut raw) = (Vec::new(), Vec::new());
    // Some that were recorded tell no reason; they came whole.
    let finish = candidate.finish().unwrap_or(Finish::End);
    gather_candidate(&mut candidate, &mut raw);
    let content = candidate.content.unwrap_or_default();
    for part in content.parts.unwrap_or_default().0 {
        read_part::push(part, &mut calls, &mut parts, &mut raw);
    }
    parts.retain(|part| !read_part::is_nothing(part));
    citations::place(candidate.grounding, candidate.citations, &mut parts);
    let logprobs = |json: &serde_json::value::RawValue| {
        Raw::new(Dialect::GeminiGenerate, "logprobsResult", json.to_owned())
    };
    let has_call = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    Choice {
        parts,
        finish: finish.by_content(has_call),
        logprobs: candidate.logprobs.map(logprobs),
        raw,
    }
}
