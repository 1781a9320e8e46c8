//! What is done with a login that is there.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;

use super::login::malformed;
use super::page::{Notice, show_fault, show_to};
use super::signed_in;
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

type Sent<T> = Result<Form<T>, FormRejection>;

/// `POST /ui/gemini/consent`
pub(super) async fn consent(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Sent<One>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let done = match form {
        Ok(Form(one)) => parts.logins.consent(&who, &one.id).await,
        Err(_) => Err(malformed()),
    };
    match done {
        Ok(()) => see("/ui/gemini?done=consent"),
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}

/// `POST /ui/gemini/project`
pub(super) async fn project(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Sent<Project>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let done = match form {
        Ok(Form(Project { id, project })) => parts.logins.set_project(&who, &id, &project).await,
        Err(_) => Err(malformed()),
    };
    match done {
        Ok(()) => see("/ui/gemini?done=project"),
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}

/// `POST /ui/gemini/test`
pub(super) async fn test(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Sent<One>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let tested = match form {
        Ok(Form(one)) => parts.logins.test(&who, &one.id).await,
        Err(_) => Err(malformed()),
    };
    match tested {
        Ok(told) => show_to(&parts, &who, StatusCode::OK, Some(Notice::good(told))).await,
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}

/// `POST /ui/gemini/remove`
pub(super) async fn remove(
    State(parts): State<Arc<UiParts>>,
    headers: HeaderMap,
    form: Sent<One>,
) -> Response<Body> {
    let who = match signed_in(&parts, &headers).await {
        Ok(who) => who,
        Err(refused) => return refused,
    };
    let done = match form {
        Ok(Form(one)) => parts.logins.remove(&who, &one.id).await,
        Err(_) => Err(malformed()),
    };
    match done {
        Ok(()) => see("/ui/gemini?done=remove"),
        Err(fault) => show_fault(&parts, &who, &fault).await,
    }
}
