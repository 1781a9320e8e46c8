//! New tokens for old ones: ahead of their end, by one replica, once.
//!
//! Whoever finds a token about to end claims its renewal in the database. Who does not get the claim waits for what the
//! other brings. A failure is written down with the instant of the next try, which is later each time, so that no number
//! of calls and replicas asks Google oftener; a login that Google has ended is not tried again at all. A token that Google
//! refuses before its end is renewed in the same way.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use provider::google::{OAuthFault, TokenFile};
use store::{Change, GoogleFailure, GoogleKind, GoogleLogin};
use tokio::task::JoinSet;
use vault::Secret;

use super::{LoginFault, Logins};
use crate::clock::now_ms;

const ACTOR: &str = "system";
const REFUSED: &str = "Google does not take the login's token, nor the new one that it gave for it.";
/// A token that ends sooner than this is not given out.
const TOO_LATE_MS: i64 = 30 * 1_000;
/// A call does not begin with one that ends sooner.
const CALL_AHEAD_MS: i64 = 5 * 60 * 1_000;
/// How long a claim holds: longer than Google may take.
const CLAIM_MS: i64 = 30 * 1_000;
/// The program takes longer: it has to start.
const CLI_CLAIM_MS: i64 = 120 * 1_000;
const CLI_DOUBTS: i64 = 2;
/// For one who waits for another's renewal.
const PATIENCE_MS: i64 = 20 * 1_000;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The pause after the first failure; it doubles with each.
const PAUSE_MS: i64 = 5 * 1_000;
const PAUSE_MAX_MS: i64 = 10 * 60 * 1_000;
/// After a new token was refused like the one before it.
const REFUSED_PAUSE_MS: i64 = 60 * 1_000;
/// How often it is looked which tokens are about to end, and how many are taken at once.
const TICK: Duration = Duration::from_secs(15);
const DUE_MAX: i64 = 100;
/// Of those, renewed side by side: for some of them a process is started.
const AT_ONCE: usize = 4;

impl Logins {
    /// Renews what is about to end, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            if self.is_enabled() {
                self.renew_due().await;
                self.waiting.end_over();
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// The tokens of a login, good for a while: renewed first where they are not. May be asked from any runtime.
    ///
    /// # Errors
    /// When there are none that are good.
    pub async fn fresh(self: &Arc<Self>, tenant_id: &str, credential_id: &str) -> Result<Secret, LoginFault> {
        let (logins, tenant_id, id) = (self.clone(), tenant_id.to_owned(), credential_id.to_owned());
        let asking = async move { logins.fresh_tokens(&tenant_id, &id).await };
        let (_, tokens) = self
            .control
            .spawn(asking)
            .await
            .map_err(|_| LoginFault::Unavailable)??;
        Ok(tokens.write())
    }

    /// Whether a call has to ask for other tokens first. What runs beside the calls has got them long before, unless it
    /// could not.
    pub fn is_late(&self, tokens: &TokenFile) -> bool {
        tokens.is_due(tokens.expiry_date, self.ahead_ms().min(CALL_AHEAD_MS), now_ms())
    }

    /// The tokens in whose place those come that Google refuses, whenever they end: the ones that somebody else has got in
    /// the meantime, or new ones. May be asked from any runtime.
    ///
    /// # Errors
    /// When there are none that are others.
    pub async fn renewed(
        self: &Arc<Self>,
        tenant_id: &str,
        credential_id: &str,
        refused: &Secret,
    ) -> Result<Secret, LoginFault> {
        let (logins, tenant_id, id) = (self.clone(), tenant_id.to_owned(), credential_id.to_owned());
        let refused = TokenFile::read(refused)?.access_token;
        let is_same = move |tokens: &TokenFile| tokens.access_token == refused;
        let is_good = {
            let is_same = is_same.clone();
            move |_: &GoogleLogin, tokens: &TokenFile| !is_same(tokens)
        };
        let asking = async move { logins.in_turn(&tenant_id, &id, is_good).await };
        let asked = self.control.spawn(asking).await;
        let (_, tokens) = asked.map_err(|_| LoginFault::Unavailable)??;
        if is_same(&tokens) {
            return Err(LoginFault::Google("Google gives the same token again".to_owned()));
        }
        Ok(tokens.write())
    }

