//! Logins with Google, for the gemini CLI: begun on a page, come back to it, renewed ahead of their end, looked after.
//!
//! A login belongs to the tenant that signed in and to nobody else. Everything here runs on the control runtime; what a
//! call needs, [`Logins::fresh`], may be asked from anywhere.

mod begin;
mod callback;
mod cli;
mod manage;
mod renew;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provider::UpstreamSettings;
use provider::gemini_cli::GeminiCli;
use provider::google::{OAuthClient, OAuthFault, OAuthSettings, OAuthSetupError, TokenFileError};
use store::{Store, StoreError};
use tokio::runtime::Handle;
use vault::{Secret, VaultError};

use crate::live::Directory;

pub use begin::{Begun, Wish};
pub use callback::{Callback, CallbackRefusal, Finished};
pub use cli::CodeTried;

/// The logins of all tenants.
pub struct Logins {
    store: Store,
    directory: Arc<Directory>,
    control: Handle,
    client: Option<OAuthClient>,
    /// The program, where it is switched on.
    cli: Option<GeminiCli>,
    waiting: cli::Waiting,
    settings: LoginSettings,
    /// What this replica is called in claims.
    claimant: String,
    /// Renewals under way here, by credential: who comes later waits for the first.
    renewing: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// How logins behave, as settled at start.
#[derive(Clone)]
pub struct LoginSettings {
    /// The operator's own client, if there is one.
    pub client: Option<OAuthSettings>,
    /// How long before its end a token is renewed.
    pub ahead: Duration,
}

/// What was asked for and cannot be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoginFault {
    #[error("the provider gemini-cli is not switched on here")]
    Disabled,
    #[error("no client of Google's is set up here")]
    NoClient,
    #[error("the warning was not agreed to")]
    NoConsent,
    #[error("there is no such login")]
    NotFound,
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    #[error("{0}")]
    Invalid(String),
    /// It has ended; the owner has to sign in again.
    #[error("Google has ended this login: {0}")]
    Revoked(String),
    /// In Google's own words.
    #[error("{0}")]
    Google(String),
    #[error("the store is not available")]
    Unavailable,
}

/// What credentials of this kind are for.
pub const PROVIDER: &str = "gemini-cli";
/// The version of the warning that the page shows and that is agreed to. It changes with the text.
pub const CONSENT_TEXT: i64 = 1;

impl Logins {
    /// # Errors
    /// When the client of Google's that is set up makes no sense.
    pub fn open(
        store: Store,
        directory: Arc<Directory>,
        settings: LoginSettings,
        upstream: &UpstreamSettings,
        control: Handle,
    ) -> Result<Self, LoginSetupError> {
        let client = settings
            .client
            .as_ref()
            .map(|client| OAuthClient::new(client, upstream))
            .transpose()?;
        Ok(Self {
            store,
            directory,
            control,
            client,
            cli: upstream.gemini_cli.clone(),
            waiting: cli::Waiting::default(),
            settings,
            claimant: Secret::random()?.expose().to_owned(),
            renewing: Mutex::default(),
        })
    }

    /// Whether the operator has switched the provider on.
    pub fn is_enabled(&self) -> bool {
        self.cli.is_some()
    }

    /// Whether logins by the operator's own client can begin here.
    pub fn has_client(&self) -> bool {
        self.client.is_some()
    }
}

/// Logins that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoginSetupError {
    #[error(transparent)]
    Client(#[from] OAuthSetupError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<StoreError> for LoginFault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::Invalid { .. } | StoreError::Conflict { .. } => Self::Invalid(error.to_string()),
            StoreError::Unavailable(_) => Self::Unavailable,
            error => {
                tracing::error!(%error, "a login with Google cannot be read or written");
                Self::Unavailable
            }
        }
    }
}

impl From<OAuthFault> for LoginFault {
    fn from(fault: OAuthFault) -> Self {
        match fault {
            OAuthFault::Revoked(why) => Self::Revoked(why),
            OAuthFault::Refused(why) | OAuthFault::Passing(why) => Self::Google(why),
        }
    }
}

impl From<VaultError> for LoginFault {
    fn from(_: VaultError) -> Self {
        Self::Unavailable
    }
}
