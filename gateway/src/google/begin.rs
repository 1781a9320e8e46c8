//! Beginning a login by the operator's own client, and taking in one that somebody brings as a file.

use provider::google::{TokenFile, TokenKind};
use store::{BaseUrlBy, Change, GoogleKind, NewCredential, NewGoogleAttempt, NewGoogleLogin};
use vault::Secret;
use vault::gateway_key::random_id;

use super::{CONSENT_TEXT, LoginFault, Logins, PROVIDER};
use crate::clock::now_ms;
use crate::sessions::{SignedIn, digest};

/// What somebody wants a login to be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What the credential is to be called. A login of the same name is replaced.
    pub name: String,
    pub project_id: Option<String>,
    /// Whether the warning was agreed to.
    pub consent: bool,
}

/// A login that has begun.
pub struct Begun {
    /// Where the browser is sent.
    pub url: String,
    /// What the browser is to hold until it comes back.
    pub browser: Secret,
}

/// Until a login has to be back.
const LIFE_MS: i64 = 10 * 60 * 1_000;
pub(super) const STATE: &str = "google-state";
pub(super) const BROWSER: &str = "google-browser";
const NAME: &str = "google";
const PROJECT_LEN_MAX: usize = 63;

impl Logins {
    /// Begins a login.
    ///
    /// # Errors
    /// When no client is set up, the wish makes no sense, or the database does not answer.
    pub async fn begin(&self, who: &SignedIn, wish: &Wish) -> Result<Begun, LoginFault> {
        let wish = self.checked(wish)?;
        let client = self.client.as_ref().ok_or(LoginFault::NoClient)?;
        let authorization = client.authorize(Secret::random()?);
        let browser = Secret::random()?;
        let (key, now_ms) = (self.directory.digest_key(), now_ms());
        let attempt = NewGoogleAttempt {
            id: &digest(key, STATE, &authorization.state),
            tenant_id: &who.tenant.id,
            session_id: &who.session_id,
            browser: &digest(key, BROWSER, &browser),
            credential_name: &wish.name,
            project_id: wish.project_id.as_deref(),
            consent_text: CONSENT_TEXT,
            verifier: &authorization.verifier,
            created_at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(LIFE_MS),
        };
        self.store
            .in_time(self.store.begin_google_attempt(&attempt))
            .await?;
        Ok(Begun {
            url: authorization.url,
            browser,
        })
    }

    /// Takes in a login as the gemini CLI keeps it. What it is worth is seen when it is renewed the first time.
    ///
    /// # Errors
    /// When the text is no such file, the wish makes no sense, or the database does not answer.
    pub async fn import(&self, who: &SignedIn, text: &Secret, wish: &Wish) -> Result<(), LoginFault> {
        let wish = self.checked(wish)?;
        let mut tokens = TokenFile::read_lasting(text)?;
        // Whether a file is for our client is for that to say, not for the file.
        if tokens.kind == TokenKind::OwnClient {
            let own = self.client.as_ref().map(|client| client.client_id());
            if own.is_none() || tokens.client_id.as_deref() != own {
                let why = "this file is for a client of Google's that is not set up here";
                return Err(LoginFault::Invalid(why.to_owned()));
            }
        }
        tokens.project_id = wish.project_id.clone().or(tokens.project_id);
        self.add(&who.tenant.id, &actor(who), &wish.name, &tokens, CONSENT_TEXT)
            .await
    }

    /// Keeps a login's tokens as a credential.
    pub(super) async fn add(
        &self,
        tenant_id: &str,
        actor: &str,
        name: &str,
        tokens: &TokenFile,
        consent_text: i64,
    ) -> Result<(), LoginFault> {
        let id = random_id("cred")?;
        let change = Change {
            actor,
            at_ms: now_ms(),
        };
        let credential = NewCredential {
            id: &id,
            tenant_id,
            provider: PROVIDER,
            name,
            weight: 1,
            base_url: None,
            base_url_by: BaseUrlBy::Tenant,
            secret: Some(&tokens.write()),
        };
        let login = NewGoogleLogin {
            kind: match tokens.kind {
                TokenKind::OwnClient => GoogleKind::OwnClient,
                TokenKind::CliLogin => GoogleKind::CliLogin,
            },
            email: tokens.email.as_deref(),
            project_id: tokens.project_id.as_deref(),
            expires_at_ms: tokens.expiry_date,
            consent: Some((actor, consent_text)),
        };
        let adding = self.store.add_google_login(&change, &credential, &login);
        self.store.in_time(adding).await?;
        Ok(())
    }

    pub(super) fn checked(&self, wish: &Wish) -> Result<Wish, LoginFault> {
        if !self.is_enabled() {
            return Err(LoginFault::Disabled);
        }
        if !wish.consent {
            return Err(LoginFault::NoConsent);
        }
        let name = wish.name.trim();
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.len() > 64 || !name.bytes().all(is_letter) {
            let why = "a name is up to 64 of the letters A-Z, a-z, 0-9, `.`, `_` and `-`";
            return Err(LoginFault::Invalid(why.to_owned()));
        }
        Ok(Wish {
            name: if name.is_empty() { NAME } else { name }.to_owned(),
            project_id: project(wish.project_id.as_deref())?,
            consent: true,
        })
    }
}

/// The id of a project, which is no number; none for an empty text.
pub(super) fn project(text: Option<&str>) -> Result<Option<String>, LoginFault> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && text.len() <= PROJECT_LEN_MAX && text.bytes().all(is_letter) {
        return Ok(Some(text.to_owned()));
    }
    let why = "the id of a project begins with a letter and has letters a-z, digits and `-`; its number is not its id";
    Err(LoginFault::Invalid(why.to_owned()))
}

/// Who it was, for the audit.
pub(super) fn actor(who: &SignedIn) -> String {
    format!("key:{}", who.key.id)
}