    /// Notes that Google refuses also the tokens that came for those which it refused, so that no call renews them again
    /// for a while.
    pub async fn note_refused(self: &Arc<Self>, tenant_id: &str, credential_id: &str, refused: &Secret) {
        let Ok(refused) = TokenFile::read(refused) else {
            return;
        };
        let (logins, tenant_id, id) = (self.clone(), tenant_id.to_owned(), credential_id.to_owned());
        let noting = async move {
            let (login, tokens) = logins.read(&tenant_id, &id).await?;
            if tokens.access_token != refused.access_token {
                return Ok(());
            }
            let now_ms = now_ms();
            let until_ms = now_ms.saturating_add(REFUSED_PAUSE_MS);
            tracing::warn!(tenant = %tenant_id, credential = %id, "Google refuses a new token too");
            let noting = logins
                .store
                .note_google_refusal(&login, REFUSED, now_ms, until_ms);
            logins.store.in_time(noting).await?;
            Ok::<(), LoginFault>(())
        };
        // Without the note the next refused call renews once more.
        let _unavailable = self.control.spawn(noting).await;
    }

    pub(super) async fn fresh_tokens(
        &self,
        tenant_id: &str,
        credential_id: &str,
    ) -> Result<(GoogleLogin, TokenFile), LoginFault> {
        let (login, tokens) = self.read(tenant_id, credential_id).await?;
        if !self.is_due(&login, &tokens) {
            return Ok((login, tokens));
        }
        let is_good = |login: &GoogleLogin, tokens: &TokenFile| !self.is_due(login, tokens);
        match self.in_turn(tenant_id, credential_id, is_good).await {
            // An old token that still lasts is better than none.
            Err(LoginFault::Google(_) | LoginFault::Unavailable)
                if login.expires_at_ms.saturating_sub(now_ms()) > TOO_LATE_MS =>
            {
                Ok((login, tokens))
            }
            renewed => renewed,
        }
    }

    /// Renews a token, one of those who ask for it here after the other.
    async fn in_turn(
        &self,
        tenant_id: &str,
        id: &str,
        is_good: impl Fn(&GoogleLogin, &TokenFile) -> bool,
    ) -> Result<(GoogleLogin, TokenFile), LoginFault> {
        let turn = self.turn(id).lock_owned().await;
        let renewed = self.renew(tenant_id, id, is_good).await;
        drop(turn);
        self.tidy(id);
        renewed
    }

