//! What goes wrong, and what is answered then.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::wait;
use crate::upstream::{Answer, SendFault};

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request holds something that the program cannot be told.
    Unsayable(String),
    /// Google answered the program with this status and these words.
    Told(u16, String),
    /// Google has had enough of this account for now; with its words, and after how many seconds it may be asked again.
    Limited(String, Option<u64>),
    /// Google does not serve this account.
    Account(AccountRefusal),
    /// The conversation is longer than the model's context.
    TooLong,
    /// The model said nothing, or what it said was held back: the program does not tell which.
    Nothing,
    /// More than is believed.
    TooLarge,
    /// Google's answer broke off.
    Cut,
    /// No process became free in time.
    Busy,
    TimedOut,
    /// The secret of the credential is no login.
    NoLogin,
    /// The program did not start, or did what it never does.
    Program(&'static str),
}

/// Why Google does not serve an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    #[error("Google has disabled the service for this account for violation of its terms (TOS_VIOLATION)")]
    TermsViolated,
    #[error("the API is not enabled in the project of the OAuth client (SERVICE_DISABLED)")]
    ServiceDisabled,
    #[error("Google no longer serves individual accounts through the Gemini CLI (UNSUPPORTED_CLIENT)")]
    UnsupportedClient,
    #[error("this account is not eligible for Gemini Code Assist (INELIGIBLE_ACCOUNT)")]
    Ineligible,
    #[error("Google wants this account to be verified first (VALIDATION_REQUIRED)")]
    ValidationRequired,
    #[error("this account needs a Google Cloud project, which the credential does not name")]
    ProjectRequired,
    #[error("Google refused this account")]
    Other,
}

const MESSAGE_LEN_MAX: usize = 600;
/// How the program calls that.
const BROKEN_OFF: &str = "Premature close";
/// Where advice of the program's own begins, about its own command line.
const ADVICE: &str = "\n\n\u{1f4a1}";

impl Failure {
    /// Of a status that Google gave. What is about the account is not told in Google's words.
    pub(super) fn told(status: u16, message: &str) -> Self {
        let refusal = AccountRefusal::read(message);
        match status {
            403 => Self::Account(refusal),
            // Of which the program makes an error of the server's.
            500 if refusal == AccountRefusal::TermsViolated => Self::Account(refusal),
            500 if message.contains(BROKEN_OFF) => Self::Cut,
            429 => Self::Limited(googles_words(message), wait::in_words(message)),
            400..=599 => Self::Told(status, googles_words(message)),
            _ => Self::Program("it told of an error that is none of Google's"),
        }
    }

    /// The same, where it is known from elsewhere when Google may be asked again.
    pub(super) fn with_wait(self, wait_s: Option<u64>) -> Self {
        match self {
            Self::Limited(message, told_s) => Self::Limited(message, wait_s.or(told_s)),
            other => other,
        }
    }

    /// What the gateway makes of it, as long as nothing of the answer has been passed on.
    pub(super) fn answer(self) -> Result<Answer, SendFault> {
        match self {
            Self::Unsayable(message) => Ok(error(400, &message, None)),
            Self::NoLogin => Err(SendFault::BadSecret),
            Self::Told(status, message) => Ok(error(status, &message, None)),
            Self::Limited(message, wait_s) => Ok(error(429, &message, wait_s)),
            Self::Account(refusal) => Err(SendFault::Account(refusal)),
            Self::TooLong => {
                // In Google's own words, by which a client knows it.
                let message = "The input token count exceeds the maximum number of tokens allowed.";
                Ok(error(400, message, None))
            }
            Self::Nothing => Err(SendFault::Nothing),
            Self::TooLarge => Err(SendFault::TooLarge),
            Self::Cut => Err(SendFault::Broken),
            Self::Busy => Err(SendFault::Busy),
            Self::TimedOut => Err(SendFault::FirstByteTimeout),
            Self::Program(_) => Err(SendFault::Program),
        }
    }
}

impl AccountRefusal {
    /// By what Google says, or the program in its place.
    pub(super) fn read(message: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["TOS_VIOLATION", "violation of Terms of Service"]) {
            Self::TermsViolated
        } else if says(&["SERVICE_DISABLED", "has not been used in project"]) {
            Self::ServiceDisabled
        } else if says(&["UNSUPPORTED_CLIENT", "client is no longer supported"]) {
            Self::UnsupportedClient
        } else if says(&["VALIDATION_REQUIRED", "Verify your account", "ValidationRequired"]) {
            Self::ValidationRequired
        } else if says(&["INELIGIBLE_ACCOUNT", "not eligible"]) {
            Self::Ineligible
        } else if says(&["GOOGLE_CLOUD_PROJECT", "ProjectIdRequired"]) {
            Self::ProjectRequired
        } else {
            Self::Other
        }
    }
}

/// What Google said, of which the program sometimes shows the whole answer, and to which it adds advice. In some of its
/// errors the program puts the whole of what it sent.
fn googles_words(message: &str) -> String {
    let whole: Option<Value> = serde_json::from_str(message).ok();
    let inner = whole
        .as_ref()
        .and_then(|whole| whole.get("error")?.get("message")?.as_str());
    let words = inner.unwrap_or(message);
    let words = words.split_once(ADVICE).map_or(words, |(words, _)| words);
    words.trim().chars().take(MESSAGE_LEN_MAX).collect()
}

/// An error as Google writes it.
fn error(status: u16, message: &str, wait_s: Option<u64>) -> Answer {
    let word = match status {
        400 => "INVALID_ARGUMENT",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let details: Vec<Value> = wait_s
        .map(|wait_s| json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{wait_s}s")}))
        .into_iter()
        .collect();
    let body = json!({"error": {"code": status, "message": message, "status": word, "details": details}});
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = Answer::ready(status, "application/json", vec![Bytes::from(body.to_string())]);
    if let Some(wait_s) = wait_s {
        answer.headers.insert(RETRY_AFTER, HeaderValue::from(wait_s));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_an_account_are_known_and_not_passed_on() {
        let failure = Failure::told(403, "for violation of Terms of Service");
        assert_eq!(failure, Failure::Account(AccountRefusal::TermsViolated));
        assert_eq!(AccountRefusal::read("something new"), AccountRefusal::Other);
        let advised = "Slow down.\n\n\u{1f4a1} Tip: gcloud";
        assert_eq!(
            Failure::told(429, advised),
            Failure::Limited("Slow down.".to_owned(), None)
        );
        let whole = r#"{"error":{"code":400,"message":"No."}}"#;
        assert_eq!(Failure::told(400, whole), Failure::Told(400, "No.".to_owned()));
    }
}
