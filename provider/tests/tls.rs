//! Talking to providers over TLS: HTTP/2 where they have it, HTTP/1.1 where not, and nobody who cannot prove who they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first thing that is wrong"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use provider::{
    AT_ANY_TIME, AuthStyle, BaseUrl, Errand, SendFault, Timeouts, Trust, UpstreamSettings, Upstreams,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// A provider with a certificate for `localhost`, and the authority that vouches for it.
struct Provider {
    address: SocketAddr,
    authority_pem: Vec<u8>,
    /// Told when an answer's body was given up.
    gone: mpsc::UnboundedReceiver<()>,
}

/// Lets the test know when the answer it belongs to is dropped.
struct Told(mpsc::UnboundedSender<()>);

/// How a provider serves.
#[derive(Clone, Copy)]
struct Kind {
    streams_max: u32,
    /// Whether its answers go on for ever.
    is_endless: bool,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            streams_max: 100,
            is_endless: false,
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _nobody_asks = self.0.send(());
    }
}

impl Provider {
    async fn start(protocols: &[&[u8]]) -> Self {
        Self::with(
            protocols,
            CertificateParams::new(["localhost".to_owned()]).unwrap(),
        )
        .await
    }

    async fn with(protocols: &[&[u8]], names: CertificateParams) -> Self {
        Self::of_kind(protocols, names, Kind::default()).await
    }

    async fn of_kind(protocols: &[&[u8]], names: CertificateParams, kind: Kind) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = names.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, gone) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), tell, kind));
        let authority_pem = authority.pem().into_bytes();
        Self {
            address,
            authority_pem,
            gone,
        }
    }

    async fn ask(&self, upstreams: &Upstreams) -> Result<provider::Answer, SendFault> {
        let base_url = format!("https://localhost:{}/v1", self.address.port());
        let errand = Errand {
            credential_id: "cred-1",
            base_url: &BaseUrl::parse(&base_url, Trust::Operator).unwrap(),
            auth: AuthStyle::Bearer,
            dialect: dialect::Dialect::OpenaiChat,
            betas: &[],
            secret: None,
            method: Method::POST,
            path: "/chat/completions",
            body: vec![Bytes::from_static(b"{}")],
            streamed: true,
            attempt_id: "call-1",
            client_headers: &HeaderMap::new(),
            timeouts: &Timeouts::default(),
            may_go: AT_ANY_TIME,
        };
        soon(upstreams.send(errand)).await
    }
}

/// Answers with the version that was spoken, and then hangs.
async fn serve(listener: TcpListener, tls: TlsAcceptor, tell: mpsc::UnboundedSender<()>, kind: Kind) {
    while let Ok((connection, _)) = listener.accept().await {
        let (tls, tell) = (tls.clone(), tell.clone());
        tokio::spawn(async move {
            // A client that does not trust us ends the handshake.
            let Ok(connection) = tls.accept(connection).await else {
                return;
            };
            let service = service_fn(move |request: Request<Incoming>| {
                let told = Told(tell.clone());
                async move { Ok::<_, Infallible>(answer(request.version(), told, kind)) }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().max_concurrent_streams(kind.streams_max);
            let served = builder.serve_connection(TokioIo::new(connection), service).await;
            drop(served);
        });
    }
}

type Frames = futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

fn answer(version: Version, told: Told, kind: Kind) -> Response<StreamBody<Frames>> {
    use futures_util::{StreamExt as _, stream};
    if kind.is_endless {
        let piece = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 16 << 10]))));
        return Response::new(StreamBody::new(piece.boxed()));
    }
    let first = Frame::data(Bytes::from(format!("{version:?}")));
    let body = stream::once(async move { Ok(first) }).chain(stream::once(async move {
        let _told = told;
        std::future::pending().await
    }));
    Response::new(StreamBody::new(body.boxed()))
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_leaving_stops_the_answer() {
    for (protocols, version) in [
        (&[&b"h2"[..], b"http/1.1"][..], "HTTP/2.0"),
        (&[b"http/1.1"], "HTTP/1.1"),
    ] {
        let mut provider = Provider::start(protocols).await;
        let upstreams = trusting(Some(&provider.authority_pem));
        let mut answer = provider.ask(&upstreams).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            soon(answer.body.next()).await.unwrap().unwrap(),
            version.as_bytes()
        );
        drop(answer);
        soon(provider.gone.recv()).await.expect("the answer was given up");
    }
}

