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

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    MalformedRequest,
    HeadTooLarge,
    UriTooLong,
    ExpectationFailed,
    UnsupportedTransferCoding,
    MissingApiKey,
    InvalidApiKey,
    AmbiguousCredentials,
    TooManyFailures,
    InvalidJson,
    DuplicateMember,
    JsonTooDeep,
    TooManyValues,
    MissingMember,
    InvalidValue,
    ForbiddenMember,
    BodyTooLarge,
    BodyIncomplete,
    RequestTimeout,
    UnsupportedMediaType,
    UnsupportedContentEncoding,
    UnknownEndpoint,
    MethodNotAllowed,
    ModelNotFound,
    NoCredential,
    UnsupportedDialect,
    CannotTranslate,
    LimitReached,
    LimitTooSmall,
    LimitUnpriced,
    LimitUnavailable,
    ProviderUnreachable,
    ProviderTimeout,
    ProviderBadAnswer,
    ProviderAnswerTooLarge,
    ProviderAnswerCut,
    ProviderCredentialRefused,
    ProviderAccountRefused,
    ProviderEmptyOrBlocked,
    ProviderSwitchedOff,
    StoreUnavailable,
    LedgerUnavailable,
    Overloaded,
    ShuttingDown,
    Internal,
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

    #[rustfmt::skip]
    fn row(self) -> (&'static str, u16, Party) {
        use Party::{Caller, Gateway, Policy, Provider};
        match self {
            Self::MalformedRequest           => ("malformed_request",            400, Caller),
            Self::HeadTooLarge               => ("head_too_large",               431, Caller),
            Self::UriTooLong                 => ("uri_too_long",                 414, Caller),
            Self::ExpectationFailed          => ("expectation_failed",           417, Caller),
            Self::UnsupportedTransferCoding  => ("unsupported_transfer_coding",  501, Caller),
            Self::MissingApiKey              => ("missing_api_key",              401, Caller),
            Self::InvalidApiKey              => ("invalid_api_key",              401, Caller),
            Self::AmbiguousCredentials       => ("ambiguous_credentials",        400, Caller),
            Self::TooManyFailures            => ("too_many_failures",            429, Caller),
            Self::InvalidJson                => ("invalid_json",                 400, Caller),
            Self::DuplicateMember            => ("duplicate_member",             400, Caller),
            Self::JsonTooDeep                => ("json_too_deep",                400, Caller),
            Self::TooManyValues              => ("too_many_values",              400, Caller),
            Self::MissingMember              => ("missing_member",               400, Caller),
            Self::InvalidValue               => ("invalid_value",                400, Caller),
            Self::ForbiddenMember            => ("forbidden_member",             400, Caller),
            Self::BodyTooLarge               => ("body_too_large",               413, Caller),
            Self::BodyIncomplete             => ("body_incomplete",              400, Caller),
            Self::RequestTimeout             => ("request_timeout",              408, Caller),
            Self::UnsupportedMediaType       => ("unsupported_media_type",       415, Caller),
            Self::UnsupportedContentEncoding => ("unsupported_content_encoding", 415, Caller),
            Self::UnknownEndpoint            => ("unknown_endpoint",             404, Caller),
            Self::MethodNotAllowed           => ("method_not_allowed",           405, Caller),
            Self::ModelNotFound              => ("model_not_found",              404, Policy),
            Self::NoCredential               => ("no_credential",                404, Policy),
            Self::UnsupportedDialect         => ("unsupported_dialect",          400, Policy),
            Self::CannotTranslate            => ("cannot_translate",             400, Policy),
            Self::LimitReached               => ("limit_reached",                429, Policy),
            Self::LimitTooSmall              => ("limit_too_small",              400, Policy),
            Self::LimitUnpriced              => ("limit_unpriced",               400, Policy),
            Self::LimitUnavailable           => ("limit_unavailable",            503, Gateway),
            Self::ProviderUnreachable        => ("provider_unreachable",         502, Provider),
            Self::ProviderTimeout            => ("provider_timeout",             504, Provider),
            Self::ProviderBadAnswer          => ("provider_bad_answer",          502, Provider),
            Self::ProviderAnswerTooLarge     => ("provider_answer_too_large",    502, Provider),
            Self::ProviderAnswerCut          => ("provider_answer_cut",          502, Provider),
            Self::ProviderCredentialRefused  => ("provider_credential_refused",  502, Provider),
            Self::ProviderAccountRefused     => ("provider_account_refused",     403, Provider),
            Self::ProviderEmptyOrBlocked     => ("provider_empty_or_blocked",    502, Provider),
            Self::ProviderSwitchedOff        => ("provider_switched_off",        403, Policy),
            Self::StoreUnavailable           => ("store_unavailable",            503, Gateway),
            Self::LedgerUnavailable          => ("ledger_unavailable",           503, Gateway),
            Self::Overloaded                 => ("overloaded",                   503, Gateway),
            Self::ShuttingDown               => ("shutting_down",                503, Gateway),
            Self::Internal                   => ("internal",                     500, Gateway),
        }
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
