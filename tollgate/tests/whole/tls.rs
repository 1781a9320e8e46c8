//! A provider over TLS, seen from the binary: an authority of one's own is believed when it is set, and a certificate that
//! does not prove who answers gets no request.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testkit::database::TestDatabase;

use crate::raw::read_request;
use crate::world::{World, completion, request};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap()
}

fn named(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
    params.subject_alt_names = names.iter().map(name).collect();
    params
}

/// Answers over TLS at this port of the loopback; counts the requests that reach it.
fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> (u16, Arc<AtomicUsize>) {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = asked.clone();
    thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            let mut connection = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), connection);
            // Who does not believe us ends the handshake.
            if let Ok(true) = read_request(&mut connection) {
                counting.fetch_add(1, Ordering::SeqCst);
                let body = completion();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                connection.write_all(answer.as_bytes()).unwrap();
                connection.conn.send_close_notify();
                let _gone = connection.flush();
            }
        }
    });
    (port, asked)
}

/// What a call comes to at a provider with this certificate, and how many requests reached it.
fn call(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    host: &str,
    believed: Option<&Authority>,
) -> (u16, usize) {
    let (port, asked) = serve(certificate, key);
    let world = World::with(
        TestDatabase::sqlite(),
        &format!("https://{host}:{port}/v1"),
        |installation| match believed {
            Some(authority) => {
                let file = installation.folder().join("authority.pem");
                fs::write(&file, authority.pem()).unwrap();
                installation.set("TOLLGATE_UPSTREAM_CA_FILE", file.to_str().unwrap())
            }
            None => installation,
        },
    );
    let answer = world.chat(&request("custom/any", false));
    if answer.status != 200 {
        assert_eq!(answer.json()["error"]["code"], "provider_unreachable");
        assert_eq!(
            world.ledger(1).into_values().next().unwrap().outcome,
            "unreachable"
        );
    }
    (answer.status, asked.load(Ordering::SeqCst))
}

#[test]
fn an_authority_of_ones_own_is_believed_when_it_is_set() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let certificate = named(&["localhost"]).signed_by(&key, &authority).unwrap();
    let call = |believed| call(certificate.der().clone(), &key, "localhost", believed);
    assert_eq!(call(Some(&authority)), (200, 1));
    assert_eq!(call(None), (502, 0), "nobody vouches for it");
    assert_eq!(call(Some(&self::authority())), (502, 0), "a stranger's authority");
}

#[test]
fn a_certificate_that_does_not_prove_who_answers_gets_no_request() {
    let authority = authority();
    let (mut expired, mut early) = (named(&["localhost"]), named(&["localhost"]));
    expired.not_before = rcgen::date_time_ymd(2000, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    early.not_before = rcgen::date_time_ymd(4000, 1, 1);
    early.not_after = rcgen::date_time_ymd(4001, 1, 1);
    let mut common = named(&[]);
    common.distinguished_name.push(DnType::CommonName, "localhost");
    let cases = [
        ("another host", named(&["example.com"]), "localhost"),
        ("a name and not the address", named(&["localhost"]), "127.0.0.1"),
        ("everything", named(&["*"]), "localhost"),
        ("all names below it", named(&["*.localhost"]), "localhost"),
        (
            "a name with NUL in it",
            named(&["localhost\0.example.com"]),
            "localhost",
        ),
        ("a name that ends in NUL", named(&["localhost\0"]), "localhost"),
        ("a common name, which is none", common, "localhost"),
        ("expired", expired, "localhost"),
        ("not yet valid", early, "localhost"),
    ];
    for (name, params, host) in cases {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        assert_eq!(
            call(certificate.der().clone(), &key, host, Some(&authority)),
            (502, 0),
            "{name}"
        );
    }
    let key = KeyPair::generate().unwrap();
    let by_itself = named(&["localhost"]).self_signed(&key).unwrap();
    assert_eq!(
        call(by_itself.der().clone(), &key, "localhost", Some(&authority)),
        (502, 0),
        "signed by itself"
    );
}
