//! Words of this dialect and what they mean, one table each way; whole answers and streams share them.

use crate::neutral::{FaultKind, Finish, Role, ServiceTier};

pub(super) fn read_role(word: &str) -> Role {
    match word {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" | "developer" => Role::System,
        other => Role::Other(other.to_owned()),
    }
}

pub(super) fn role(role: &Role) -> &str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
        // Newer models want `developer` and take `system` for it; many compatible servers know this word alone.
        Role::System => "system",
        Role::Other(word) => word,
    }
}

pub(super) fn read_tier(word: &str) -> ServiceTier {
    match word {
        "auto" => ServiceTier::Auto,
        "default" | "standard" => ServiceTier::Standard,
        "flex" => ServiceTier::Flex,
        "priority" | "fast" => ServiceTier::Priority,
        other => ServiceTier::Other(other.to_owned()),
    }
}

/// The tier's name; `None` for one that OpenAI does not have: asked for, it would be refused, and told, it would mean
/// nothing.
pub(super) fn tier(tier: &ServiceTier) -> Option<&str> {
    match tier {
        ServiceTier::Auto => Some("auto"),
        ServiceTier::Standard => Some("default"),
        ServiceTier::Flex => Some("flex"),
        ServiceTier::Priority => Some("priority"),
        ServiceTier::Other(word) => {
            Some(word.as_str()).filter(|word| matches!(*word, "scale" | "fast" | "ultrafast"))
        }
    }
}

/// Why an answer ends: by the response's status and, when that is `incomplete`, by its reason. Calls and refusals are
/// found in what the answer holds.
pub(super) fn read_finish(status: &str, reason: Option<&str>) -> Finish {
    match (status, reason) {
        ("incomplete", Some("max_output_tokens" | "max_tokens")) => Finish::MaxTokens,
        ("incomplete", Some("content_filter")) => Finish::Blocked(None),
        ("incomplete", Some(reason)) => Finish::Other(reason.to_owned()),
        // Some servers write no status, or `complete`.
        ("completed" | "complete" | "", _) => Finish::End,
        (other, _) => Finish::Other(other.to_owned()),
    }
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub word: &'static str,
    /// `incomplete_details.reason`
    pub reason: Option<&'static str>,
}

pub(super) const IN_PROGRESS: Status = Status {
    word: "in_progress",
    reason: None,
};
pub(super) const COMPLETED: Status = Status {
    word: "completed",
    reason: None,
};
pub(super) const FAILED: Status = Status {
    word: "failed",
    reason: None,
};

/// How an answer is told to end. A refusal by the model itself stands in a part of its own; one without any words would
/// look like an answer without any.
pub(super) fn status(finish: &Finish, has_refusal: bool) -> Status {
    let incomplete = |reason| Status {
        word: "incomplete",
        reason: Some(reason),
    };
    match finish {
        Finish::MaxTokens | Finish::ContextFull => incomplete("max_output_tokens"),
        Finish::Blocked(_) => incomplete("content_filter"),
        Finish::Refused(None) if !has_refusal => incomplete("content_filter"),
        Finish::BadToolCall(_) => FAILED,
        Finish::End
        | Finish::StopSequence(_)
        | Finish::ToolCall
        | Finish::Refused(_)
        | Finish::Paused
        | Finish::Other(_) => COMPLETED,
    }
}

/// The word of another vendor's for an ending that has no equal here, as `native_finish_reason` beside the rest.
pub(super) fn native(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Paused => Some("pause_turn"),
        Finish::Other(word) => Some(word),
        Finish::Blocked(word) => word.as_deref(),
        _ => None,
    }
}

/// Code and message of what makes a response a failed one.
pub(super) fn error_of(finish: &Finish) -> Option<(&'static str, &'static str)> {
    let message = "the model wrote a call of a tool that makes no sense";
    matches!(finish, Finish::BadToolCall(_)).then_some(("server_error", message))
}

/// The kind of a fault by the code, the type or the status word that an error has: OpenAI's, those of its compatible
/// vendors, and those of Anthropic and Google, whose errors come through some of them.
pub(super) fn read_kind(word: &str) -> Option<FaultKind> {
    Some(match word {
        "context_length_exceeded" | "string_above_max_length" => FaultKind::ContextTooLong,
        "content_filter"
        | "invalid_prompt"
        | "bio_policy"
        | "content_policy_violation"
        | "image_content_policy_violation" => FaultKind::ContentBlocked,
        "invalid_api_key" | "authentication_error" | "invalid_authentication" | "UNAUTHENTICATED" => {
            FaultKind::Auth
        }
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" | "billing_error" => {
            FaultKind::Billing
        }
        "permission_error" | "permission_denied" | "PERMISSION_DENIED" => FaultKind::Permission,
        "model_not_found"
        | "not_found_error"
        | "deployment_not_found"
        | "DeploymentNotFound"
        | "NOT_FOUND" => FaultKind::NotFound,
        "request_too_large" | "image_file_too_large" => FaultKind::TooLarge,
        "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" | "RESOURCE_EXHAUSTED" => {
            FaultKind::RateLimit
        }
        "server_is_overloaded"
        | "slow_down"
        | "overloaded_error"
        | "service_unavailable"
        | "service_unavailable_error"
        | "UNAVAILABLE" => FaultKind::Overloaded,
        "timeout" | "timeout_error" | "request_timeout" | "vector_store_timeout" | "DEADLINE_EXCEEDED" => {
            FaultKind::Timeout
        }
        "server_error" | "api_error" | "internal_error" | "internal_server_error" | "INTERNAL" => {
            FaultKind::Internal
        }
        "invalid_request_error"
        | "previous_response_not_found"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION" => FaultKind::BadRequest,
        _ => return None,
    })
}

/// How a kind of fault is told: the HTTP status, the `type`, and the `code` where the provider gave none.
#[rustfmt::skip]
pub(super) fn fault(kind: FaultKind) -> (u16, &'static str, &'static str) {
    match kind {
        FaultKind::BadRequest     => (400, "invalid_request_error", "invalid_request_error"),
        FaultKind::ContextTooLong => (400, "invalid_request_error", "context_length_exceeded"),
        FaultKind::ContentBlocked => (400, "invalid_request_error", "content_filter"),
        FaultKind::Auth           => (401, "invalid_request_error", "invalid_api_key"),
        FaultKind::Billing        => (429, "insufficient_quota",    "insufficient_quota"),
        FaultKind::Permission     => (403, "permission_error",      "permission_denied"),
        FaultKind::Credential     => (502, "provider_error",        "provider_credential_refused"),
        FaultKind::NotFound       => (404, "invalid_request_error", "model_not_found"),
        FaultKind::TooLarge       => (413, "invalid_request_error", "request_too_large"),
        FaultKind::RateLimit      => (429, "rate_limit_error",      "rate_limit_exceeded"),
        FaultKind::Overloaded     => (503, "server_error",          "server_is_overloaded"),
        FaultKind::Timeout        => (504, "server_error",          "timeout"),
        FaultKind::Internal       => (500, "server_error",          "server_error"),
    }
}