async fn of_kind(kind: Kind) -> (Provider, Upstreams) {
    let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let provider = Provider::of_kind(&[b"h2"], names, kind).await;
    let upstreams = trusting(Some(&provider.authority_pem));
    (provider, upstreams)
}

#[tokio::test]
async fn more_requests_than_one_connection_takes_go_over_others() {
    let (provider, upstreams) = of_kind(Kind {
        streams_max: 2,
        ..Kind::default()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..7 {
        let mut answer = provider.ask(&upstreams).await.unwrap();
        soon(answer.body.next()).await.unwrap().unwrap();
        held.push(answer);
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_do_not_hold_up_the_others() {
    let (provider, upstreams) = of_kind(Kind {
        is_endless: true,
        ..Kind::default()
    })
    .await;
    let mut left_lying = Vec::new();
    for _ in 0..8 {
        left_lying.push(provider.ask(&upstreams).await.unwrap());
    }
    let mut answer = provider.ask(&upstreams).await.unwrap();
    let mut taken = 0;
    while taken < 16 << 20 {
        taken += soon(answer.body.next()).await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_provider_whose_certificate_nobody_vouches_for_is_not_talked_to() {
    let provider = Provider::start(&[b"h2"]).await;
    let stranger = Provider::start(&[b"h2"]).await;
    for authority in [None, Some(&stranger.authority_pem)] {
        let upstreams = trusting(authority);
        assert_eq!(provider.ask(&upstreams).await.err(), Some(SendFault::Connect));
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_or_time_is_none() {
    let other = CertificateParams::new(["example.com".to_owned()]).unwrap();
    let mut expired = CertificateParams::new(["localhost".to_owned()]).unwrap();
    expired.not_before = rcgen::date_time_ymd(2000, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let mut early = CertificateParams::new(["localhost".to_owned()]).unwrap();
    early.not_before = rcgen::date_time_ymd(4000, 1, 1);
    early.not_after = rcgen::date_time_ymd(4001, 1, 1);
    for names in [other, expired, early] {
        let provider = Provider::with(&[b"h2"], names).await;
        let upstreams = trusting(Some(&provider.authority_pem));
        assert_eq!(provider.ask(&upstreams).await.err(), Some(SendFault::Connect));
    }
}

/// Nothing of a request is sent to who speaks in plain where TLS belongs, be it an answer that looks right.
#[tokio::test]
async fn who_answers_in_plain_gets_no_request() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let vouched = Provider::start(&[b"h2"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = Provider {
        address: listener.local_addr().unwrap(),
        ..vouched
    };
    let heard = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            .await
            .unwrap();
        let mut heard = Vec::new();
        // It may be reset.
        let _reset = connection.read_to_end(&mut heard).await;
        heard
    });
    let upstreams = trusting(Some(&plain.authority_pem));
    assert_eq!(plain.ask(&upstreams).await.err(), Some(SendFault::Connect));
    let heard = soon(heard).await.unwrap();
    assert!(!String::from_utf8_lossy(&heard).contains("chat/completions"));
}

fn trusting(authority_pem: Option<&Vec<u8>>) -> Upstreams {
    Upstreams::new(&UpstreamSettings {
        extra_ca_pem: authority_pem.cloned(),
        ..UpstreamSettings::default()
    })
    .unwrap()
}

/// Fails a test that would otherwise wait for what never comes.
async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), awaited)
        .await
        .expect("it comes")
}
