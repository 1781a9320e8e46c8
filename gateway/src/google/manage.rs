//! What its owner does with a login: looks at it, agrees to the warning, sets its project, tests it, removes it.

use provider::gemini_cli::Account;
use provider::google::TokenFile;
use provider::{BaseUrl, Trust};
use store::{Change, GoogleLogin};

use super::begin::{actor, project};
use super::{CONSENT_TEXT, LoginFault, Logins, PROVIDER};
use crate::clock::now_ms;
use crate::sessions::SignedIn;

impl Logins {
    /// The tenant's logins, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list(&self, who: &SignedIn) -> Result<Vec<GoogleLogin>, LoginFault> {
        let listing = self.store.list_google_logins(&who.tenant.id);
        Ok(self.store.in_time(listing).await?)
    }

    /// Notes that the owner has agreed to the warning.
    ///
    /// # Errors
    /// When the tenant has no such login.
    pub async fn consent(&self, who: &SignedIn, id: &str) -> Result<(), LoginFault> {
        let actor = actor(who);
        let change = change(&actor);
        let consenting = self
            .store
            .consent_to_google_login(&change, (&who.tenant.id, id), CONSENT_TEXT);
        Ok(self.store.in_time(consenting).await?)
    }

    /// Sets the project under which the login works; none for an empty text.
    ///
    /// # Errors
    /// When it is no project's id, or the tenant has no such login.
    pub async fn set_project(&self, who: &SignedIn, id: &str, project_id: &str) -> Result<(), LoginFault> {
        let project_id = project(Some(project_id))?;
        let reading = self.store.google_login(&who.tenant.id, id);
        let (login, secret) = self.store.in_time(reading).await?.ok_or(LoginFault::NotFound)?;
        let mut tokens = TokenFile::read(&secret)?;
        tokens.project_id = project_id.clone();
        let actor = actor(who);
        let (change, secret) = (change(&actor), tokens.write());
        let setting = self
            .store
            .set_google_project(&change, &login, project_id.as_deref(), &secret);
        Ok(self.store.in_time(setting).await?)
    }

    /// Asks Google whether it knows whose token this is, renewing it first where it is about to end, and has the program
    /// look whether Google serves the account.
    ///
    /// # Errors
    /// What Google has against it.
    pub async fn test(&self, who: &SignedIn, id: &str) -> Result<String, LoginFault> {
        let (login, tokens) = self.fresh_tokens(&who.tenant.id, id).await?;
        let known = match &self.client {
            Some(client) => client.email(&tokens.access_token).await.map(Some),
            None => Ok(None),
        };
        let account = match (&known, &self.cli) {
            (Ok(_), Some(cli)) => {
                let base_url = self.base_url(who, id).await.ok_or(LoginFault::Unavailable)?;
                cli.account(&who.tenant.id, &tokens.write(), &base_url).await
            }
            _ => Account::Unknown("the gemini CLI is not asked".to_owned()),
        };
        let (tier, refused) = match &account {
            Account::Served { tier } => (tier.as_deref(), None),
            Account::Refused(why) => (None, Some(why.clone())),
            Account::Unknown(_) => (None, None),
        };
        let told = known.as_ref().err().map(ToString::to_string).or(refused);
        let noting = self
            .store
            .note_google_check(&login, tier, told.as_deref(), now_ms());
        self.store.in_time(noting).await?;
        let known = match known? {
            Some(Some(email)) => format!("Google knows the token as one of {email}"),
            Some(None) => "Google takes the token".to_owned(),
            None => "The token is there".to_owned(),
        };
        match account {
            Account::Served { tier: Some(tier) } => Ok(format!("{known}, and serves the account: {tier}.")),
            Account::Served { tier: None } => Ok(format!("{known}, and serves the account.")),
            Account::Refused(why) => Err(LoginFault::Google(why)),
            Account::Unknown(why) => Ok(format!(
                "{known}. Whether the account is served shows at the first call: {why}."
            )),
        }
    }

    /// Where the program is to look for Google's service. A login that was just made is not known of yet: then where it
    /// usually is.
    async fn base_url(&self, who: &SignedIn, id: &str) -> Option<BaseUrl> {
        let tenant = self.directory.tenant(&who.tenant.id).await.ok().flatten();
        let credentials = tenant.as_ref().map(|tenant| tenant.credentials(PROVIDER));
        let mut credentials = credentials.into_iter().flatten();
        if let Some(known) = credentials.find(|credential| credential.id == id) {
            return Some(known.base_url.clone());
        }
        let usual = self.directory.catalog().get(PROVIDER)?.base_url.as_deref()?;
        BaseUrl::parse(usual, Trust::Operator).ok()
    }

    /// Removes the login with its tokens.
    ///
    /// # Errors
    /// When the tenant has no such login.
    pub async fn remove(&self, who: &SignedIn, id: &str) -> Result<(), LoginFault> {
        // Only what is a login: other credentials are not this page's to remove.
        if !self
            .list(who)
            .await?
            .iter()
            .any(|login| login.credential_id == id)
        {
            return Err(LoginFault::NotFound);
        }
        let actor = actor(who);
        let change = change(&actor);
        let removing = self.store.remove_credential(&change, &who.tenant.id, id);
        Ok(self.store.in_time(removing).await?)
    }
}

fn change(actor: &str) -> Change<'_> {
    Change {
        actor,
        at_ms: now_ms(),
    }
}
