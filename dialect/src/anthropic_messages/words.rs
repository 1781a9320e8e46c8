//! Anthropic's words and ours: one table for each direction, for whole answers and streams alike. A word that no table
//! knows is carried as it is spelled.

use crate::neutral::{Effort, FaultKind, Finish, Role, ServiceTier};

/// Why an answer ended, by `stop_reason` and what stands beside it.
pub(super) fn read_finish(word: &str, sequence: Option<String>, explanation: Option<String>) -> Finish {
    match word {
        "end_turn" => Finish::End,
        "stop_sequence" => Finish::StopSequence(sequence),
        "max_tokens" => Finish::MaxTokens,
        "model_context_window_exceeded" => Finish::ContextFull,
        "tool_use" => Finish::ToolCall,
        "pause_turn" => Finish::Paused,
        "refusal" => Finish::Refused(explanation),
        // `compaction` too, for which nobody else has a word.
        _ => Finish::Other(word.to_owned()),
    }
}

/// `stop_reason`, and beside it (`native_finish_reason`, as in the other dialects) the word that has no equal here.
pub(super) fn finish(finish: &Finish) -> (&'static str, Option<&str>) {
    let word = match finish {
        // Which sequence was met must be told with the word.
        Finish::End | Finish::StopSequence(None) => "end_turn",
        Finish::StopSequence(Some(_)) => "stop_sequence",
        Finish::MaxTokens => "max_tokens",
        Finish::ContextFull => "model_context_window_exceeded",
        Finish::ToolCall => "tool_use",
        Finish::Paused => "pause_turn",
        Finish::Refused(_) | Finish::Blocked(_) => "refusal",
        Finish::Other(word) if word == "compaction" => "compaction",
        Finish::BadToolCall(word) | Finish::Other(word) => return ("end_turn", Some(word)),
    };
    (word, None)
}

pub(super) fn read_role(word: String) -> Role {
    match word.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => Role::Other(word),
    }
}

/// `output_config.effort` of a request.
pub(super) fn read_effort(word: String) -> Effort {
    match word.as_str() {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::Xhigh,
        "max" => Effort::Max,
        _ => Effort::Other(word),
    }
}

/// `output_config.effort`; what is less than low is low. No effort at all is no word here: it is thinking switched off.
pub(super) fn effort(effort: &Effort) -> &str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Xhigh => "xhigh",
        Effort::Max => "max",
        Effort::Other(word) => word,
    }
}

/// `service_tier` of a request.
pub(super) fn read_asked_tier(word: String) -> ServiceTier {
    match word.as_str() {
        "auto" => ServiceTier::Auto,
        "standard_only" => ServiceTier::Standard,
        _ => ServiceTier::Other(word),
    }
}

/// `service_tier` of a request, and whether it says all that was asked. A cheaper tier than the standard is not to be
/// had here, and a dearer one only as what `auto` may come to.
pub(super) fn asked_tier(tier: &ServiceTier) -> (Option<&'static str>, bool) {
    match tier {
        ServiceTier::Auto => (Some("auto"), true),
        ServiceTier::Standard => (Some("standard_only"), true),
        ServiceTier::Priority => (Some("auto"), false),
        ServiceTier::Flex | ServiceTier::Other(_) => (None, false),
    }
}

/// `usage.service_tier`.
pub(super) fn read_tier(word: String) -> ServiceTier {
    match word.as_str() {
        "standard" => ServiceTier::Standard,
        "priority" => ServiceTier::Priority,
        _ => ServiceTier::Other(word),
    }
}

/// `usage.service_tier`; nothing for a word of another vendor, which clients that know all of Anthropic's would not take.
pub(super) fn tier(tier: &ServiceTier) -> Option<&str> {
    match tier {
        ServiceTier::Auto | ServiceTier::Standard => Some("standard"),
        ServiceTier::Priority => Some("priority"),
        ServiceTier::Other(word) if word == "batch" => Some(word),
        ServiceTier::Flex | ServiceTier::Other(_) => None,
    }
}

/// The kind of an error by `error.type`.
pub(super) fn read_fault_kind(word: &str) -> Option<FaultKind> {
    let row = FAULTS.iter().find(|(_, _, known)| *known == word)?;
    Some(row.0)
}

/// The status and the type of an error.
pub(super) fn fault_kind(kind: FaultKind) -> (u16, &'static str) {
    let row = FAULTS.iter().find(|(known, ..)| *known == kind);
    row.map_or((500, "api_error"), |(_, status, word)| (*status, word))
}

/// For reading, the first row with the type counts.
#[rustfmt::skip]
const FAULTS: [(FaultKind, u16, &str); 13] = [
    (FaultKind::BadRequest,     400, "invalid_request_error"),
    (FaultKind::ContextTooLong, 400, "invalid_request_error"),
    (FaultKind::ContentBlocked, 400, "invalid_request_error"),
    (FaultKind::Auth,           401, "authentication_error"),
    (FaultKind::Billing,        402, "billing_error"),
    (FaultKind::Permission,     403, "permission_error"),
    (FaultKind::NotFound,       404, "not_found_error"),
    (FaultKind::TooLarge,       413, "request_too_large"),
    (FaultKind::RateLimit,      429, "rate_limit_error"),
    (FaultKind::Internal,       500, "api_error"),
    (FaultKind::Credential,     502, "api_error"),
    (FaultKind::Timeout,        504, "timeout_error"),
    (FaultKind::Overloaded,     529, "overloaded_error"),
];
