//! The words of Chat Completions, and what they mean: one table per direction, for whole answers and streams alike.

use crate::neutral::{FaultKind, Finish, Role, ServiceTier};

pub(super) fn read_role(word: &str) -> Role {
    match word {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => Role::Other(other.to_owned()),
    }
}

/// `system` is what every vendor takes; OpenAI itself reads it as `developer` where a model wants that.
pub(super) fn write_role(role: &Role) -> &str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Other(word) => word,
    }
}

/// The reason, before it is looked at whether there is a call in the answer. Some vendors leave the word empty, some
/// let those of the vendor behind them through.
pub(super) fn read_finish(word: &str) -> Finish {
    match word {
        "stop" | "" | "end_turn" | "eos" => Finish::End,
        "stop_sequence" => Finish::StopSequence(None),
        "length" | "max_tokens" | "model_length" => Finish::MaxTokens,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCall,
        "content_filter" => Finish::Blocked(None),
        "sensitive" => Finish::Blocked(Some(word.to_owned())),
        other => Finish::Other(other.to_owned()),
    }
}

/// The finish reason, and beside it (`native_finish_reason`, as OpenRouter calls it) the word that has no equal here.
/// A refusal that the message itself shows is an answer like another; without one, only this word can tell of it.
pub(super) fn write_finish(finish: &Finish, shows_refusal: bool) -> (&'static str, Option<&str>) {
    match finish {
        Finish::End | Finish::StopSequence(_) => ("stop", None),
        Finish::MaxTokens | Finish::ContextFull => ("length", None),
        Finish::ToolCall => ("tool_calls", None),
        Finish::Blocked(word) => ("content_filter", word.as_deref()),
        Finish::Refused(None) if shows_refusal => ("stop", None),
        Finish::Refused(_) => ("content_filter", None),
        Finish::Paused => ("stop", Some("pause_turn")),
        Finish::BadToolCall(word) | Finish::Other(word) => ("stop", Some(word)),
    }
}

pub(super) fn read_tier(word: &str) -> Option<ServiceTier> {
    match word {
        "" => None,
        "auto" => Some(ServiceTier::Auto),
        // The second is Groq's.
        "default" | "on_demand" => Some(ServiceTier::Standard),
        "flex" => Some(ServiceTier::Flex),
        "priority" | "fast" => Some(ServiceTier::Priority),
        other => Some(ServiceTier::Other(other.to_owned())),
    }
}

/// The word for a tier; `None` for one that this dialect does not have, which both its ends refuse.
pub(super) fn write_tier(tier: &ServiceTier) -> Option<&'static str> {
    Some(match tier {
        ServiceTier::Auto => "auto",
        ServiceTier::Standard => "default",
        ServiceTier::Flex => "flex",
        ServiceTier::Priority => "priority",
        ServiceTier::Other(word) if word == "scale" => "scale",
        ServiceTier::Other(_) => return None,
    })
}

/// What kind of fault it is. The code says most, then the type; the status is what is left when a body says nothing, or
/// no more than that something went wrong.
pub(super) fn read_fault_kind(status: u16, error_type: &str, code: &str) -> FaultKind {
    let told = by_code(code)
        .or_else(|| by_code(error_type))
        .or_else(|| by_type(error_type));
    match (told, FaultKind::of_status(status)) {
        (Some(FaultKind::Internal), said_more @ (FaultKind::Overloaded | FaultKind::Timeout)) => said_more,
        (told, by_status) => told.unwrap_or(by_status),
    }
}

fn by_code(code: &str) -> Option<FaultKind> {
    Some(match code {
        "context_length_exceeded" | "string_above_max_length" => FaultKind::ContextTooLong,
        "content_filter" | "content_policy_violation" | "invalid_prompt" | "moderation_blocked" => {
            FaultKind::ContentBlocked
        }
        "invalid_api_key" | "invalid_authentication" | "authentication_error" => FaultKind::Auth,
        "insufficient_quota" | "billing_hard_limit_reached" | "insufficient_balance" | "billing_error" => {
            FaultKind::Billing
        }
        "unsupported_country_region_territory" | "permission_error" | "permission_denied" => {
            FaultKind::Permission
        }
        "model_not_found" | "DeploymentNotFound" | "not_found_error" => FaultKind::NotFound,
        "rate_limit_exceeded" | "rate_limit_error" => FaultKind::RateLimit,
        "overloaded_error" | "engine_overloaded" => FaultKind::Overloaded,
        "timeout" | "timeout_error" => FaultKind::Timeout,
        // The model wrote a call that its vendor did not let through; asking again may help.
        "tool_use_failed" => FaultKind::Internal,
        _ => return None,
    })
}

fn by_type(error_type: &str) -> Option<FaultKind> {
    Some(match error_type {
        "tokens" | "requests" => FaultKind::RateLimit,
        "server_error" | "api_error" | "internal_server_error" => FaultKind::Internal,
        _ => return None,
    })
}

/// Status, type and code of an error.
pub(super) fn write_fault_kind(kind: FaultKind) -> (u16, &'static str, Option<&'static str>) {
    match kind {
        FaultKind::BadRequest => (400, "invalid_request_error", None),
        FaultKind::ContextTooLong => (400, "invalid_request_error", Some("context_length_exceeded")),
        FaultKind::ContentBlocked => (400, "invalid_request_error", Some("content_filter")),
        FaultKind::Auth => (401, "invalid_request_error", Some("invalid_api_key")),
        FaultKind::Permission => (403, "invalid_request_error", Some("permission_denied")),
        FaultKind::Credential => (502, "provider_error", Some("provider_credential_refused")),
        FaultKind::Billing => (429, "insufficient_quota", Some("insufficient_quota")),
        FaultKind::NotFound => (404, "invalid_request_error", Some("model_not_found")),
        FaultKind::TooLarge => (413, "invalid_request_error", Some("request_too_large")),
        FaultKind::RateLimit => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        FaultKind::Overloaded => (503, "server_error", Some("overloaded")),
        FaultKind::Timeout => (504, "server_error", Some("timeout")),
        FaultKind::Internal => (500, "server_error", None),
    }
}
