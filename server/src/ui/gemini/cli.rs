//! The gemini CLI's own login: the page says where to sign in, and takes the code that Google shows there.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use gateway::google::CodeTried;
use http::{Response, StatusCode};
use serde::Deserialize;
use vault::Secret;

use super::login::Wanted;
use super::page;
use super::sent::{Sent, shown};
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
    Sent { who, form }: Sent<Wanted>,
) -> Response<Body> {
    let begun = parts.logins.begin_cli(&who, &form.wish()).await;
    let begun = begun.map(|url| {
        let code = Code {
            url: &url,
            message: "",
        };
        page(StatusCode::OK, &code)
    });
    shown(&parts, &who, begun).await
}

/// `POST /ui/gemini/cli/code`
pub(super) async fn code(
    State(parts): State<Arc<UiParts>>,
    Sent { who, form }: Sent<Shown>,
) -> Response<Body> {
    let tried = parts.logins.try_code(&who, &Secret::new(form.code)).await;
    let tried = tried.map(|tried| match tried {
        CodeTried::Done => see("/ui/gemini?done=cli"),
        CodeTried::Again { url, why } => {
            let code = Code {
                url: &url,
                message: &why,
            };
            page(StatusCode::UNPROCESSABLE_ENTITY, &code)
        }
    });
    shown(&parts, &who, tried).await
}
