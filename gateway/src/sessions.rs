//! Who is signed in on the pages, by a gateway key: sessions in the database, so that all replicas know them.
//!
//! A session ends by itself, when its owner says so, and with its key: the key is looked up in the live state each time,
//! so that one that was revoked opens nothing a moment later. It begins by a secret that lasts, and ends when the key gets
//! another one: no session outlives the secret that it was begun with.
//!
//! What is done on the pages concerns logins for the Gemini CLI, so only a key that may use that has sessions.

use std::sync::Arc;

use dialect::refusal::{Code, Refusal};
use provider::ProviderKind;
use provider::gemini_cli::MODELS;
use store::{Store, StoreError, UiSession};
use vault::{DigestKey, Secret, VaultError, gateway_key};

use crate::call::{Caller, identify, route};
use crate::clock::now_ms;
use crate::live::{Directory, GatewayKey, LookupError, TenantState};

/// The sessions of all tenants.
pub struct Sessions {
    store: Store,
    directory: Arc<Directory>,
}

/// Somebody who is signed in.
pub struct SignedIn {
    pub session_id: String,
    pub tenant: Arc<TenantState>,
    pub key: Arc<GatewayKey>,
}

/// Why nobody is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// No session, one that has ended, or a key that opens nothing.
    #[error("nobody is signed in")]
    Nobody,
    #[error("this key may not use the Gemini CLI")]
    NotForLogins,
    #[error("the store is not available")]
    Unavailable,
}

const LIFE_MS: i64 = 8 * 3_600 * 1_000;
const IDLE_MS: i64 = 30 * 60 * 1_000;
/// How exactly it is known when a session was last used.
const SEEN_STEP_MS: i64 = 60 * 1_000;
/// For all replicas to hear of a new secret: one that does not know of it yet lets the old one begin sessions.
const ROTATION_MS: i64 = 2_000;

impl Sessions {
    pub fn new(store: Store, directory: Arc<Directory>) -> Self {
        Self { store, directory }
    }

    /// Begins a session by a gateway key: what the browser is to hold.
    ///
    /// # Errors
    /// When the key is none, or the database does not answer.
    pub async fn begin(&self, key: &str) -> Result<(Secret, SignedIn), SessionError> {
        let now_ms = now_ms();
        let caller = identify(&self.directory, Some(key), now_ms).await;
        let caller = caller.map_err(|refusal: Refusal| match refusal.code {
            Code::StoreUnavailable => SessionError::Unavailable,
            _ => SessionError::Nobody,
        })?;
        let lasts = gateway_key::parse(key).is_some_and(|shown| {
            caller
                .key
                .opens_for_good(shown.secret, self.directory.digest_key())
        });
        if !lasts {
            return Err(SessionError::Nobody);
        }
        if !self.reaches_the_cli(&caller) {
            return Err(SessionError::NotForLogins);
        }
        let token = Secret::random()?;
        let session = UiSession {
            id: digest(self.directory.digest_key(), "ui-session", &token),
            tenant_id: caller.tenant.id.to_string(),
            key_id: caller.key.id.clone(),
            created_at_ms: now_ms,
            seen_at_ms: now_ms,
        };
        let beginning = self
            .store
            .begin_ui_session(&session, now_ms.saturating_sub(LIFE_MS));
        self.store.in_time(beginning).await?;
        let signed_in = SignedIn {
            session_id: session.id,
            tenant: caller.tenant,
            key: caller.key,
        };
        Ok((token, signed_in))
    }

    /// Who holds this.
    ///
    /// # Errors
    /// When nobody does any more, or that cannot be known now.
    pub async fn find(&self, token: &Secret) -> Result<SignedIn, SessionError> {
        self.by_id(&digest(self.directory.digest_key(), "ui-session", token))
            .await
    }

    /// Whose session this is, if it lasts.
    ///
    /// # Errors
    /// As [`Sessions::find`].
    pub async fn by_id(&self, id: &str) -> Result<SignedIn, SessionError> {
        let session = self.store.in_time(self.store.ui_session(id)).await?;
        let session = session.ok_or(SessionError::Nobody)?;
        let now_ms = now_ms();
        if now_ms.saturating_sub(session.created_at_ms) >= LIFE_MS
            || now_ms.saturating_sub(session.seen_at_ms) >= IDLE_MS
        {
            self.store.in_time(self.store.end_ui_session(id)).await?;
            return Err(SessionError::Nobody);
        }
        let tenant = self.directory.tenant_of_key(&session.key_id).await?;
        let found = tenant.and_then(|tenant| {
            let key = tenant.key(&session.key_id).cloned()?;
            let rotated = key.rotated_at_ms().is_some_and(|rotated_at_ms| {
                session.created_at_ms < rotated_at_ms.saturating_add(ROTATION_MS)
            });
            let is_live = key.is_live(now_ms) && !tenant.disabled && *tenant.id == *session.tenant_id;
            let prices = tenant.prices.clone();
            (is_live && !rotated).then_some(Caller { tenant, key, prices })
        });
        let found = found.filter(|caller| self.reaches_the_cli(caller));
        let Caller { tenant, key, .. } = found.ok_or(SessionError::Nobody)?;
        if now_ms.saturating_sub(session.seen_at_ms) >= SEEN_STEP_MS {
            self.store.in_time(self.store.see_ui_session(id, now_ms)).await?;
        }
        Ok(SignedIn {
            session_id: session.id,
            tenant,
            key,
        })
    }

    /// Whether any name that this key may ask for leads to the Gemini CLI.
    fn reaches_the_cli(&self, caller: &Caller) -> bool {
        let directory = &self.directory;
        let is_it = |provider: &str| {
            let provider = directory.catalog().get(provider);
            provider.is_some_and(|provider| provider.kind == ProviderKind::GeminiCli)
        };
        let global = directory.global();
        let routes = caller.tenant.routes.iter().chain(&global.routes);
        let routed = routes
            .filter(|route| route.targets.iter().any(|target| is_it(&target.provider)))
            .map(|route| route.pattern.as_str());
        let providers = directory.catalog().iter().map(|provider| provider.name.as_str());
        let of_models = providers.filter(|name| is_it(name)).flat_map(|provider| {
            MODELS
                .iter()
                .flat_map(move |model| [format!("{provider}/{model}"), (*model).to_owned()])
        });
        of_models
            .chain(routed.flat_map(|pattern| [pattern.to_owned(), pattern.replace('*', "x")]))
            .any(|name| {
                route(directory, caller, &name)
                    .is_ok_and(|plan| plan.targets.iter().any(|target| is_it(&target.provider)))
            })
    }

    /// Ends the session of whoever holds this.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end(&self, token: &Secret) -> Result<(), SessionError> {
        let id = digest(self.directory.digest_key(), "ui-session", token);
        Ok(self.store.in_time(self.store.end_ui_session(&id)).await?)
    }
}

/// By what a value that a browser holds is known: the use is part of it, so that a value of one use is none of another.
pub(crate) fn digest(key: &DigestKey, what_for: &str, value: &Secret) -> String {
    let text = Secret::new(format!("{what_for}:{}", value.expose()));
    key.digest(text.expose())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        if !matches!(error, StoreError::Unavailable(_)) {
            tracing::error!(%error, "a session cannot be looked up");
        }
        Self::Unavailable
    }
}

impl From<LookupError> for SessionError {
    fn from(_: LookupError) -> Self {
        Self::Unavailable
    }
}

impl From<VaultError> for SessionError {
    fn from(_: VaultError) -> Self {
        Self::Unavailable
    }
}
