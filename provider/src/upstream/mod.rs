//! Sending one request to a provider, and reading its answer as it comes.
//!
//! A request is built from nothing: what a client sent reaches a provider only as the body, and through a short list
//! of headers. Redirects are answers like any other, proxies of the environment are not looked at, and connections
//! are never shared between credentials.

mod answer;
mod connect;
mod courier;
mod exchange;
mod pool;
mod request;
mod service_account;
mod tokens;

use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::Dialect;
use http::{HeaderMap, HeaderValue, Method};
use vault::Secret;

use crate::base_url::{BaseUrl, Trust};
use crate::catalog::AuthStyle;
use crate::gemini_cli::{AccountRefusal, GeminiCli};
use crate::glob::Glob;

pub use answer::{Answer, AnswerBody, BodyFault};
pub use connect::TlsError;
use connect::{Connector, Tls};
pub use courier::Courier;
use pool::Pool;
pub use tokens::Tokens;

/// The upstream connections of one runtime.
pub struct Upstreams {
    pool: Pool,
    for_operators: Connector,
    for_tenants: Connector,
    tokens: Tokens,
    tokens_of_anybody: bool,
    gemini_cli: Option<GeminiCli>,
}

/// What all upstream connections have in common.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// More certificate authorities to believe, in PEM.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Until a connection stands: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Of Google service accounts.
    pub tokens: Tokens,
    /// Whether they are asked for wherever a key file says, be that not Google.
    pub tokens_of_anybody: bool,
    /// Where it is switched on.
    pub gemini_cli: Option<GeminiCli>,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            extra_ca_pem: None,
            connect_timeout: Duration::from_secs(5),
            tokens: Tokens::default(),
            tokens_of_anybody: false,
            gemini_cli: None,
        }
    }
}

/// How long a provider may take over one request.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until the head of a streamed answer.
    pub first_byte_streamed: Duration,
    /// Until the head of a whole answer, which comes only when all of it is ready.
    pub first_byte_whole: Duration,
    /// Between two pieces of a body, while somebody waits for the next.
    pub gap: Duration,
    /// From sending to the end of the body.
    pub total: Duration,
}

impl Default for Timeouts {
    /// Minutes: reasoning models are silent for that long.
    fn default() -> Self {
        Self {
            first_byte_streamed: Duration::from_secs(300),
            first_byte_whole: Duration::from_secs(600),
            gap: Duration::from_secs(300),
            total: Duration::from_secs(3600),
        }
    }
}

/// One request to be sent.
pub struct Errand<'a> {
    pub credential_id: &'a str,
    pub base_url: &'a BaseUrl,
    pub auth: AuthStyle,
    /// The one that the body is written in. Which headers of the client's go along depends on it.
    pub dialect: Dialect,
    /// Of what the client says with `anthropic-beta`, what this provider may be told.
    pub betas: &'a [Glob],
    /// None for servers that need none.
    pub secret: Option<&'a Secret>,
    pub method: Method,
    /// What follows the base URL: an [`Endpoint`](crate::Endpoint), or another path.
    pub path: &'a str,
    pub body: Vec<Bytes>,
    pub streamed: bool,
    /// Sent as `x-request-id`.
    pub attempt_id: &'a str,
    pub client_headers: &'a HeaderMap,
    pub timeouts: &'a Timeouts,
    /// Asked when the connection stands and nothing has been written: what takes its time may come too late.
    pub may_go: MayGo<'a>,
}

/// Whether a request may still be sent.
pub type MayGo<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// Of a request that is never too late.
pub const AT_ANY_TIME: MayGo<'static> = &|| true;

/// Why there is no answer. Holds no text of the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    #[error("the connection was refused or failed")]
    Connect,
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("it was too late to send anything")]
    Late,
    #[error("the name leads to an address that may not be reached")]
    AddressForbidden,
    #[error("the answer did not begin in time")]
    FirstByteTimeout,
    #[error("the connection broke before an answer")]
    Broken,
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    #[error("too many interim answers came before the answer")]
    Flooded,
    #[error("the credential is of no use: it cannot be shown to the provider")]
    BadSecret,
    #[error("the request cannot be put together")]
    BadRequest,
    #[error("the service account was refused a token")]
    TokenRefused,
    #[error("no token came for the service account")]
    NoToken,
    #[error("Google has ended the login; its owner has to sign in again")]
    LoginEnded,
    #[error("the login's token has ended, and no new one comes")]
    NoNewToken,
    #[error("it is switched off on this gateway")]
    SwitchedOff,
    #[error("{0}")]
    Account(AccountRefusal),
    #[error("no process of the program became free in time")]
    Busy,
    #[error("the model said nothing, or what it said was held back")]
    Nothing,
    #[error("the answer is too large")]
    TooLarge,
    #[error("the program failed")]
    Program,
}

