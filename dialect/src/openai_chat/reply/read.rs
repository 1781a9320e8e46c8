//! Reading a provider's answer.

use serde_json::value::RawValue;

use super::super::fault::{read_error, read_fault};
use super::super::meter::Metered;
use super::super::parts::{cite, raw, raws, read_assistant};
use super::super::words::{read_finish, read_tier};
use crate::json::{Members, WrongType};
use crate::neutral::{BadAnswer, Choice, Citation, Finish, Part, Profile, Raw, Reply};

/// Reads an answer.
///
/// # Errors
/// When it is no answer, or an error.
pub fn read_reply(body: &[u8], profile: &Profile) -> Result<Reply, BadAnswer> {
    let mut members: Members<'_> = serde_json::from_slice(body)?;
    let choices: Vec<&RawValue> = members.read_member("choices")?.unwrap_or_default();
    if members.take("error").is_some() && choices.is_empty() {
        return Err(BadAnswer::Fault(read_fault(200, body)));
    }
    let id = members.text("id")?.unwrap_or_default();
    let mut choices = read_choices(&choices, &id, profile)?.into_iter();
    let first = choices
        .next()
        .ok_or_else(|| BadAnswer::Malformed("it has no choices".to_owned()))?;
    let mut reply = Reply {
        id,
        model: members.text("model")?.unwrap_or_default(),
        created_s: members.take("created").and_then(seconds),
        finish: first.finish,
        parts: first.parts,
        others: choices.collect(),
        usage: Metered::look(body).and_then(|metered| metered.usage),
        service_tier: members.text("service_tier")?.and_then(|word| read_tier(&word)),
        logprobs: first.logprobs,
        raw: first.raw,
    };
    if let Some(pages) = members.take("citations") {
        cite(&mut reply.parts, read_pages(pages));
        reply.raw.push(raw("citations", pages));
    }
    for known in ["object", "usage", "x_groq"] {
        members.take(known);
    }
    reply.raw.extend(raws(members));
    Ok(reply)
}

/// The choices in the order of their numbers, which some vendors leave out.
fn read_choices(choices: &[&RawValue], id: &str, profile: &Profile) -> Result<Vec<Choice>, BadAnswer> {
    let mut read = Vec::with_capacity(choices.len());
    for json in choices {
        let mut choice = Members::read(json.get()).ok_or(WrongType("choices"))?;
        let number: u64 = choice.read_member("index").ok().flatten().unwrap_or_default();
        read.push((number, choice));
    }
    read.sort_by_key(|(number, _)| *number);
    (0..)
        .zip(read)
        .map(|(number, (_, choice))| read_choice(choice, mark(id, number), profile))
        .collect()
}

fn read_choice(mut choice: Members<'_>, mark: u32, profile: &Profile) -> Result<Choice, BadAnswer> {
    if let Some(error) = choice.take("error") {
        return Err(BadAnswer::Fault(read_error(200, error)));
    }
    let mut message: Members<'_> = choice.read_member("message")?.unwrap_or_default();
    let made_id = |number: usize| format!("call_{mark:08x}{number}");
    let parts = read_assistant(&mut message, profile.think_tags, &made_id)?;
    message.take("role");
    let word = choice.text("finish_reason")?;
    let logprobs = choice.take("logprobs").filter(|json| tells_logprobs(json));
    let mut rest = prefixed("choices.message.", raws(message));
    rest.extend(prefixed("choices.", raws(choice)));
    Ok(Choice {
        finish: finish(word.as_deref(), &parts),
        parts,
        logprobs: logprobs.map(|json| raw("logprobs", json)),
        raw: rest,
    })
}

/// What stands in the ids that are made for the calls of an answer's choice.
pub(in crate::openai_chat) fn mark(id: &str, choice: u32) -> u32 {
    match choice {
        0 => crc32fast::hash(id.as_bytes()),
        _ => crc32fast::hash(format!("{id} {choice}").as_bytes()),
    }
}

fn prefixed(prefix: &str, mut raws: Vec<Raw>) -> Vec<Raw> {
    for raw in &mut raws {
        raw.name.insert_str(0, prefix);
    }
    raws
}

/// Perplexity's list of pages, to which the text refers by number; others are no such list.
pub(in crate::openai_chat) fn read_pages(pages: &RawValue) -> Vec<Citation> {
    let urls: Vec<String> = serde_json::from_str(pages.get()).unwrap_or_default();
    let pages = urls.into_iter().map(|url| Citation::Url {
        url,
        title: None,
        start: None,
        end: None,
    });
    pages.collect()
}

/// The time, which some write as a fraction; 0 is none.
pub(in crate::openai_chat) fn seconds(json: &RawValue) -> Option<u64> {
    let whole = json.get().split('.').next()?;
    whole.parse().ok().filter(|seconds| *seconds > 0)
}

/// Some send the object with every answer, and nothing in it.
pub(in crate::openai_chat) fn tells_logprobs(json: &RawValue) -> bool {
    Members::read(json.get()).is_some_and(|mut logprobs| {
        let told = [logprobs.take("content"), logprobs.take("refusal")];
        told.into_iter().any(|told| told.is_some())
    })
}

fn finish(word: Option<&str>, parts: &[Part]) -> Finish {
    let has = |wanted: fn(&Part) -> bool| parts.iter().any(wanted);
    let read =
        read_finish(word.unwrap_or_default()).by_content(has(|part| matches!(part, Part::ToolCall(_))));
    if read == Finish::End && has(|part| matches!(part, Part::Refusal(_))) {
        return Finish::Refused(None);
    }
    read
}
