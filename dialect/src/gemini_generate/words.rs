//! Google's words for what every dialect has a word for: one table for each direction, for whole answers and for streams.

use std::borrow::Cow;

use crate::neutral::{Effort, FaultKind, Finish, Role, ServiceTier};

/// Reasons with which Google holds an answer back; the prompt's own (`blockReason`) among them.
const BLOCKED: [&str; 12] = [
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "JAILBREAK",
    "BLOCK_REASON_UNSPECIFIED",
];
const BAD_TOOL_CALL: [&str; 4] = [
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
];
/// The reasons by their numbers, which a client of Vertex can ask for; later ones have different numbers in Google's two
/// services, and are carried.
const NUMBERED: [&str; 10] = [
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
];

/// Google has no word for a called tool: [`Finish::by_content`] finds that out.
pub(super) fn read_finish(word: &str) -> Finish {
    let numbered = word.parse().ok().and_then(|number: usize| NUMBERED.get(number));
    match *numbered.unwrap_or(&word) {
        "STOP" => Finish::End,
        "MAX_TOKENS" => Finish::MaxTokens,
        word if BLOCKED.contains(&word) => Finish::Blocked(Some(word.to_owned())),
        word if BAD_TOOL_CALL.contains(&word) => Finish::BadToolCall(word.to_owned()),
        word => Finish::Other(word.to_owned()),
    }
}

/// The word, and what `finishMessage` tells beside it. `is_empty` says that the answer holds nothing that could be read:
/// then a refusal has to show as one.
pub(super) fn write_finish(finish: &Finish, is_empty: bool) -> (&str, Option<&str>) {
    match finish {
        Finish::End | Finish::StopSequence(_) | Finish::ToolCall => ("STOP", None),
        Finish::MaxTokens | Finish::ContextFull => ("MAX_TOKENS", None),
        Finish::Blocked(word) => match word.as_deref() {
            Some(word) if BLOCKED.contains(&word) => (word, None),
            word => ("SAFETY", word),
        },
        Finish::Refused(words) => (if is_empty { "SAFETY" } else { "STOP" }, words.as_deref()),
        Finish::Paused => ("OTHER", Some("The provider has paused this turn.")),
        Finish::BadToolCall(word) if BAD_TOOL_CALL.contains(&word.as_str()) => (word, None),
        Finish::BadToolCall(word) => ("MALFORMED_FUNCTION_CALL", Some(word)),
        Finish::Other(word) if is_googles(word) => (word, None),
        Finish::Other(word) => ("OTHER", Some(word)),
    }
}

fn is_googles(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `function` is how results of tools were marked once; they are the user's.
pub(super) fn read_role(role: Option<&str>) -> Role {
    match role {
        None | Some("user" | "function" | "") => Role::User,
        Some("model") => Role::Assistant,
        Some("system") => Role::System,
        Some(role) => Role::Other(role.to_owned()),
    }
}

/// `None` for a role that Google does not have.
pub(super) fn write_role(role: &Role) -> Option<&'static str> {
    match role {
        Role::User | Role::System => Some("user"),
        Role::Assistant => Some("model"),
        Role::Other(_) => None,
    }
}

pub(super) fn read_level(level: &str) -> Effort {
    match level.to_ascii_uppercase().as_str() {
        "MINIMAL" => Effort::Minimal,
        "LOW" => Effort::Low,
        "MEDIUM" => Effort::Medium,
        "HIGH" => Effort::High,
        _ => Effort::Other(level.to_owned()),
    }
}

/// The level, and whether it is the one that was asked for; `None` for a word that is none of Google's.
pub(super) fn write_level(effort: &Effort) -> Option<(&str, bool)> {
    Some(match effort {
        Effort::None => ("MINIMAL", false),
        Effort::Minimal => ("MINIMAL", true),
        Effort::Low => ("LOW", true),
        Effort::Medium => ("MEDIUM", true),
        Effort::High => ("HIGH", true),
        Effort::Xhigh | Effort::Max => ("HIGH", false),
        Effort::Other(level) if is_googles(level) => (level, true),
        Effort::Other(_) => return None,
    })
}

/// The budget that stands for a level, where a model takes a number of tokens: Google's own table.
pub(super) fn budget(effort: &Effort) -> Option<u64> {
    match effort {
        Effort::None => Some(0),
        Effort::Minimal | Effort::Low => Some(1_024),
        Effort::Medium => Some(8_192),
        Effort::High | Effort::Xhigh | Effort::Max => Some(24_576),
        Effort::Other(_) => None,
    }
}

