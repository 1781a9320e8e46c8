//! New logins: begun at Google, or brought as the file that the gemini CLI keeps.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use gateway::google::{LoginFault, Wish};
use http::header::SET_COOKIE;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use vault::Secret;

use super::page::show_fault;
use super::{page, signed_in};
use crate::ui::session::Cookie;
use crate::ui::{UiParts, see};

/// What somebody wants, as the form says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    name: String,
    #[serde(default)]
    project: String,
    /// Absent where the box was not ticked.
    consent: Option<String>,
}

impl Wanted {
    pub(super) fn wish(self) -> Wish {
        wish(self.name, self.project, self.consent.as_deref())
    }
}

/// The same with the file.
///
/// Has no `Debug`: it holds tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brought {
    #[serde(default)]
    name: String,
    #[serde(default)]
    project: String,
    consent: Option<String>,
    file: String,
}

/// The page that leads to Google. A redirect in answer to a form would need a policy that names all of Google's hosts.
#[derive(Template)]
#[template(path = "gemini/leave.html")]
struct Leave<'a> {
    url: &'a str,
}

/// `POST /ui/gemini/login`
pub(super) async fn begin(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Result<Form<Wanted>, FormRejection>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let Ok(Form(wanted)) = form else {
        return show_fault(&parts, &who, &malformed()).await;
    };
    match parts.logins.begin(&who, &wanted.wish()).await {
        Ok(begun) => {
            let mut response = page(StatusCode::OK, &Leave { url: &begun.url });
            if let Some(cookie) = Cookie::Login.keep(&parts.origin, &begun.browser) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}

/// `POST /ui/gemini/import`
pub(super) async fn import(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Result<Form<Brought>, FormRejection>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let Ok(Form(brought)) = form else {
        return show_fault(&parts, &who, &malformed()).await;
    };
    let file = Secret::new(brought.file);
    let wish = wish(brought.name, brought.project, brought.consent.as_deref());
    match parts.logins.import(&who, &file, &wish).await {
        Ok(()) => see("/ui/gemini?done=import"),
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}

fn wish(name: String, project: String, consent: Option<&str>) -> Wish {
    Wish {
        name,
        project_id: Some(project),
        consent: consent == Some("yes"),
    }
}

pub(super) fn malformed() -> LoginFault {
    LoginFault::Invalid("the form did not arrive as it should".to_owned())
}
