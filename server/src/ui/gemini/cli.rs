//! The gemini CLI's own login: the page says where to sign in, and takes the code that Google shows there.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use gateway::google::CodeTried;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use vault::Secret;

use super::login::{Wanted, malformed};
use super::page::show_fault;
use super::{page, signed_in};
use crate::ui::{UiParts, see};

#[derive(Template)]
#[template(path = "gemini/code.html")]
struct Code<'a> {
    url: &'a str,
    message: &'a str,
}

/// Has no `Debug`: it holds the code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    code: String,
}

/// `POST /ui/gemini/cli/login`
pub(super) async fn begin(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Result<Form<Wanted>, FormRejection>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let begun = match form {
        Ok(Form(wanted)) => parts.logins.begin_cli(&who, &wanted.wish()).await,
        Err(_) => Err(malformed()),
    };
    match begun {
        Ok(url) => page(
            StatusCode::OK,
            &Code {
                url: &url,
                message: "",
            },
        ),
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}

/// `POST /ui/gemini/cli/code`
pub(super) async fn code(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let tried = match form {
        Ok(Form(shown)) => parts.logins.try_code(&who, &Secret::new(shown.code)).await,
        Err(_) => Err(malformed()),
    };
    match tried {
        Ok(CodeTried::Done) => see("/ui/gemini?done=cli"),
        Ok(CodeTried::Again { url, why }) => {
            let shown = Code {
                url: &url,
                message: &why,
            };
            page(StatusCode::UNPROCESSABLE_ENTITY, &shown)
        }
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}
