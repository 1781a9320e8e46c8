//! From a name to a connection: which addresses are taken, TLS, and how long it may last.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::SendFault;
use crate::address;
use crate::base_url::Trust;

/// How certificates are judged.
#[derive(Clone)]
pub(super) struct Tls(ClientConfig);

/// Certificate authorities that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the extra certificate authorities are not PEM certificates")]
pub struct TlsError;

/// Why no connection was made, where the error says no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectFault {
    #[error("connecting took too long")]
    TooSlow,
    #[error("the name leads to an address that may not be reached")]
    Forbidden,
}

/// Connects for one credential: by TCP and, where the URL says so, TLS with HTTP/2 or HTTP/1.1.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector<Resolver>>,
    timeout: Duration,
}

/// Looks names up. Only the addresses that it lets through are connected to, so a name that changes between check
/// and use gains nothing. Addresses that stand in the URL itself do not come here: `BaseUrl` has judged them.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) trust: Trust,
}

type BoxError = Box<dyn Error + Send + Sync>;
type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Tls {
    pub(super) fn new(extra_ca_pem: Option<&[u8]>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for certificate in extra_ca_pem
            .map(CertificateDer::pem_slice_iter)
            .into_iter()
            .flatten()
        {
            roots
                .add(certificate.map_err(|_| TlsError)?)
                .map_err(|_| TlsError)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(config))
    }
}

impl Connector {
    pub(super) fn new(tls: &Tls, trust: Trust, timeout: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver { trust });
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls.0.clone());
        let tls = match trust {
            Trust::Operator => tls.https_or_http(),
            Trust::Tenant => tls.https_only(),
        };
        Self {
            inner: tls.enable_http1().enable_http2().wrap_connector(http),
            timeout,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector<Resolver>> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.inner.call(uri));
        Box::pin(async move { connecting.await.map_err(|_| ConnectFault::TooSlow)? })
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let trust = self.trust;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = |at: &SocketAddr| trust == Trust::Operator || address::is_public(at.ip());
            let addresses: Vec<SocketAddr> = found.filter(allowed).collect();
            if addresses.is_empty() {
                return Err(ConnectFault::Forbidden.into());
            }
            Ok(addresses.into_iter())
        })
    }
}

impl ConnectFault {
    /// What an error means to whoever wanted to send something.
    pub(super) fn as_send_fault(error: &(dyn Error + 'static)) -> SendFault {
        let fault = std::iter::successors(Some(error), |error| (*error).source())
            .find_map(|error| error.downcast_ref::<Self>());
        match fault {
            Some(Self::TooSlow) => SendFault::ConnectTimeout,
            Some(Self::Forbidden) => SendFault::AddressForbidden,
            None => SendFault::Connect,
        }
    }
}
