//! What went wrong at a provider, in words of no dialect.

/// A provider's error, from an error answer or from inside a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The provider's own message. Whoever shows it to a caller filters secrets out first.
    pub message: String,
    /// The member of the request that it is about, where the provider tells.
    pub param: Option<String>,
    /// The provider's own code, as it spells it.
    pub code: Option<String>,
    /// After how long another try makes sense, where the body tells (headers are the caller's business), in
    /// milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// Types of errors, OpenAI's and Anthropic's, which are spelled like codes and say no more than the kind does.
const NO_CODES: [&str; 2] = ["invalid_request_error", "api_error"];

impl Fault {
    /// The provider's code, where it is spelled as those are that clients of OpenAI know: Google's words are not.
    pub(crate) fn openais_code(&self) -> Option<&str> {
        let is_spelled_so = |code: &&str| {
            let mut bytes = code.bytes();
            bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let code = self.code.as_deref().filter(is_spelled_so);
        code.filter(|code| !code.is_empty() && !NO_CODES.contains(code))
    }
}

/// The kinds on which clients act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    BadRequest,
    ContextTooLong,
    /// The input was held back by a filter.
    ContentBlocked,
    Auth,
    Billing,
    Permission,
    /// A provider refused the credential that is the gateway's own: no provider says so, but what clients are told of its
    /// [`Self::Auth`] and [`Self::Permission`], which are no fault of theirs.
    Credential,
    NotFound,
    TooLarge,
    RateLimit,
    Overloaded,
    Timeout,
    Internal,
}

impl FaultKind {
    /// What an error is by its HTTP status, where nothing else tells.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Auth,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 | 524 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            498 | 503 | 529 => Self::Overloaded,
            400..=499 => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}
