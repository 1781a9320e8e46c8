//! Requests to where the operator says: telemetry and check-ups, not calls.
//!
//! It stands here because this crate is the one that talks HTTP to others, by the same rules: no redirects, no proxies
//! of the environment. It shares no connection with calls.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::{ConnectFault, Connector, Tls};
use super::{SendFault, TlsError, UpstreamSettings};
use crate::base_url::Trust;

/// Carries requests to addresses that the operator has set, and the answers back.
pub struct Courier {
    client: Client<Connector, Full<Bytes>>,
}

/// For one request, from its connection to the end of its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer says little more than that it is one.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const IDLE: Duration = Duration::from_secs(30);

impl Courier {
    /// # Errors
    /// When the extra certificate authorities cannot be read.
    pub fn new(settings: &UpstreamSettings) -> Result<Self, TlsError> {
        let tls = Tls::new(settings.extra_ca_pem.as_deref())?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(Connector::new(&tls, Trust::Operator, settings.connect_timeout));
        Ok(Self { client })
    }

    /// Sends a request and waits for the head of its answer, whose body comes as it comes.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn open(&self, request: Request<Bytes>) -> Result<Response<Incoming>, SendFault> {
        let sent = self.client.request(request.map(Full::new)).await;
        sent.map_err(|error| fault_of(&error))
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is none, or it is too long or too late.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendFault> {
        let asked = async {
            let sent = self.client.request(request.map(Full::new)).await;
            let (head, body) = sent.map_err(|error| fault_of(&error))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|_| SendFault::Broken)?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(TIMEOUT, asked)
            .await
            .map_err(|_| SendFault::FirstByteTimeout)?
    }
}

fn fault_of(error: &legacy::Error) -> SendFault {
    if error.is_connect() {
        ConnectFault::as_send_fault(error)
    } else {
        SendFault::Broken
    }
}
