//! What serves calls on one runtime, and what it is asked.

use std::sync::Arc;
use std::time::Instant;

use dialect::Dialect;
use dialect::codec::InPath;
use http::HeaderMap;
use provider::Upstreams;

use crate::call_id::CallId;
use crate::gateway::Gateway;

/// What serves calls on one runtime: the shared gateway, and upstream connections of its own.
pub struct Worker {
    pub gateway: Arc<Gateway>,
    pub upstreams: Upstreams,
}

/// One client request, as far as the way of a call needs it.
pub struct Request<'a> {
    /// The call's id, shown to the client as `x-request-id`.
    pub call_id: CallId,
    /// When the head of the request had been read.
    pub started: Instant,
    /// The gateway key as presented, if any.
    pub key: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub asked: Asked<'a>,
}

/// What is asked, as the endpoint says.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The client's dialect.
    pub dialect: Dialect,
    pub in_path: InPath<'a>,
}
