//! Who is signed in on the pages, by a gateway key: sessions in the database, so that all replicas know them.
//!
//! A session ends by itself, when its owner says so, and with its key: the key is looked up in the live state each time,
//! so that one that was revoked opens nothing a moment later.

use std::sync::Arc;

use dialect::refusal::{Code, Refusal};
use store::{Store, StoreError, UiSession};
use vault::{DigestKey, Secret, VaultError};

use crate::call::identify;
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
    #[error("the store is not available")]
    Unavailable,
}

const LIFE_MS: i64 = 8 * 3_600 * 1_000;
const IDLE_MS: i64 = 30 * 60 * 1_000;
/// How exactly it is known when a session was last used.
const SEEN_STEP_MS: i64 = 60 * 1_000;

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
            let is_live = key.is_live(now_ms) && !tenant.disabled && *tenant.id == *session.tenant_id;
            is_live.then_some((tenant, key))
        });
        let (tenant, key) = found.ok_or(SessionError::Nobody)?;
        if now_ms.saturating_sub(session.seen_at_ms) >= SEEN_STEP_MS {
            self.store.in_time(self.store.see_ui_session(id, now_ms)).await?;
        }
        Ok(SignedIn {
            session_id: session.id,
            tenant,
            key,
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
