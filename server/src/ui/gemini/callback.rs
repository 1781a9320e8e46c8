//! Where Google sends a browser back to.
//!
//! The page that says it worked has an address of its own, so that the code does not stay where people see and copy
//! addresses; it leads on to the logins by a click or by itself, both of which are our own requests again.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use gateway::google::{Callback, CallbackRefusal, LoginFault};
use http::header::SET_COOKIE;
use http::{HeaderMap, Response, StatusCode};
use percent_encoding::percent_decode_str;
use vault::Secret;

use super::page;
use crate::ui::session::Cookie;
use crate::ui::{UiParts, see};

#[derive(Template)]
#[template(path = "gemini/refused.html")]
struct Refused<'a> {
    why: &'a str,
}

#[derive(Template)]
#[template(path = "gemini/done.html")]
struct Done;

/// `GET /ui/gemini/callback`
pub(super) async fn come_back(
    State(parts): State<Arc<UiParts>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let browser = Cookie::Login.of(&parts.origin, &headers);
    let callback = read(query.as_deref().unwrap_or_default(), browser);
    let mut response = match parts.logins.finish(&parts.sessions, callback).await {
        Ok(_) => see("/ui/gemini/done"),
        Err(refusal) => {
            tracing::info!(why = %refusal, "a login with Google is refused");
            page(
                status_of(&refusal),
                &Refused {
                    why: &refusal.to_string(),
                },
            )
        }
    };
    if let Some(cookie) = Cookie::Login.forget(&parts.origin) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// `GET /ui/gemini/done`
pub(super) async fn done() -> Response<Body> {
    page(StatusCode::OK, &Done)
}

fn read(query: &str, browser: Option<Secret>) -> Callback {
    let mut callback = Callback {
        states: Vec::new(),
        codes: Vec::new(),
        errors: Vec::new(),
        issuers: Vec::new(),
        browser,
    };
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
        match name {
            "state" => callback.states.push(Secret::new(value)),
            "code" => callback.codes.push(Secret::new(value)),
            "error" => callback.errors.push(value),
            "iss" => callback.issuers.push(value),
            // Google adds what it likes (RFC 6749, section 4.1.2).
            _ => {}
        }
    }
    callback
}

fn status_of(refusal: &CallbackRefusal) -> StatusCode {
    match refusal {
        CallbackRefusal::Fault(LoginFault::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        CallbackRefusal::Fault(LoginFault::Google(_)) => StatusCode::BAD_GATEWAY,
        _ => StatusCode::BAD_REQUEST,
    }
}
