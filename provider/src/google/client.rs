//! The operator's own OAuth client: what it asks Google for, and how the answers are read.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode, Uri};
use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use vault::Secret;

use super::token_file::{TokenFile, TokenKind};
use crate::base_url::{BaseUrl, Trust};
use crate::upstream::{Courier, SendFault, TlsError, UpstreamSettings};

/// Where Google is, and who asks.
///
/// Has no `Debug`: it holds the client's secret.
#[derive(Clone)]
pub struct OAuthSettings {
    pub client_id: String,
    pub client_secret: Secret,
    pub auth_url: String,
    pub token_url: String,
    pub userinfo_url: String,
    /// To which the browser comes back. A constant, whatever a request says.
    pub redirect_url: String,
}

/// The client.
pub struct OAuthClient {
    client: Configured,
    client_id: String,
    userinfo_url: Uri,
    issuer: String,
    courier: Courier,
}

/// A login that begins.
///
/// Has no `Debug`, like the secrets in it.
pub struct Authorization {
    /// Where the browser is sent.
    pub url: String,
    /// What comes back with it, unguessable.
    pub state: Secret,
    /// What the code is exchanged with.
    pub verifier: Secret,
}

/// Why no token came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OAuthFault {
    /// The grant is no longer one: revoked, expired, or used.
    #[error("{0}")]
    Revoked(String),
    /// Google does not want it so, now or ever.
    #[error("{0}")]
    Refused(String),
    /// It may be tried again.
    #[error("{0}")]
    Passing(String),
}

type Configured = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    oauth2::basic::BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

type Answered = StandardTokenResponse<IdToken, BasicTokenType>;

/// What Google adds to its tokens.
#[derive(Clone, Serialize, Deserialize)]
struct IdToken {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl fmt::Debug for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdToken")
    }
}

impl ExtraTokenFields for IdToken {}

/// What userinfo says, as far as it matters here.
#[derive(Deserialize)]
struct UserInfo {
    email: Option<String>,
}

/// Those of the gemini CLI.
const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];
/// Where an answer does not say how long its token lasts.
const USUAL_LIFE_MS: i64 = 3_600_000;
/// Of what Google says, in an error.
const WORDS_LEN_MAX: usize = 400;
const EMAIL_LEN_MAX: usize = 254;

