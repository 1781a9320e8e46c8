//! A form that somebody sends who is signed in, and what is shown for it: whoever is not gets the form for that, and a form
//! that is none is told so.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Form, FromRequest};
use gateway::SignedIn;
use gateway::google::LoginFault;
use http::{Request, Response};
use serde::de::DeserializeOwned;

use super::page::show_fault;
use super::signed_in;
use crate::ui::UiParts;

/// It, and who sends it.
pub(super) struct Sent<T> {
    pub(super) who: SignedIn,
    pub(super) form: T,
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<UiParts>> for Sent<T> {
    type Rejection = Response<Body>;

    async fn from_request(request: Request<Body>, parts: &Arc<UiParts>) -> Result<Self, Response<Body>> {
        let who = signed_in(parts, request.headers()).await?;
        match Form::from_request(request, parts).await {
            Ok(Form(form)) => Ok(Self { who, form }),
            Err(_) => {
                let malformed = LoginFault::Invalid("the form did not arrive as it should".to_owned());
                Err(show_fault(parts, &who, &malformed).await)
            }
        }
    }
}

/// What is shown when it is done, or the page with why it is not.
pub(super) async fn shown(
    parts: &UiParts,
    who: &SignedIn,
    done: Result<Response<Body>, LoginFault>,
) -> Response<Body> {
    match done {
        Ok(response) => response,
        Err(fault) => show_fault(parts, who, &fault).await,
    }
}
