//! The page itself: all logins of the tenant, and how they stand.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use gateway::SignedIn;
use gateway::google::{CONSENT_TEXT, LoginFault};
use http::{HeaderMap, Response, StatusCode};
use store::{GoogleKind, GoogleLogin};

use super::{page, sign_in, signed_in, unavailable};
use crate::ui::session::Cookie;
use crate::ui::time::{distance, instant, now_ms};
use crate::ui::{UiParts, see};

#[derive(Template)]
#[template(path = "gemini/page.html")]
struct Page<'a> {
    tenant: &'a str,
    key: &'a str,
    notice: Option<Notice>,
    enabled: bool,
    has_client: bool,
    redirect: String,
    logins: Vec<Shown>,
}

/// What has just happened.
pub(super) struct Notice {
    good: bool,
    text: String,
}

/// A login as the page tells it.
struct Shown {
    id: String,
    name: String,
    kind: &'static str,
    account: String,
    tier: String,
    project: String,
    state: &'static str,
    /// How the state looks.
    mood: &'static str,
    expires: String,
    error: Option<String>,
    consent: Option<String>,
}

impl Notice {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self {
            good: true,
            text: text.into(),
        }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self {
            good: false,
            text: text.into(),
        }
    }

    /// What an address may ask to be said: one of these words, and nothing of its own.
    fn of(query: Option<&str>) -> Option<Self> {
        let text = match query? {
            "done=cli" => "The login is kept, sealed, for your tenant alone.",
            "done=import" => "The login is taken in. Test it to see whether Google takes it.",
            "done=consent" => "Your agreement is noted.",
            "done=project" => "The project is set.",
            "done=remove" => "The login is removed, with its tokens.",
            _ => return None,
        };
        Some(Self::good(text))
    }
}

/// `GET /ui`: there is one page so far.
pub(super) async fn begin() -> Response<Body> {
    see("/ui/gemini")
}

/// `GET /ui/gemini`
pub(super) async fn show(
    State(parts): State<Arc<UiParts>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    if Cookie::Session.of(&parts.origin, &headers).is_none() {
        return sign_in::form(StatusCode::OK, "");
    }
    match signed_in(&parts, &headers).await {
        Ok(who) => show_to(&parts, &who, StatusCode::OK, Notice::of(query.as_deref())).await,
        Err(refused) => refused,
    }
}

/// The page for somebody who is signed in.
pub(super) async fn show_to(
    parts: &UiParts,
    who: &SignedIn,
    status: StatusCode,
    notice: Option<Notice>,
) -> Response<Body> {
    let logins = match parts.logins.list(who).await {
        Ok(logins) => logins,
        Err(_) => return unavailable(),
    };
    let now_ms = now_ms();
    page(
        status,
        &Page {
            tenant: &who.tenant.name,
            key: &who.key.name,
            notice,
            enabled: parts.logins.is_enabled(),
            has_client: parts.logins.has_client(),
            redirect: format!("{}/ui/gemini/callback", parts.origin.as_str()),
            logins: logins.into_iter().map(|login| Shown::of(login, now_ms)).collect(),
        },
    )
}

/// The page with what went wrong on it.
pub(super) async fn show_fault(parts: &UiParts, who: &SignedIn, fault: &LoginFault) -> Response<Body> {
    let text = match fault {
        LoginFault::NoConsent => "Agree to the warning first: nothing is done without.".to_owned(),
        fault => {
            let text = fault.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_uppercase().to_string());
            let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
            format!("{}{}{stop}", first.unwrap_or_default(), letters.as_str())
        }
    };
    show_to(parts, who, super::status_of(fault), Some(Notice::bad(text))).await
}

impl Shown {
    fn of(login: GoogleLogin, now_ms: i64) -> Self {
        let (state, mood) = state(&login, now_ms);
        let unknown = |text: Option<String>| text.unwrap_or_else(|| "not known".to_owned());
        let expires = if login.expires_at_ms > now_ms {
            format!("in {}", distance(now_ms, login.expires_at_ms))
        } else {
            format!("{} ago", distance(login.expires_at_ms, now_ms))
        };
        let error = login.last_error.map(|error| match login.last_error_at_ms {
            Some(at_ms) => format!("{error} ({})", instant(at_ms)),
            None => error,
        });
        let is_agreed = login.consent_text == Some(CONSENT_TEXT);
        let consent = login.consent_at_ms.filter(|_| is_agreed).map(|at_ms| {
            let by = login.consent_by.unwrap_or_default();
            format!("{by}, {}", instant(at_ms))
        });
        Self {
            id: login.credential_id,
            name: login.name,
            kind: match login.kind {
                GoogleKind::OwnClient => "this gateway's own client",
                GoogleKind::CliLogin => "the gemini CLI's own login",
            },
            account: unknown(login.email),
            tier: unknown(login.tier),
            project: login.project_id.unwrap_or_default(),
            state,
            mood,
            expires,
            error,
            consent,
        }
    }
}

fn state(login: &GoogleLogin, now_ms: i64) -> (&'static str, &'static str) {
    if login.revoked_at_ms.is_some() {
        ("ended by Google", "bad")
    } else if login.consent_at_ms.is_none() {
        ("waits for your agreement", "fair")
    } else if login.disabled {
        ("switched off", "fair")
    } else if login.failures > 0 {
        ("no new token comes", "bad")
    } else if login.expires_at_ms <= now_ms {
        ("to be renewed", "fair")
    } else if login.last_error.is_some() {
        ("refused by Google", "bad")
    } else {
        ("good", "good")
    }
}
