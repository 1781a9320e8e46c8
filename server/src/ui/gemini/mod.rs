//! `/ui/gemini`: a tenant's logins with Google, by which the gemini CLI works for it.
//!
//! One file for each thing that is done there; what the pages look like is in `templates/gemini/`. Whoever is not signed
//! in sees the form for that and nothing else.

mod act;
mod callback;
mod cli;
mod login;
mod page;
mod sent;
mod sign_in;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use gateway::google::LoginFault;
use gateway::{SessionError, SignedIn};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::UiParts;
use super::session::Cookie;

pub(super) fn routes() -> Router<Arc<UiParts>> {
    Router::new()
        .route("/ui", get(page::begin))
        .route("/ui/", get(page::begin))
        .route("/ui/gemini", get(page::show))
        .route("/ui/gemini/sign-in", post(sign_in::sign_in))
        .route("/ui/gemini/sign-out", post(sign_in::sign_out))
        .route("/ui/gemini/login", post(login::begin))
        .route("/ui/gemini/callback", get(callback::come_back))
        .route("/ui/gemini/done", get(callback::done))
        .route("/ui/gemini/cli/login", post(cli::begin))
        .route("/ui/gemini/cli/code", post(cli::code))
        .route("/ui/gemini/import", post(login::import))
        .route("/ui/gemini/consent", post(act::consent))
        .route("/ui/gemini/project", post(act::project))
        .route("/ui/gemini/test", post(act::test))
        .route("/ui/gemini/remove", post(act::remove))
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "gemini/sorry.html")]
struct Sorry<'a> {
    message: &'a str,
}

/// A page that says why there is no other.
pub(super) fn sorry(status: StatusCode, message: &str) -> Response<Body> {
    page(status, &Sorry { message })
}

fn page(status: StatusCode, template: &impl Template) -> Response<Body> {
    match template.render() {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be written");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Who asks, or the page for who has to sign in first.
async fn signed_in(parts: &UiParts, headers: &HeaderMap) -> Result<SignedIn, Response<Body>> {
    let Some(token) = Cookie::Session.of(&parts.origin, headers) else {
        return Err(sign_in::form(
            StatusCode::UNAUTHORIZED,
            "You are not signed in, or not any more.",
        ));
    };
    parts.sessions.find(&token).await.map_err(|error| match error {
        SessionError::Nobody | SessionError::NotForLogins => sign_in::form(
            StatusCode::UNAUTHORIZED,
            "You are not signed in, or not any more.",
        ),
        SessionError::Unavailable => unavailable(),
    })
}

fn unavailable() -> Response<Body> {
    let why = "The gateway's database does not answer at the moment. Try again in a while.";
    sorry(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn status_of(fault: &LoginFault) -> StatusCode {
    match fault {
        LoginFault::NotFound => StatusCode::NOT_FOUND,
        LoginFault::Disabled | LoginFault::NoClient => StatusCode::CONFLICT,
        LoginFault::NoConsent | LoginFault::TokenFile(_) | LoginFault::Invalid(_) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        LoginFault::Revoked(_) | LoginFault::Google(_) => StatusCode::BAD_GATEWAY,
        LoginFault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}