/// The level that stands for a budget.
pub(super) fn level_of_budget(tokens: u64) -> Effort {
    match tokens {
        0 => Effort::None,
        1..4_096 => Effort::Low,
        4_096..12_288 => Effort::Medium,
        _ => Effort::High,
    }
}

/// A tier as requests and usage spell it, or as Vertex does (`trafficType`).
pub(super) fn read_tier(word: &str) -> ServiceTier {
    match word.to_ascii_lowercase().as_str() {
        "standard" | "on_demand" => ServiceTier::Standard,
        "flex" | "on_demand_flex" => ServiceTier::Flex,
        "priority" | "on_demand_priority" => ServiceTier::Priority,
        "auto" => ServiceTier::Auto,
        _ => ServiceTier::Other(word.to_owned()),
    }
}

/// `None` for one that Google has no word for. That of `Auto` is to say nothing.
pub(super) fn write_tier(tier: &ServiceTier) -> Option<&'static str> {
    match tier {
        ServiceTier::Auto => Some(""),
        ServiceTier::Standard => Some("standard"),
        ServiceTier::Flex => Some("flex"),
        ServiceTier::Priority => Some("priority"),
        ServiceTier::Other(_) => None,
    }
}

/// What an error is, by its status and by Google's word for it.
pub(super) fn read_status(status: u16, word: &str) -> FaultKind {
    match (word, status) {
        ("INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" | "UNIMPLEMENTED", _) => {
            FaultKind::BadRequest
        }
        ("UNAUTHENTICATED", _) => FaultKind::Auth,
        ("PERMISSION_DENIED", _) => FaultKind::Permission,
        ("NOT_FOUND", _) => FaultKind::NotFound,
        ("RESOURCE_EXHAUSTED", _) => FaultKind::RateLimit,
        ("UNAVAILABLE", _) => FaultKind::Overloaded,
        ("DEADLINE_EXCEEDED", _) => FaultKind::Timeout,
        (_, 401) => FaultKind::Auth,
        (_, 402) => FaultKind::Billing,
        (_, 403) => FaultKind::Permission,
        (_, 404) => FaultKind::NotFound,
        (_, 408 | 504) => FaultKind::Timeout,
        (_, 413) => FaultKind::TooLarge,
        (_, 429) => FaultKind::RateLimit,
        (_, 502 | 503 | 529) => FaultKind::Overloaded,
        (_, 400..500) => FaultKind::BadRequest,
        _ => FaultKind::Internal,
    }
}

/// The status and Google's word for it.
pub(super) fn write_status(kind: FaultKind) -> (u16, &'static str) {
    match kind {
        FaultKind::BadRequest
        | FaultKind::ContextTooLong
        | FaultKind::ContentBlocked
        | FaultKind::TooLarge => (400, "INVALID_ARGUMENT"),
        FaultKind::Auth => (401, "UNAUTHENTICATED"),
        FaultKind::Billing | FaultKind::RateLimit => (429, "RESOURCE_EXHAUSTED"),
        FaultKind::Permission => (403, "PERMISSION_DENIED"),
        FaultKind::NotFound => (404, "NOT_FOUND"),
        FaultKind::Credential => (502, "UNAVAILABLE"),
        FaultKind::Overloaded => (503, "UNAVAILABLE"),
        FaultKind::Timeout => (504, "DEADLINE_EXCEEDED"),
        FaultKind::Internal => (500, "INTERNAL"),
    }
}

/// Google's word for an HTTP status, for refusals of our own.
pub(super) fn word_of_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

/// A modality of a token count, which Google also spells as a number.
pub(super) fn is_audio(modality: &str) -> bool {
    matches!(modality, "AUDIO" | "4")
}

/// Whether a modality of tokens is pictures.
pub(super) fn is_image(modality: &str) -> bool {
    matches!(modality, "IMAGE" | "2")
}

/// The name of the mode that a choice of tools has.
pub(super) fn mode(word: &str) -> Cow<'_, str> {
    match word {
        "0" | "MODE_UNSPECIFIED" => Cow::Borrowed("AUTO"),
        "1" => Cow::Borrowed("AUTO"),
        "2" => Cow::Borrowed("ANY"),
        "3" => Cow::Borrowed("NONE"),
        word => Cow::Borrowed(word),
    }
}
