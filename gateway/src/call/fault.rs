//! What a client is told of a provider that failed, how the attempt is booked, and whether another one may follow.

use dialect::neutral::BadAnswer;
use dialect::refusal::{Code, Refusal};
use http::StatusCode;
use provider::{BodyFault, SendFault};

use super::again::{self, Again};
use crate::ledger::Outcome;
use crate::live::Rest;

/// All three.
pub(super) struct Failed {
    pub(super) refusal: Refusal,
    pub(super) outcome: Outcome,
    pub(super) again: Again,
}

impl Failed {
    fn new(code: Code, message: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            refusal: Refusal::new(code, message),
            outcome,
            again: Again::Never,
        }
    }

    /// Another attempt may do better.
    fn elsewhere(self, rest: Rest) -> Self {
        Self {
            again: Again::Elsewhere(rest),
            ..self
        }
    }
}

/// Nothing came back.
pub(super) fn no_answer(provider: &str, fault: SendFault) -> Failed {
    let (code, outcome) = match fault {
        SendFault::ConnectTimeout | SendFault::FirstByteTimeout => (Code::ProviderTimeout, Outcome::Timeout),
        SendFault::Connect
        | SendFault::Broken
        | SendFault::AddressForbidden
        | SendFault::NoToken
        | SendFault::NoNewToken => (Code::ProviderUnreachable, Outcome::Unreachable),
        SendFault::Encoded | SendFault::Flooded => (Code::ProviderBadAnswer, Outcome::ProviderError),
        SendFault::BadSecret | SendFault::TokenRefused | SendFault::LoginEnded => {
            (Code::ProviderCredentialRefused, Outcome::Refused)
        }
        SendFault::BadRequest => (Code::Internal, Outcome::Refused),
        SendFault::Late => (Code::LimitReached, Outcome::Refused),
        SendFault::Account(_) => (Code::ProviderAccountRefused, Outcome::Refused),
        SendFault::Busy => (Code::Overloaded, Outcome::Refused),
        SendFault::Nothing => (Code::ProviderEmptyOrBlocked, Outcome::ProviderError),
        SendFault::TooLarge => (Code::ProviderAnswerTooLarge, Outcome::ProviderError),
        SendFault::Program => (Code::ProviderBadAnswer, Outcome::ProviderError),
        SendFault::SwitchedOff => (Code::ProviderSwitchedOff, Outcome::Refused),
    };
    let message = format!("Provider `{provider}` gave no answer: {fault}.");
    Failed {
        again: again::after_sending(fault),
        ..Failed::new(code, message, outcome)
    }
}

/// An answer with a status that may not be passed on, if this is one.
///
/// A provider's 401 or 403 is about our credential, not about the caller's key: passed on, it would send the caller
/// looking for a mistake that is not theirs, and OpenAI's message even quotes part of the credential.
pub(super) fn not_for_clients(provider: &str, status: StatusCode) -> Option<Failed> {
    let (code, message) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Some(credential_refused(provider)),
        _ if status.is_redirection() || status.is_informational() => (
            Code::ProviderBadAnswer,
            format!(
                "Provider `{provider}` answered with status {}, which cannot be used.",
                status.as_u16()
            ),
        ),
        _ => return None,
    };
    Some(Failed::new(code, message, Outcome::ProviderError))
}

/// An answer that says that our credential is none.
pub(super) fn credential_refused(provider: &str) -> Failed {
    let message = format!("Provider `{provider}` refused the credential that this gateway holds for it.");
    Failed::new(Code::ProviderCredentialRefused, message, Outcome::ProviderError).elsewhere(Rest::Refused)
}

/// An answer that cannot be read, and so not be translated.
pub(super) fn no_reply(provider: &str, error: &BadAnswer) -> Failed {
    let message = format!("The answer of provider `{provider}` cannot be translated: {error}.");
    Failed::new(Code::ProviderBadAnswer, message, Outcome::ProviderError)
}

/// An answer that is not JSON: an error page, or one that broke off where nobody could notice.
pub(super) fn not_json(provider: &str, status: StatusCode) -> Failed {
    let message = format!(
        "Provider `{provider}` answered with status {} and something that is not JSON.",
        status.as_u16()
    );
    Failed {
        again: again::after_status(status),
        ..Failed::new(Code::ProviderBadAnswer, message, Outcome::ProviderError)
    }
}

/// An answer that broke off.
pub(super) fn broken(provider: &str, fault: BodyFault) -> Failed {
    let message = format!("Provider `{provider}` did not finish: {fault}.");
    match fault {
        BodyFault::GapTimeout | BodyFault::QuietTimeout | BodyFault::TotalTimeout => {
            let failed = Failed::new(Code::ProviderTimeout, message, Outcome::Timeout);
            Failed {
                again: Again::NeverAfter(Rest::Usual),
                ..failed
            }
        }
        BodyFault::Cut => Failed::new(Code::ProviderAnswerCut, message, Outcome::Cut).elsewhere(Rest::Usual),
    }
}

/// A stream that ended in good order, but in the middle.
pub(super) fn unfinished(provider: &str) -> Failed {
    let message = format!("Provider `{provider}` ended its stream in the middle.");
    Failed::new(Code::ProviderAnswerCut, message, Outcome::Cut).elsewhere(Rest::Usual)
}

/// An answer that is larger than is believed.
pub(super) fn too_large(provider: &str) -> Failed {
    let message = format!("The answer of provider `{provider}` is too large.");
    Failed::new(Code::ProviderAnswerTooLarge, message, Outcome::ProviderError)
}

/// There is no room to hold more of it.
pub(super) fn no_room(refusal: Refusal) -> Failed {
    Failed {
        refusal,
        outcome: Outcome::Cut,
        again: Again::Never,
    }
}
