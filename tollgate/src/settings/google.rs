//! What is set for logins with Google.

use std::time::Duration;

use provider::google::OAuthSettings;
use vault::Secret;

use super::{Source, secret};
use crate::failure::{Failure, Kind};

/// Whose client signs in, and where.
pub(crate) struct GoogleSettings {
    /// How long before its end a token is renewed.
    pub(crate) ahead: Duration,
    client: Option<(String, Secret)>,
    auth_url: String,
    token_url: String,
    userinfo_url: String,
}

const ID: &str = "GOOGLE_CLIENT_ID";
const SECRET: &str = "GOOGLE_CLIENT_SECRET";

impl GoogleSettings {
    pub(super) fn read(source: &Source) -> Result<Self, Failure> {
        let client = match (source.given(ID), secret(source, SECRET)?) {
            (Some(id), Some(secret)) => Some((id.to_owned(), secret)),
            (None, None) => None,
            (id, _) => {
                let (is_set, other) = if id.is_some() { (ID, SECRET) } else { (SECRET, ID) };
                let message = format!("{is_set} is set, but not {other}: a client has both");
                return Err(Failure::new(Kind::Settings, message));
            }
        };
        Ok(Self {
            ahead: source.duration("TOLLGATE_GOOGLE_AHEAD")?,
            client,
            auth_url: source.text("TOLLGATE_GOOGLE_AUTH_URL").to_owned(),
            token_url: source.text("TOLLGATE_GOOGLE_TOKEN_URL").to_owned(),
            userinfo_url: source.text("TOLLGATE_GOOGLE_USERINFO_URL").to_owned(),
        })
    }

    /// The operator's client, for browsers that come back to this origin.
    pub(crate) fn client(&self, origin: &str) -> Option<OAuthSettings> {
        let (client_id, client_secret) = self.client.clone()?;
        Some(OAuthSettings {
            client_id,
            client_secret,
            auth_url: self.auth_url.clone(),
            token_url: self.token_url.clone(),
            userinfo_url: self.userinfo_url.clone(),
            redirect_url: format!("{origin}/ui/gemini/callback"),
        })
    }
}
