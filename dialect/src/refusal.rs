//! Our answer when we do not serve: one closed list of codes, each with its status and with who is at fault.
//!
//! How a refusal is written is each dialect's own business; what it says is decided here, once.

use crate::rates::Rates;
use std::borrow::Cow;

/// Who has to act for the call to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The request itself is wrong.
    Caller,
    /// The request is right, but a rule of this gateway does not let it through.
    Policy,
    /// The provider failed.
    Provider,
    /// The gateway failed, or has no capacity.
    Gateway,
}

impl Party {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Policy => "policy",
            Self::Provider => "provider",
            Self::Gateway => "gateway",
        }
    }
}

/// What is made of the one list: the codes, and what is known of each.
macro_rules! codes {
    ($($code:ident $name:literal $status:literal $party:ident $meaning:literal;)*) => {
        /// Why a call is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $code,)*
        }

        impl Code {
            fn row(self) -> (&'static str, u16, Party) {
                match self {
                    $(Self::$code => ($name, $status, Party::$party),)*
                }
            }

            /// All of them, with what `docs/errors.md` says of each.
            #[cfg(test)]
            const ALL: &[(Self, &'static str)] = &[$((Self::$code, $meaning),)*];
        }
    };
}

#[rustfmt::skip]
codes! {
    MalformedRequest           "malformed_request"            400 Caller   "The head of the request is not HTTP, or could be read in two ways: no host or two, two lengths, two codings.";
    HeadTooLarge               "head_too_large"               431 Caller   "A header is longer than 32 KiB. Where the whole head is longer than 64 KiB or has more than 100 headers, the status comes alone.";
    UriTooLong                 "uri_too_long"                 414 Caller   "Path and query are longer than 8 KiB.";
    ExpectationFailed          "expectation_failed"           417 Caller   "`expect` says something else than `100-continue`.";
    UnsupportedTransferCoding  "unsupported_transfer_coding"  501 Caller   "`transfer-encoding` says something else than `chunked`.";
    MissingApiKey              "missing_api_key"              401 Caller   "No gateway key was shown.";
    InvalidApiKey              "invalid_api_key"              401 Caller   "The gateway key is mistyped, unknown, revoked or expired, or its tenant is disabled. Which of these is not told.";
    AmbiguousCredentials       "ambiguous_credentials"        400 Caller   "Two different gateway keys were shown.";
    TooManyFailures            "too_many_failures"            429 Caller   "This address has sent too many requests without a valid key (`TOLLGATE_FAILED_KEYS_MAX`). Valid keys go on being served.";
    InvalidJson                "invalid_json"                 400 Caller   "The body is not a JSON object in UTF-8.";
    DuplicateMember            "duplicate_member"             400 Caller   "A member that the gateway acts on is there twice.";
    JsonTooDeep                "json_too_deep"                400 Caller   "The body is nested more than 127 deep.";
    TooManyValues              "too_many_values"              400 Caller   "The body has more than 4,194,304 values or, at the top, 1,024 members, more than 16,384 messages or 1,024 tools, or more texts to embed than the provider takes at once.";
    MissingMember              "missing_member"               400 Caller   "A member without which there is no call is missing. `param` names it.";
    InvalidValue               "invalid_value"                400 Caller   "A member has a wrong type, or a value that makes no sense. `param` names it.";
    ForbiddenMember            "forbidden_member"             400 Caller   "The request says where it is to be sent or with which key (`base_url`, `api_key`, `extra_headers`, …), which is not the client's to say.";
    BodyTooLarge               "body_too_large"               413 Caller   "The body is larger than `TOLLGATE_BODY_BYTES_MAX`.";
    BodyIncomplete             "body_incomplete"              400 Caller   "The body ended before all of it was there.";
    RequestTimeout             "request_timeout"              408 Caller   "The head or the body did not arrive in time.";
    UnsupportedMediaType       "unsupported_media_type"       415 Caller   "`content-type` is not `application/json`.";
    UnsupportedContentEncoding "unsupported_content_encoding" 415 Caller   "The body is compressed.";
    UnknownEndpoint            "unknown_endpoint"             404 Caller   "There is nothing at this path.";
    MethodNotAllowed           "method_not_allowed"           405 Caller   "The path takes another method.";
    ModelNotFound              "model_not_found"              404 Policy   "No route leads from this name of a model to a provider, the gateway key may not use it, or the provider can have no model of that name. `tollgate route explain` tells.";
    NoCredential               "no_credential"                404 Policy   "The tenant has no credential for the provider that the model is routed to, or none that is enabled. `tollgate credential add` adds one.";
    UnsupportedDialect         "unsupported_dialect"          400 Policy   "The provider that the model is routed to cannot do this: it makes no vectors, or counts no tokens.";
    CannotTranslate            "cannot_translate"             400 Policy   "The request needs something for which the provider's dialect has no place ([translation.md](translation.md)). `param` names it.";
    LimitReached               "limit_reached"                429 Policy   "A limit is used up ([limits.md](limits.md)).";
    LimitTooSmall              "limit_too_small"              400 Policy   "This one call may use more than a whole limit allows: waiting does not help, a smaller cap on the answer may.";
    LimitUnpriced              "limit_unpriced"               400 Policy   "A limit on dollars applies, and the gateway knows no price of the model ([prices.md](prices.md)).";
    LimitUnavailable           "limit_unavailable"            503 Gateway  "The database is away, and this replica holds nothing of the limit any more.";
    ProviderUnreachable        "provider_unreachable"         502 Provider "No connection to the provider came about, it broke before there was an answer, or no token for the provider could be got.";
    ProviderTimeout            "provider_timeout"             504 Provider "The provider took too long, to begin its answer or to go on with it.";
    ProviderBadAnswer          "provider_bad_answer"          502 Provider "What the provider sent is no answer: an error page, a redirect, something compressed, or JSON that its dialect does not have.";
    ProviderAnswerTooLarge     "provider_answer_too_large"    502 Provider "The provider's answer is larger than the gateway holds.";
    ProviderAnswerCut          "provider_answer_cut"          502 Provider "The provider's answer broke off.";
    ProviderCredentialRefused  "provider_credential_refused"  502 Provider "The provider does not take the credential that the gateway holds for it. It is not about the client's key.";
    ProviderAccountRefused     "provider_account_refused"     403 Provider "Google does not serve the account behind the [Gemini CLI](gemini-cli.md).";
    ProviderEmptyOrBlocked     "provider_empty_or_blocked"    502 Provider "The Gemini CLI has said nothing: the model had nothing to say, or Google held it back.";
    ProviderSwitchedOff        "provider_switched_off"        403 Policy   "The provider is switched off on this gateway (`TOLLGATE_GEMINI_CLI`).";
    StoreUnavailable           "store_unavailable"            503 Gateway  "The database is away and the gateway key is not in memory, or a row of the tenant makes no sense ([operations.md](operations.md)).";
    LedgerUnavailable          "ledger_unavailable"           503 Gateway  "What the call uses could not be booked, so it is not made: the disk is full or fails.";
    Overloaded                 "overloaded"                   503 Gateway  "Too much is under way: calls, bodies or connections, of this tenant, of this address or of all.";
    ShuttingDown               "shutting_down"                503 Gateway  "The gateway is stopping. Another replica, or the next process, takes the call.";
    Internal                   "internal"                     500 Gateway  "The gateway failed on this call. The log says where.";
}

impl Code {
    /// The HTTP status that an SDK expects for it.
    pub fn status(self) -> u16 {
        self.row().1
    }

    pub fn party(self) -> Party {
        self.row().2
    }

    /// Its name in answers, in the log and in the documentation.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }
}

/// A refusal, before it is written in somebody's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// One or two sentences for a person. Never a secret, never a provider's own words.
    pub message: String,
    /// The member of the request that it is about: one of ours, or a short and plain name that the client gave.
    pub param: Option<Cow<'static, str>>,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u64>,
    /// How the caller stands with its limits.
    pub rates: Option<Box<Rates>>,
    /// How often a provider was asked.
    pub attempts: u32,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            retry_after_s: None,
            rates: None,
            attempts: 0,
        }
    }

    #[must_use]
    pub fn param(self, param: impl Into<Cow<'static, str>>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// The member as tests compare it. They end soon enough for what is leaked.
    #[cfg(test)]
    pub(crate) fn named(&self) -> Option<&'static str> {
        self.param.clone().map(|param| &*param.into_owned().leak())
    }

    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    #[must_use]
    pub fn rates(self, rates: Option<Rates>) -> Self {
        Self {
            rates: rates.map(Box::new),
            ..self
        }
    }
}

#[cfg(test)]
mod page;