    async fn renew_due(self: &Arc<Self>) {
        let now_ms = now_ms();
        let before_ms = now_ms.saturating_add(self.ahead_ms());
        let due = match self
            .store
            .in_time(self.store.due_google_logins(before_ms, now_ms, DUE_MAX))
            .await
        {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "logins with Google cannot be looked through");
                return;
            }
        };
        let mut renewals = JoinSet::new();
        for (tenant_id, id) in due {
            if renewals.len() >= AT_ONCE {
                renewals.join_next().await;
            }
            let logins = self.clone();
            // What goes wrong is written down at the login.
            renewals.spawn(async move { drop(logins.fresh_tokens(&tenant_id, &id).await) });
        }
        renewals.join_all().await;
    }

    /// Renews the token, or waits for who does; looks again first, since somebody may have been before us.
    async fn renew(
        &self,
        tenant_id: &str,
        id: &str,
        is_good: impl Fn(&GoogleLogin, &TokenFile) -> bool,
    ) -> Result<(GoogleLogin, TokenFile), LoginFault> {
        let give_up_at_ms = now_ms().saturating_add(PATIENCE_MS);
        loop {
            let (login, tokens) = self.read(tenant_id, id).await?;
            if is_good(&login, &tokens) {
                return Ok((login, tokens));
            }
            let now_ms = now_ms();
            if login.retry_at_ms.is_some_and(|at_ms| now_ms < at_ms) {
                return Err(LoginFault::Google(login.last_error.unwrap_or_default()));
            }
            let until_ms = now_ms.saturating_add(match login.kind {
                GoogleKind::OwnClient => CLAIM_MS,
                GoogleKind::CliLogin => CLI_CLAIM_MS,
            });
            let claiming = self
                .store
                .claim_google_login(&login, &self.claimant, now_ms, until_ms);
            if self.store.in_time(claiming).await? {
                self.ask(&login, &tokens).await?;
                // However good it is, there is no other, and asking again brings none.
                return self.read(tenant_id, id).await;
            } else if now_ms >= give_up_at_ms {
                return Err(LoginFault::Google(
                    "another renewal of this token takes too long".to_owned(),
                ));
            } else {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Asks for new tokens, under our claim, and writes down what comes.
    async fn ask(&self, login: &GoogleLogin, tokens: &TokenFile) -> Result<(), LoginFault> {
        let asked = match (login.kind, &self.client) {
            (GoogleKind::OwnClient, Some(client)) => client.renew(tokens, now_ms()).await,
            (GoogleKind::OwnClient, None) => Err(OAuthFault::Refused(
                "the client of Google's by which this login was made is not set up here any more".to_owned(),
            )),
            (GoogleKind::CliLogin, _) => match &self.cli {
                Some(cli) => cli.renew_login(tokens).await,
                None => Err(OAuthFault::Refused(
                    "this login is the gemini CLI's own, which is not set up here".to_owned(),
                )),
            },
        };
        let asked = asked.map_err(|fault| believed(fault, login));
        let change = Change {
            actor: ACTOR,
            at_ms: now_ms(),
        };
        match asked {
            Ok(mut new) => {
                // By which it is seen how long it lives, whoever has got it.
                new.issued_at = Some(change.at_ms);
                let secret = new.write();
                let writing =
                    self.store
                        .renew_google_login(&change, login, &self.claimant, &secret, new.expiry_date);
                self.store.in_time(writing).await?;
                Ok(())
            }
            Err(fault) => {
                let why = without_tokens(&fault.to_string(), tokens);
                let failure = match &fault {
                    OAuthFault::Revoked(_) => GoogleFailure::Revoked { why: &why },
                    _ => GoogleFailure::Passing {
                        why: &why,
                        retry_at_ms: change.at_ms.saturating_add(pause_ms(login.failures)),
                    },
                };
                tracing::warn!(tenant = %login.tenant_id, credential = %login.credential_id, %why, "no new token came");
                let noting = self
                    .store
                    .fail_google_login(&change, login, &self.claimant, failure);
                self.store.in_time(noting).await?;
                Err(match fault {
                    OAuthFault::Revoked(_) => LoginFault::Revoked(why),
                    _ => LoginFault::Google(why),
                })
            }
        }
    }

    async fn read(&self, tenant_id: &str, id: &str) -> Result<(GoogleLogin, TokenFile), LoginFault> {
        let reading = self.store.google_login(tenant_id, id);
        let (login, secret) = self.store.in_time(reading).await?.ok_or(LoginFault::NotFound)?;
        if login.consent_at_ms.is_none() {
            return Err(LoginFault::NoConsent);
        }
        if login.revoked_at_ms.is_some() {
            return Err(LoginFault::Revoked(login.last_error.unwrap_or_default()));
        }
        Ok((login, TokenFile::read(&secret)?))
    }

    fn is_due(&self, login: &GoogleLogin, tokens: &TokenFile) -> bool {
        tokens.is_due(login.expires_at_ms, self.ahead_ms(), now_ms())
    }

    fn ahead_ms(&self) -> i64 {
        i64::try_from(self.settings.ahead.as_millis()).unwrap_or(i64::MAX)
    }

    fn turn(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        renewing.entry(id.to_owned()).or_default().clone()
    }

    /// Forgets a turn that nobody waits for.
    fn tidy(&self, id: &str) {
        let mut renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if renewing.get(id).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            renewing.remove(id);
        }
    }
}

/// The program asks to sign in also when it cannot reach Google; that is believed when it does so again and again.
fn believed(fault: OAuthFault, login: &GoogleLogin) -> OAuthFault {
    match fault {
        OAuthFault::Revoked(why) if login.kind == GoogleKind::CliLogin && login.failures < CLI_DOUBTS => {
            OAuthFault::Passing(why)
        }
        fault => fault,
    }
}

fn pause_ms(failures: i64) -> i64 {
    let doublings = u32::try_from(failures.clamp(0, 20)).unwrap_or(0);
    PAUSE_MS.saturating_mul(1 << doublings).min(PAUSE_MAX_MS)
}

/// What Google says, should it ever quote what it was shown.
fn without_tokens(words: &str, tokens: &TokenFile) -> String {
    tokens
        .tokens()
        .filter(|token| !token.is_empty())
        .fold(words.to_owned(), |words, token| words.replace(token, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        assert_eq!([0, 1, 2].map(pause_ms), [5_000, 10_000, 20_000]);
        assert_eq!([7, 100, i64::MAX].map(pause_ms), [PAUSE_MAX_MS; 3]);
        assert_eq!(pause_ms(-1), PAUSE_MS);
    }
}
