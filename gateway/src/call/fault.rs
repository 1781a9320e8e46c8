//! What a client is told of a provider that failed, and how the attempt is booked.

use dialect::neutral::BadAnswer;
use dialect::refusal::{Code, Refusal};
use http::StatusCode;
use provider::{BodyFault, SendFault};

use crate::ledger::Outcome;

/// Both.
pub(super) type Failed = (Refusal, Outcome);

/// Nothing came back.
pub(super) fn no_answer(provider: &str, fault: SendFault) -> Failed {
    let (code, outcome) = match fault {
        SendFault::ConnectTimeout | SendFault::FirstByteTimeout => (Code::ProviderTimeout, Outcome::Timeout),
        SendFault::Connect | SendFault::Broken | SendFault::AddressForbidden | SendFault::NoToken => {
            (Code::ProviderUnreachable, Outcome::Unreachable)
        }
        SendFault::Encoded | SendFault::Flooded => (Code::ProviderBadAnswer, Outcome::ProviderError),
        SendFault::BadSecret | SendFault::TokenRefused => (Code::ProviderCredentialRefused, Outcome::Refused),
        SendFault::BadRequest => (Code::Internal, Outcome::Refused),
        SendFault::Account(_) => (Code::ProviderAccountRefused, Outcome::Refused),
        SendFault::Busy => (Code::Overloaded, Outcome::Refused),
        SendFault::Nothing => (Code::ProviderEmptyOrBlocked, Outcome::ProviderError),
        SendFault::TooLarge => (Code::ProviderAnswerTooLarge, Outcome::ProviderError),
        SendFault::Program => (Code::ProviderBadAnswer, Outcome::ProviderError),
        SendFault::SwitchedOff => (Code::ProviderSwitchedOff, Outcome::Refused),
    };
    let message = format!("Provider `{provider}` gave no answer: {fault}.");
    (Refusal::new(code, message), outcome)
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
    Some((Refusal::new(code, message), Outcome::ProviderError))
}

/// An answer that says that our credential is none.
pub(super) fn credential_refused(provider: &str) -> Failed {
    let message = format!("Provider `{provider}` refused the credential that this gateway holds for it.");
    let refusal = Refusal::new(Code::ProviderCredentialRefused, message);
    (refusal, Outcome::ProviderError)
}

/// An answer that cannot be read, and so not be translated.
pub(super) fn no_reply(provider: &str, error: &BadAnswer) -> Failed {
    let message = format!("The answer of provider `{provider}` cannot be translated: {error}.");
    (
        Refusal::new(Code::ProviderBadAnswer, message),
        Outcome::ProviderError,
    )
}

/// An answer that is not JSON: an error page, or one that broke off where nobody could notice.
pub(super) fn not_json(provider: &str, status: StatusCode) -> Failed {
    let status = status.as_u16();
    let message =
        format!("Provider `{provider}` answered with status {status} and something that is not JSON.");
    (
        Refusal::new(Code::ProviderBadAnswer, message),
        Outcome::ProviderError,
    )
}

/// An answer that broke off.
pub(super) fn broken(provider: &str, fault: BodyFault) -> Failed {
    let (code, outcome) = match fault {
        BodyFault::GapTimeout | BodyFault::QuietTimeout | BodyFault::TotalTimeout => {
            (Code::ProviderTimeout, Outcome::Timeout)
        }
        BodyFault::Cut => (Code::ProviderAnswerCut, Outcome::Cut),
    };
    let message = format!("Provider `{provider}` did not finish: {fault}.");
    (Refusal::new(code, message), outcome)
}

/// A stream that ended in good order, but in the middle.
pub(super) fn unfinished(provider: &str) -> Failed {
    let message = format!("Provider `{provider}` ended its stream in the middle.");
    (Refusal::new(Code::ProviderAnswerCut, message), Outcome::Cut)
}

/// An answer that is larger than is believed.
pub(super) fn too_large(provider: &str) -> Failed {
    let message = format!("The answer of provider `{provider}` is too large.");
    (
        Refusal::new(Code::ProviderAnswerTooLarge, message),
        Outcome::ProviderError,
    )
}