impl OAuthClient {
    /// # Errors
    /// When one of the addresses is none, or the extra certificate authorities cannot be read.
    pub fn new(settings: &OAuthSettings, upstream: &UpstreamSettings) -> Result<Self, OAuthSetupError> {
        let wrong = OAuthSetupError::Address;
        for (name, url) in [
            ("TOLLGATE_GOOGLE_AUTH_URL", &settings.auth_url),
            ("TOLLGATE_GOOGLE_TOKEN_URL", &settings.token_url),
            ("TOLLGATE_GOOGLE_USERINFO_URL", &settings.userinfo_url),
        ] {
            BaseUrl::parse(url, Trust::Operator).map_err(|_| wrong(name))?;
        }
        let auth_url =
            AuthUrl::new(settings.auth_url.clone()).map_err(|_| wrong("TOLLGATE_GOOGLE_AUTH_URL"))?;
        let token_url =
            TokenUrl::new(settings.token_url.clone()).map_err(|_| wrong("TOLLGATE_GOOGLE_TOKEN_URL"))?;
        let redirect_url =
            RedirectUrl::new(settings.redirect_url.clone()).map_err(|_| wrong("TOLLGATE_PUBLIC_URL"))?;
        let issuer = auth_url.url().origin().ascii_serialization();
        let client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(settings.client_secret.expose().to_owned()))
            // As Google's own documents show it.
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(auth_url)
            .set_token_uri(token_url)
            .set_redirect_uri(redirect_url);
        Ok(Self {
            client,
            client_id: settings.client_id.clone(),
            userinfo_url: settings
                .userinfo_url
                .parse()
                .map_err(|_| wrong("TOLLGATE_GOOGLE_USERINFO_URL"))?,
            issuer,
            courier: Courier::new(upstream)?,
        })
    }

    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Who may send a browser back (RFC 9207), where it says so.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where to send a browser, with this state.
    pub fn authorize(&self, state: Secret) -> Authorization {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, _) = self
            .client
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            // Without these there is no token by which others are got, or only at the first login.
            .add_extra_param("access_type", "offline")
            .add_extra_param("prompt", "consent")
            .url();
        Authorization {
            url: url.into(),
            state,
            verifier: Secret::new(verifier.into_secret()),
        }
    }

    /// Exchanges the code that a browser brought.
    ///
    /// # Errors
    /// When no tokens come for it, or none by which they can be renewed.
    pub async fn exchange(
        &self,
        code: &Secret,
        verifier: &Secret,
        now_ms: i64,
    ) -> Result<TokenFile, OAuthFault> {
        let answered = self
            .client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
            .request_async(&self.courier)
            .await
            .map_err(fault)?;
        let tokens = self.tokens(&answered, None, now_ms);
        if tokens.refresh_token.is_none() {
            let why = "Google gave no refresh token. Remove this gateway's access at myaccount.google.com, and sign in again.";
            return Err(OAuthFault::Refused(why.to_owned()));
        }
        Ok(tokens)
    }

    /// Gets new tokens for old ones.
    ///
    /// # Errors
    /// When none come.
    pub async fn renew(&self, old: &TokenFile, now_ms: i64) -> Result<TokenFile, OAuthFault> {
        let Some(token) = old.refresh_token.clone() else {
            let why = "the login holds no refresh token: it cannot be renewed";
            return Err(OAuthFault::Refused(why.to_owned()));
        };
        let answered = self
            .client
            .exchange_refresh_token(&RefreshToken::new(token))
            .request_async(&self.courier)
            .await
            .map_err(fault)?;
        Ok(self.tokens(&answered, Some(old), now_ms))
    }

    /// The address of the account that a token is for; none where it is not told.
    ///
    /// # Errors
    /// When the token is not taken, or nobody answers.
    pub async fn email(&self, access_token: &str) -> Result<Option<String>, OAuthFault> {
        let bearer = HeaderValue::from_str(&["Bearer ", access_token].concat())
            .map_err(|_| OAuthFault::Refused("the token cannot be shown".to_owned()))?;
        let request = Request::get(self.userinfo_url.clone())
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| OAuthFault::Refused("the request cannot be put together".to_owned()))?;
        let answer = self.courier.send(request).await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            let info: Option<UserInfo> = serde_json::from_slice(answer.body()).ok();
            let email = info.and_then(|info| info.email);
            return Ok(email.filter(|email| is_email(email)));
        }
        let why = format!(
            "Google answers {} to the question whose token this is.",
            status.as_u16()
        );
        Err(match status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                OAuthFault::Refused(why)
            }
            _ => OAuthFault::Passing(why),
        })
    }

    fn tokens(&self, answered: &Answered, old: Option<&TokenFile>, now_ms: i64) -> TokenFile {
        let life_ms = answered
            .expires_in()
            .and_then(|life| i64::try_from(life.as_millis()).ok())
            .unwrap_or(USUAL_LIFE_MS);
        let scopes = answered.scopes().map(|scopes| {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            scopes.join(" ")
        });
        let renewed = answered.refresh_token().map(|token| token.secret().clone());
        TokenFile {
            kind: TokenKind::OwnClient,
            access_token: answered.access_token().secret().clone(),
            // A renewal that brings none leaves the old one good.
            refresh_token: renewed.or_else(|| old.and_then(|old| old.refresh_token.clone())),
            expiry_date: now_ms.saturating_add(life_ms),
            issued_at: Some(now_ms),
            scope: scopes.or_else(|| old.and_then(|old| old.scope.clone())),
            token_type: "Bearer".to_owned(),
            id_token: answered.extra_fields().id_token.clone(),
            client_id: Some(self.client_id.clone()),
            email: old.and_then(|old| old.email.clone()),
            project_id: old.and_then(|old| old.project_id.clone()),
        }
    }
}

/// By which the protocol sends.
impl<'c> AsyncHttpClient<'c> for Courier {
    type Error = SendFault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, SendFault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.send(request.map(Bytes::from)).await?;
            Ok(answer.map(|body| body.to_vec()))
        })
    }
}

/// A client that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OAuthSetupError {
    #[error("{0} is no address")]
    Address(&'static str),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whose fault it is. An answer that is not one of OAuth, be it a 500 or a redirect, may be another one next time.
fn fault(error: RequestTokenError<SendFault, BasicErrorResponse>) -> OAuthFault {
    match error {
        RequestTokenError::ServerResponse(said) => {
            let words = in_its_words(&said);
            match said.error() {
                BasicErrorResponseType::InvalidGrant => OAuthFault::Revoked(words),
                BasicErrorResponseType::Extension(code) if is_passing(code) => OAuthFault::Passing(words),
                _ => OAuthFault::Refused(words),
            }
        }
        RequestTokenError::Request(fault) => unreachable(fault),
        // Their texts may quote the answer.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            OAuthFault::Passing("Google's answer is not one that OAuth knows.".to_owned())
        }
    }
}

fn is_passing(code: &str) -> bool {
    [
        "temporarily_unavailable",
        "server_error",
        "internal_failure",
        "rate_limit_exceeded",
        "slow_down",
    ]
    .contains(&code)
}

fn unreachable(fault: SendFault) -> OAuthFault {
    OAuthFault::Passing(format!("Google does not answer: {fault}."))
}

fn in_its_words(said: &BasicErrorResponse) -> String {
    let code = said.error().as_ref();
    let words = match said.error_description() {
        Some(description) => format!("{code}: {description}"),
        None => code.to_owned(),
    };
    words
        .chars()
        .filter(|letter| !letter.is_control())
        .take(WORDS_LEN_MAX)
        .collect()
}

fn is_email(text: &str) -> bool {
    text.contains('@') && text.len() <= EMAIL_LEN_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}
