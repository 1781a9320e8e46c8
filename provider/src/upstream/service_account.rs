//! The key file of a Google service account, and the assertion by which it gets a token.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use vault::Secret;

use crate::base_url::{BaseUrl, Trust};

/// Who asks for a token, and with what.
pub(super) struct ServiceAccount {
    email: String,
    key: EncodingKey,
    key_id: Option<String>,
    token_uri: String,
    /// The same, as a place to ask.
    pub(super) token_url: BaseUrl,
}

/// What of the file matters here.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const ASSERTION_S: u64 = 3_600;
/// RFC 7523, in the spelling of a form.
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";

impl ServiceAccount {
    /// Reads the file. Where it says to ask for tokens is its owner's word, and trusted no further than their base URL; and only
    /// Google is asked, unless `asks_anybody`: whoever is asked gets an assertion that is good for a token.
    pub(super) fn read(file: &Secret, trust: Trust, asks_anybody: bool) -> Option<Self> {
        let file: KeyFile = serde_json::from_str(file.expose()).ok()?;
        let private_key = Secret::new(file.private_key);
        let token_uri = file.token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
        let token_url = BaseUrl::parse(&token_uri, trust).ok()?;
        if !asks_anybody && !is_google(&token_url) {
            return None;
        }
        Some(Self {
            email: file.client_email,
            key: EncodingKey::from_rsa_pem(private_key.expose().as_bytes()).ok()?,
            key_id: file.private_key_id,
            token_url,
            token_uri,
        })
    }

    /// The form that asks for a token. None when the key cannot sign.
    pub(super) fn form(&self, now_s: u64) -> Option<String> {
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now_s,
            exp: now_s.saturating_add(ASSERTION_S),
        };
        let header = Header {
            kid: self.key_id.clone(),
            ..Header::new(Algorithm::RS256)
        };
        let assertion = jsonwebtoken::encode(&header, &claims, &self.key).ok()?;
        Some([GRANT, &assertion].concat())
    }
}

fn is_google(token_url: &BaseUrl) -> bool {
    let host = token_url.host();
    token_url.as_str().starts_with("https://")
        && token_url.uri().port_u16().is_none_or(|port| port == 443)
        && (host == "accounts.google.com" || host.ends_with(".googleapis.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_google_is_asked() {
        for (url, is_one) in [
            (TOKEN_URI, true),
            ("https://oauth2.mtls.googleapis.com/token", true),
            ("https://accounts.google.com/o/oauth2/token", true),
            ("http://oauth2.googleapis.com/token", false),
            ("https://oauth2.googleapis.com:8443/token", false),
            ("https://googleapis.com.evil.example/token", false),
            ("https://evilgoogleapis.com/token", false),
            ("https://evil.example/oauth2.googleapis.com", false),
        ] {
            let parsed = BaseUrl::parse(url, Trust::Operator).unwrap();
            assert_eq!(is_google(&parsed), is_one, "{url}");
        }
    }
}
