//! How Google spells an answer, and a chunk of one: both have the same shape.

use serde_json::value::RawValue;

use super::meter::Counts;
use super::read_part;
use super::wire::{Content, Str, object};
use super::words;
use crate::neutral::{Finish, Raw, ServiceTier};

object! {
    struct Answer<'a> {
        candidates: Vec<Candidate<'a>> = "candidates",
        feedback: &'a RawValue = "promptFeedback",
        usage: Counts<'a> = "usageMetadata",
        model: Str<'a> = "modelVersion",
        id: Str<'a> = "responseId",
        created: Str<'a> = "createTime",
        error: &'a RawValue = "error",
    }
}

object! {
    struct Candidate<'a> {
        index: u64 = "index",
        content: Content<'a> = "content",
        finish: Str<'a> = "finishReason",
        logprobs: &'a RawValue = "logprobsResult",
        grounding: &'a RawValue = "groundingMetadata",
        citations: &'a RawValue = "citationMetadata",
    }
}

object! {
    struct Feedback<'a> {
        reason: Str<'a> = "blockReason",
    }
}

impl Answer<'_> {
    /// Why the prompt was held back, where it was: then there are no candidates.
    pub(super) fn blocked(&self) -> Option<Finish> {
        let feedback: Feedback<'_> = serde_json::from_str(self.feedback?.get()).ok()?;
        let reason = feedback.reason?;
        match words::read_finish(reason.as_str()) {
            finish @ Finish::Blocked(_) => Some(finish),
            _ => Some(Finish::Blocked(Some(reason.into_owned()))),
        }
    }

    pub(super) fn tier(&self) -> Option<ServiceTier> {
        let usage = self.usage.as_ref()?;
        let word = usage.tier.as_ref().or(usage.traffic.as_ref())?;
        // A number that nobody has a word for.
        let is_number = word.as_str().bytes().all(|byte| byte.is_ascii_digit());
        (!is_number).then(|| words::read_tier(word.as_str()))
    }
}

impl Candidate<'_> {
    pub(super) fn finish(&self) -> Option<Finish> {
        let word = self.finish.as_ref()?.as_str();
        (!matches!(word, "" | "0" | "FINISH_REASON_UNSPECIFIED")).then(|| words::read_finish(word))
    }
}

/// What has no slot, under the names `candidates.…`.
pub(super) fn gather_candidate(candidate: &mut Candidate<'_>, raw: &mut Vec<Raw>) {
    let mut keep = |name: &str, json: Option<&RawValue>| {
        if let Some(json) = json {
            let name = format!("candidates.{name}");
            raw.push(Raw::new(crate::Dialect::GeminiGenerate, name, json.to_owned()));
        }
    };
    keep("groundingMetadata", candidate.grounding);
    keep("citationMetadata", candidate.citations);
    read_part::gather(std::mem::take(&mut candidate.rest), "candidates.", raw);
}

/// Unix seconds of a time as RFC 3339 spells it in UTC (`2026-04-02T17:03:50.399550Z`).
pub(super) fn seconds(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1970..10_000).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || !time.ends_with('Z')
    {
        return None;
    }
    // Days since 1970-03-01 of a year that begins in March, so that leap days come last.
    let (years, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap = years / 4 - years / 100 + years / 400;
    let days = (years * 365 + leap + (months * 153 + 2) / 5 + day - 1).checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}
