//! A browser that comes back from Google.
//!
//! Whatever it brings is somebody else's word until its state is known: begun here, in this browser, in a session that
//! lasts, not used before, not too long ago. Only then is the code shown to Google, once.

use store::TakenAttempt;
use vault::Secret;

use super::begin::{BROWSER, STATE, actor};
use super::{LoginFault, Logins};
use crate::clock::now_ms;
use crate::sessions::{SessionError, Sessions, digest};

/// What it brings, each as often as it was there.
pub struct Callback {
    pub states: Vec<Secret>,
    pub codes: Vec<Secret>,
    pub errors: Vec<String>,
    pub issuers: Vec<String>,
    /// What the browser holds since the login began in it.
    pub browser: Option<Secret>,
}

/// A login that is done.
pub struct Finished {
    pub credential_name: String,
}

/// Why it is not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallbackRefusal {
    #[error("the address does not say which login it belongs to: it has no state")]
    NoState,
    #[error("the address says {0} twice")]
    Twice(&'static str),
    #[error("it comes from {0}, where no login was begun")]
    OtherIssuer(String),
    #[error("no login with this state was begun here")]
    UnknownState,
    #[error("this login has come back before; each can only once")]
    UsedState,
    #[error("this login has taken longer than ten minutes")]
    ExpiredState,
    #[error("this login was begun in another browser")]
    OtherBrowser,
    #[error("the session in which this login was begun has ended")]
    SessionEnded,
    #[error("Google says: {0}")]
    Denied(String),
    #[error("the address holds no code")]
    NoCode,
    #[error("{0}")]
    Fault(#[from] LoginFault),
}

const CODE_LEN_MAX: usize = 2_048;
const WORDS_LEN_MAX: usize = 200;

impl Logins {
    /// Finishes a login.
    ///
    /// # Errors
    /// When what came back does not belong to one, or no tokens come for it.
    pub async fn finish(&self, sessions: &Sessions, callback: Callback) -> Result<Finished, CallbackRefusal> {
        let client = self.client.as_ref().ok_or(LoginFault::NoClient)?;
        let state = one(callback.states, "state")?.ok_or(CallbackRefusal::NoState)?;
        let code = one(callback.codes, "code")?;
        let error = one(callback.errors, "error")?;
        if let Some(issuer) = one(callback.issuers, "iss")?.filter(|issuer| issuer != client.issuer()) {
            return Err(CallbackRefusal::OtherIssuer(plain(&issuer)));
        }
        let (key, now_ms) = (self.directory.digest_key(), now_ms());
        let id = digest(key, STATE, &state);
        let taking = self.store.take_google_attempt(&id, now_ms);
        let attempt = match self.store.in_time(taking).await.map_err(LoginFault::from)? {
            TakenAttempt::Taken(attempt) => attempt,
            TakenAttempt::Used => return Err(CallbackRefusal::UsedState),
            TakenAttempt::Expired => return Err(CallbackRefusal::ExpiredState),
            TakenAttempt::Unknown => return Err(CallbackRefusal::UnknownState),
        };
        let browser = callback.browser.map(|browser| digest(key, BROWSER, &browser));
        // Both are digests under a key that nobody outside has: how long it takes to compare them tells nothing.
        if browser.as_deref() != Some(attempt.browser.as_str()) {
            return Err(CallbackRefusal::OtherBrowser);
        }
        let who = sessions
            .by_id(&attempt.session_id)
            .await
            .map_err(|error| match error {
                SessionError::Nobody | SessionError::NotForLogins => CallbackRefusal::SessionEnded,
                SessionError::Unavailable => LoginFault::Unavailable.into(),
            })?;
        if *who.tenant.id != *attempt.tenant_id {
            return Err(CallbackRefusal::SessionEnded);
        }
        if let Some(error) = error {
            return Err(CallbackRefusal::Denied(plain(&error)));
        }
        let code = code
            .filter(|code| (1..=CODE_LEN_MAX).contains(&code.expose().len()))
            .ok_or(CallbackRefusal::NoCode)?;
        let exchanged = client.exchange(&code, &attempt.verifier, now_ms).await;
        let mut tokens = exchanged.map_err(LoginFault::from)?;
        // A login works without; the page then shows it without its account.
        tokens.email = client.email(&tokens.access_token).await.ok().flatten();
        tokens.project_id = attempt.project_id;
        let name = attempt.credential_name;
        self.add(&who.tenant.id, &actor(&who), &name, &tokens, attempt.consent_text)
            .await?;
        Ok(Finished {
            credential_name: name,
        })
    }
}

fn one<T>(mut all: Vec<T>, what: &'static str) -> Result<Option<T>, CallbackRefusal> {
    let first = all.pop();
    if all.is_empty() {
        Ok(first)
    } else {
        Err(CallbackRefusal::Twice(what))
    }
}

/// A text that somebody put into an address, as far as it may be told.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| letter.is_ascii_graphic() || *letter == ' ')
        .take(WORDS_LEN_MAX)
        .collect()
}
