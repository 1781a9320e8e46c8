//! What is done with a login that is there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode};
use serde::Deserialize;

use super::page::{Notice, show_to};
use super::sent::{Sent, shown};
use crate::ui::{UiParts, see};

/// Which login.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    id: String,
}

/// Which login, and its project.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Project {
    id: String,
    project: String,
}

/// `POST /ui/gemini/consent`
pub(super) async fn consent(
    State(parts): State<Arc<UiParts>>,
    Sent { who, form }: Sent<One>,
) -> Response<Body> {
    let done = parts.logins.consent(&who, &form.id).await;
    shown(&parts, &who, done.map(|()| see("/ui/gemini?done=consent"))).await
}

/// `POST /ui/gemini/project`
pub(super) async fn project(
    State(parts): State<Arc<UiParts>>,
    Sent { who, form }: Sent<Project>,
) -> Response<Body> {
    let done = parts.logins.set_project(&who, &form.id, &form.project).await;
    shown(&parts, &who, done.map(|()| see("/ui/gemini?done=project"))).await
}

/// `POST /ui/gemini/test`
pub(super) async fn test(State(parts): State<Arc<UiParts>>, Sent { who, form }: Sent<One>) -> Response<Body> {
    let tested = match parts.logins.test(&who, &form.id).await {
        Ok(told) => Ok(show_to(&parts, &who, StatusCode::OK, Some(Notice::good(told))).await),
        Err(fault) => Err(fault),
    };
    shown(&parts, &who, tested).await
}

/// `POST /ui/gemini/remove`
pub(super) async fn remove(
    State(parts): State<Arc<UiParts>>,
    Sent { who, form }: Sent<One>,
) -> Response<Body> {
    let done = parts.logins.remove(&who, &form.id).await;
    shown(&parts, &who, done.map(|()| see("/ui/gemini?done=remove"))).await
}