impl SendFault {
    /// Whether it is certain that the provider was sent nothing.
    pub fn is_before_the_first_byte(self) -> bool {
        match self {
            Self::Connect
            | Self::ConnectTimeout
            | Self::Late
            | Self::AddressForbidden
            | Self::BadSecret
            | Self::BadRequest
            | Self::TokenRefused
            | Self::NoToken
            | Self::LoginEnded
            | Self::NoNewToken
            | Self::SwitchedOff
            | Self::Busy => true,
            Self::FirstByteTimeout
            | Self::Broken
            | Self::Encoded
            | Self::Flooded
            | Self::Account(_)
            | Self::Nothing
            | Self::TooLarge
            | Self::Program => false,
        }
    }

    pub fn is_timeout(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::FirstByteTimeout)
    }
}

impl Upstreams {
    /// # Errors
    /// When the extra certificate authorities cannot be read.
    pub fn new(settings: &UpstreamSettings) -> Result<Self, TlsError> {
        let tls = Tls::new(settings.extra_ca_pem.as_deref())?;
        let connector = |trust| Connector::new(&tls, trust, settings.connect_timeout);
        Ok(Self {
            pool: Pool::new(),
            for_operators: connector(Trust::Operator),
            for_tenants: connector(Trust::Tenant),
            tokens: settings.tokens.clone(),
            tokens_of_anybody: settings.tokens_of_anybody,
            gemini_cli: settings.gemini_cli.clone(),
        })
    }

    /// The Gemini CLI, where it is switched on.
    pub fn gemini_cli(&self) -> Option<&GeminiCli> {
        self.gemini_cli.as_ref()
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// When there is none, or none that can be used.
    pub async fn send(&self, errand: Errand<'_>) -> Result<Answer, SendFault> {
        if errand.auth != AuthStyle::GoogleServiceAccount {
            return self.deliver(errand, request::JSON).await;
        }
        // In a box, since it is large and rare: all calls would carry room for it.
        Box::pin(async {
            let token = self.token(&errand).await?;
            let errand = Errand {
                auth: AuthStyle::Bearer,
                secret: Some(&token),
                ..errand
            };
            self.deliver(errand, request::JSON).await
        })
        .await
    }

    async fn deliver(&self, errand: Errand<'_>, content_type: HeaderValue) -> Result<Answer, SendFault> {
        let Timeouts {
            first_byte_streamed,
            first_byte_whole,
            gap,
            total,
        } = *errand.timeouts;
        let first_byte = if errand.streamed {
            first_byte_streamed
        } else {
            first_byte_whole
        };
        let now = Instant::now();
        let place = self.pool.place(&errand, now);
        let (base_url, may_go) = (errand.base_url, errand.may_go);
        let connector = match base_url.trust() {
            Trust::Operator => &self.for_operators,
            Trust::Tenant => &self.for_tenants,
        };
        let request = request::build(errand, content_type)?;
        let mut timer = Box::pin(tokio::time::sleep_until((now + first_byte.min(total)).into()));
        let exchanged = tokio::select! {
            biased;
            exchanged = exchange::exchange(&place, connector, (base_url, may_go), (request, now)) => exchanged,
            () = timer.as_mut() => return Err(SendFault::FirstByteTimeout),
        };
        let (response, busy) = exchanged?;
        if busy.was_flooded() {
            return Err(SendFault::Flooded);
        }
        // What keeps the connection busy while it is worked on, may do so for as long as it may be worked on in silence.
        let quiet = gap.max(first_byte_whole);
        Answer::new(response, busy, gap, quiet, now + total, timer)
    }
}

#[cfg(test)]
mod tests;
