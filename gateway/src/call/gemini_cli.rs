//! A call by the Gemini CLI, with a token of its tenant's login that is good.
//!
//! A token that is about to end is renewed before the call. One that Google refuses all the same is renewed once, and the
//! call made once more: by then nothing has been answered. When the new one is refused too, the client is told, the login
//! says so, and for a while no call renews it again: however many calls there are, Google is not pressed.

use std::sync::Arc;

use bytes::Bytes;
use gemini_cli::{Commission, Framing, GeminiCli};
use http::StatusCode;
use provider::google::TokenFile;
use provider::{Answer, SendFault, gemini_cli};
use vault::Secret;

use crate::clock::now_ms;
use crate::google::{LoginFault, Logins};
use crate::live::Credential;

/// What the program is to be asked, and as whom.
pub(super) struct Asking<'a> {
    pub(super) cli: &'a GeminiCli,
    pub(super) logins: &'a Arc<Logins>,
    pub(super) tenant_id: &'a Arc<str>,
    pub(super) credential: &'a Credential,
    pub(super) model: &'a str,
    /// In the dialect gemini_generate.
    pub(super) body: &'a [Bytes],
    pub(super) framing: Framing,
    pub(super) attempt_id: &'a str,
}

impl Asking<'_> {
    /// Makes the call.
    ///
    /// # Errors
    /// When nothing can be passed on to the client, not even an error of Google's.
    pub(super) async fn send(&self) -> Result<Answer, SendFault> {
        let secret = self.good().await?;
        let answer = self.answer(&secret).await;
        if !is_refused(&answer) {
            return answer;
        }
        let (tenant_id, id) = (self.tenant_id, self.credential.id.as_str());
        let newer = match self.logins.renewed(tenant_id, id, &secret).await {
            Ok(newer) => newer,
            Err(LoginFault::Revoked(_)) => return Err(SendFault::LoginEnded),
            Err(_) => return answer,
        };
        let answer = self.answer(&newer).await;
        if is_refused(&answer) {
            self.logins.note_refused(tenant_id, id, &newer).await;
        }
        answer
    }

    /// The token that is there, or the one that takes its place.
    async fn good(&self) -> Result<Secret, SendFault> {
        let secret = self.credential.secret.as_ref().ok_or(SendFault::BadSecret)?;
        let tokens = TokenFile::read(secret).map_err(|_| SendFault::BadSecret)?;
        if !self.logins.is_late(&tokens) {
            return Ok(secret.clone());
        }
        match self.logins.fresh(self.tenant_id, &self.credential.id).await {
            Ok(fresh) => Ok(fresh),
            Err(LoginFault::Revoked(_)) => Err(SendFault::LoginEnded),
            // The database is away, or Google.
            Err(_) if tokens.expiry_date > now_ms() => Ok(secret.clone()),
            Err(_) => Err(SendFault::NoNewToken),
        }
    }

    async fn answer(&self, secret: &Secret) -> Result<Answer, SendFault> {
        let commission = Commission {
            tenant_id: self.tenant_id,
            credential_id: &self.credential.id,
            secret: Some(secret),
            base_url: &self.credential.base_url,
            model: self.model,
            body: self.body,
            framing: self.framing,
            attempt_id: self.attempt_id,
        };
        self.cli.answer(commission).await
    }
}

/// Whether Google does not take the token.
fn is_refused(answer: &Result<Answer, SendFault>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED)
}
