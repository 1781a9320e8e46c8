//! New logins: begun at Google, or brought as the file that the gemini CLI keeps.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use gateway::google::Wish;
use http::header::SET_COOKIE;
use http::{Response, StatusCode};
use serde::Deserialize;
use vault::Secret;

use super::page;
use super::sent::{Sent, shown};
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
    Sent { who, form }: Sent<Wanted>,
) -> Response<Body> {
    let begun = parts.logins.begin(&who, &form.wish()).await;
    let begun = begun.map(|begun| {
        let mut response = page(StatusCode::OK, &Leave { url: &begun.url });
        if let Some(cookie) = Cookie::Login.keep(&parts.origin, &begun.browser) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    });
    shown(&parts, &who, begun).await
}

/// `POST /ui/gemini/import`
pub(super) async fn import(
    State(parts): State<Arc<UiParts>>,
    Sent { who, form }: Sent<Brought>,
) -> Response<Body> {
    let file = Secret::new(form.file);
    let wish = wish(form.name, form.project, form.consent.as_deref());
    let done = parts.logins.import(&who, &file, &wish).await;
    shown(&parts, &who, done.map(|()| see("/ui/gemini?done=import"))).await
}

fn wish(name: String, project: String, consent: Option<&str>) -> Wish {
    Wish {
        name,
        project_id: Some(project),
        consent: consent == Some("yes"),
    }
}
