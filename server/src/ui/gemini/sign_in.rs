//! Signing in with a gateway key, and out again.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use gateway::SessionError;
use http::header::SET_COOKIE;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use vault::Secret;

use super::{page, unavailable};
use crate::ui::session::Cookie;
use crate::ui::{UiParts, see};

#[derive(Template)]
#[template(path = "gemini/sign_in.html")]
struct SignIn<'a> {
    message: &'a str,
}

/// Has no `Debug`: it holds the key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    key: String,
}

/// The form for it.
pub(super) fn form(status: StatusCode, message: &str) -> Response<Body> {
    page(status, &SignIn { message })
}

/// `POST /ui/gemini/sign-in`
pub(super) async fn sign_in(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form_sent: Result<Form<Shown>, FormRejection>,
) -> Response<Body> {
    let Ok(Form(shown)) = form_sent else {
        return form(StatusCode::BAD_REQUEST, "The form did not arrive as it should.");
    };
    let key = Secret::new(shown.key);
    let (token, _) = match parts.sessions.begin(key.expose().trim()).await {
        Ok(begun) => begun,
        Err(SessionError::Nobody) => {
            return form(
                StatusCode::UNAUTHORIZED,
                "This is not a gateway key, or not a valid one.",
            );
        }
        Err(SessionError::NotForLogins) => {
            return form(
                StatusCode::FORBIDDEN,
                "The models that this key may use do not include any of the Gemini CLI.",
            );
        }
        Err(SessionError::Unavailable) => return unavailable(),
    };
    // Whatever session the browser had before, be it one that somebody planted, is none any more.
    if let Some(old) = Cookie::Session.of(&parts.origin, &headers) {
        let _forgotten = parts.sessions.end(&old).await;
    }
    let mut response = see("/ui/gemini");
    if let Some(cookie) = Cookie::Session.keep(&parts.origin, &token) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// `POST /ui/gemini/sign-out`
pub(super) async fn sign_out(State(parts): State<Arc<UiParts>>, headers: HeaderMap) -> Response<Body> {
    if let Some(token) = Cookie::Session.of(&parts.origin, &headers)
        && parts.sessions.end(&token).await.is_err()
    {
        return unavailable();
    }
    let mut response = see("/ui/gemini");
    for cookie in [Cookie::Session, Cookie::Login] {
        if let Some(cookie) = cookie.forget(&parts.origin) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}
