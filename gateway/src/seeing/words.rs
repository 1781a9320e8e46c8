//! The words of OpenTelemetry's conventions, for what this gateway calls otherwise.

use crate::ledger::{AttemptRecord, CallRecord, Outcome};

/// How all of it is asked for.
pub(super) const METHOD: &str = "POST";

/// `gen_ai.provider.name`: the conventions have a list, and where a provider is on it under another name than in the
/// catalogue, that name is theirs.
pub(super) fn provider(name: &str) -> &str {
    match name {
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}

/// What an attempt failed of, for `error.type`: the provider's status where that says it, our word otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AttemptError {
    Status(u16),
    Word(&'static str),
}

impl AttemptError {
    /// None for an attempt whose answer was passed on whole.
    pub(super) fn of(attempt: &AttemptRecord) -> Option<Self> {
        match attempt.outcome {
            Outcome::Ok => None,
            // Anything else that a provider may send as a status is one word: the list of series has to end.
            Outcome::ProviderError if (400..600).contains(&attempt.status) => {
                Some(Self::Status(attempt.status))
            }
            outcome => Some(Self::Word(outcome.as_str())),
        }
    }
}

/// What a call failed of, for `error.type`: the code of our refusal, or what its last attempt failed of.
pub(super) fn call_error(record: &CallRecord) -> Option<AttemptError> {
    match record.refusal {
        Some(code) => Some(AttemptError::Word(code)),
        None => record.attempts.last().and_then(AttemptError::of),
    }
}

impl std::fmt::Display for AttemptError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "{status}"),
            Self::Word(word) => formatter.write_str(word),
        }
    }
}
