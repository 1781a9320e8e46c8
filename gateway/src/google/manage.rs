//! What its owner does with a login: looks at it, agrees to the warning, sets its project, tests it, removes it.

use provider::google::TokenFile;
use store::{Change, GoogleLogin};

use super::begin::{actor, project};
use super::{CONSENT_TEXT, LoginFault, Logins};
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

    /// Asks Google whether it knows whose token this is, renewing it first where it is about to end.
    ///
    /// # Errors
    /// What Google has against it.
    pub async fn test(&self, who: &SignedIn, id: &str) -> Result<String, LoginFault> {
        let (login, tokens) = self.fresh_tokens(&who.tenant.id, id).await?;
        let Some(client) = &self.client else {
            return Ok("The token is there. Whether Google takes it shows at the first call.".to_owned());
        };
        let asked = client.email(&tokens.access_token).await;
        let told = asked.as_ref().err().map(ToString::to_string);
        let noting = self
            .store
            .note_google_check(&login, None, told.as_deref(), now_ms());
        self.store.in_time(noting).await?;
        match asked? {
            Some(email) => Ok(format!("Google knows the token as one of {email}.")),
            None => Ok("Google takes the token.".to_owned()),
        }
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
