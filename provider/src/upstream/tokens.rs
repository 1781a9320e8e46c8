//! Tokens of Google service accounts: asked for when first needed, kept per credential, and renewed before they end.
//!
//! All workers share them. For each credential one call at a time asks for a token; while the old one is still good, the
//! others go on with that. A failure is told to everybody who waited for it, rather than tried again by each of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dialect::Dialect;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use vault::Secret;

use super::service_account::ServiceAccount;
use super::{AT_ANY_TIME, Errand, SendFault, Timeouts, Upstreams, request};
use crate::catalog::AuthStyle;

/// The tokens of this process.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<HashMap<String, Arc<Slot>>>>);

/// One credential's.
struct Slot {
    /// What it was made from: a credential may be given another.
    file: Secret,
    account: ServiceAccount,
    known: Mutex<Known>,
    /// Held by whoever is asking.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    token: Option<Token>,
    failed: Option<(Instant, SendFault)>,
}

#[derive(Clone)]
struct Token {
    bearer: Secret,
    renew_at: Instant,
    ends_at: Instant,
}

/// What Google answers.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

const SLOTS_MAX: usize = 10_000;
/// Before its end, a token is renewed; and this long before, it is not used any more.
const AHEAD: Duration = Duration::from_secs(300);
const TOO_LATE: Duration = Duration::from_secs(10);
/// After a failure, until it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Upstreams {
    /// The token with which this errand, of a service account, is to be sent.
    pub(super) async fn token(&self, errand: &Errand<'_>) -> Result<Secret, SendFault> {
        let slot = self.tokens.slot(errand, self.tokens_of_anybody)?;
        let now = Instant::now();
        let old = slot.good(now);
        let _asking = match &old {
            Some(token) if now < token.renew_at => return Ok(token.bearer.clone()),
            Some(token) => match slot.asking.try_lock() {
                Ok(asking) => asking,
                Err(_) => return Ok(token.bearer.clone()),
            },
            None => slot.asking.lock().await,
        };
        // Another call may have asked in the meantime.
        if let Some(found) = slot.settled(Instant::now()) {
            return found.or_else(|fault| old.map(|token| token.bearer).ok_or(fault));
        }
        let asked = self.ask_for_token(&slot.account, errand).await;
        let mut known = locked(&slot.known);
        match asked {
            Ok(token) => {
                let bearer = token.bearer.clone();
                *known = Known {
                    token: Some(token),
                    failed: None,
                };
                Ok(bearer)
            }
            Err(fault) => {
                known.failed = Some((Instant::now(), fault));
                old.map(|token| token.bearer).ok_or(fault)
            }
        }
    }

    async fn ask_for_token(&self, account: &ServiceAccount, errand: &Errand<'_>) -> Result<Token, SendFault> {
        let form = account.form(now_s()).ok_or(SendFault::BadSecret)?;
        let asking = Errand {
            base_url: &account.token_url,
            auth: AuthStyle::None,
            dialect: Dialect::GeminiGenerate,
            betas: &[],
            method: Method::POST,
            path: "",
            body: vec![Bytes::from(form)],
            streamed: false,
            client_headers: &HeaderMap::new(),
            timeouts: &Timeouts {
                first_byte_whole: TIMEOUT,
                gap: TIMEOUT,
                total: TIMEOUT,
                ..Timeouts::default()
            },
            may_go: AT_ANY_TIME,
            ..*errand
        };
        let asked_at = Instant::now();
        let asked = self.deliver(asking, request::FORM).await;
        let mut answer = asked.map_err(of_the_token)?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(SendFault::TokenRefused);
            }
            _ => return Err(SendFault::NoToken),
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.body.next().await {
            body.extend_from_slice(&piece.map_err(|_| SendFault::NoToken)?);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(SendFault::NoToken);
            }
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| SendFault::NoToken)?;
        Ok(Token::new(granted, asked_at))
    }
}

impl Tokens {
    fn slot(&self, errand: &Errand<'_>, asks_anybody: bool) -> Result<Arc<Slot>, SendFault> {
        let file = errand.secret.ok_or(SendFault::BadSecret)?;
        let trust = errand.base_url.trust();
        let is_own = |slot: &&Arc<Slot>| slot.account.token_url.trust() == trust && slot.file.matches(file);
        if let Some(slot) = locked(&self.0).get(errand.credential_id).filter(is_own) {
            return Ok(slot.clone());
        }
        // Without the lock: reading a key takes a while.
        let slot = Arc::new(Slot {
            file: file.clone(),
            account: ServiceAccount::read(file, trust, asks_anybody).ok_or(SendFault::BadSecret)?,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        });
        let mut slots = locked(&self.0);
        if let Some(slot) = slots.get(errand.credential_id).filter(is_own) {
            return Ok(slot.clone());
        }
        if slots.len() >= SLOTS_MAX {
            let now = Instant::now();
            slots.retain(|_, slot| slot.good(now).is_some());
        }
        if slots.len() < SLOTS_MAX {
            slots.insert(errand.credential_id.to_owned(), slot.clone());
        }
        Ok(slot)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tokens")
    }
}

impl Slot {
    /// The token, while it may be used.
    fn good(&self, now: Instant) -> Option<Token> {
        let known = locked(&self.known);
        known.token.clone().filter(|token| now < token.ends_at)
    }

    /// What the last one who asked came to, if nobody has to ask again yet.
    fn settled(&self, now: Instant) -> Option<Result<Secret, SendFault>> {
        let known = locked(&self.known);
        match (&known.token, known.failed) {
            (Some(token), _) if now < token.renew_at => Some(Ok(token.bearer.clone())),
            (_, Some((at, fault))) if now.duration_since(at) < PAUSE => Some(Err(fault)),
            _ => None,
        }
    }
}

impl Token {
    fn new(granted: Granted, asked_at: Instant) -> Self {
        let lasts = Duration::from_secs(granted.expires_in.min(24 * 3_600));
        Self {
            bearer: Secret::new(granted.access_token),
            renew_at: asked_at + lasts.saturating_sub(AHEAD),
            ends_at: asked_at + lasts.saturating_sub(TOO_LATE),
        }
    }
}

/// What has failed is the way to the token: the provider that is to be called was sent nothing yet.
fn of_the_token(fault: SendFault) -> SendFault {
    if fault.is_before_the_first_byte() && fault != SendFault::Connect {
        fault
    } else {
        SendFault::NoToken
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A thread that panicked in here has at worst lost a token.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
