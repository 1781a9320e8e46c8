use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{BaseUrl, Trust, UpstreamSettings};

/// For statuses: a token server that closes the connection, and one that answers as it was not asked to.
const BREAKS: u16 = 0;
const PACKS: u16 = 1;

/// A vendor and its token server in one, at a free port of loopback.
struct Google {
    address: String,
    key: KeyPair,
    asked: AtomicUsize,
    served: Mutex<Vec<String>>,
    /// What the token server answers: status, and for how long a token lasts.
    grants: Mutex<(u16, u64)>,
}

impl Google {
    async fn start(grants: (u16, u64)) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let google = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            key: KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
            asked: AtomicUsize::new(0),
            served: Mutex::default(),
            grants: Mutex::new(grants),
        });
        let serving = google.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(connection));
            }
        });
        google
    }

    /// One request, on a connection that is closed then.
    async fn serve(self: Arc<Self>, mut connection: TcpStream) {
        let (head, body) = read(&mut connection).await;
        let (status, answer) = if head.starts_with("POST /token ") {
            self.check(&head, &body);
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            let (status, lasts_s) = *locked(&self.grants);
            // So that those who come meanwhile have to wait.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let granted = format!(
                r#"{{"access_token":"token-{number}","expires_in":{lasts_s},"token_type":"Bearer"}}"#
            );
            if status == BREAKS {
                return;
            }
            (status, granted)
        } else {
            locked(&self.served).push(head);
            (200, "{}".to_owned())
        };
        let length = answer.len();
        if status == PACKS {
            let answer = "HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n";
            let _ = connection.write_all(answer.as_bytes()).await;
            return;
        }
        let answer =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
        let _ = connection.write_all(answer.as_bytes()).await;
    }

    /// What is asked with is what Google documents, signed by the account's key.
    fn check(&self, head: &str, body: &str) {
        assert!(
            head.contains("content-type: application/x-www-form-urlencoded"),
            "{head}"
        );
        assert!(!head.contains("authorization"), "{head}");
        let assertion = body.strip_prefix(GRANT).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[self.token_uri()]);
        validation.set_issuer(&["me@project.example"]);
        let key = DecodingKey::from_rsa_pem(self.key.public_key_pem().as_bytes()).unwrap();
        let token = jsonwebtoken::decode::<serde_json::Value>(assertion, &key, &validation).unwrap();
        assert_eq!(token.header.kid.as_deref(), Some("kid-1"));
        assert_eq!(
            token.claims["scope"],
            "https://www.googleapis.com/auth/cloud-platform"
        );
        let lasts = token.claims["exp"].as_u64().unwrap() - token.claims["iat"].as_u64().unwrap();
        assert_eq!(lasts, 3_600);
    }

    fn token_uri(&self) -> String {
        format!("http://{}/token", self.address)
    }

    fn file(&self) -> Secret {
        let file = serde_json::json!({
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "kid-1",
            "private_key": self.key.serialize_pem(),
            "client_email": "me@project.example",
            "token_uri": self.token_uri(),
        });
        Secret::new(file.to_string())
    }

    async fn send(&self, upstreams: &Upstreams, file: &Secret) -> Result<StatusCode, SendFault> {
        let text = format!(
            "http://{}/v1/projects/p/locations/l/publishers/google",
            self.address
        );
        let errand = Errand {
            credential_id: "cred-1",
            base_url: &BaseUrl::parse(&text, Trust::Operator).unwrap(),
            auth: AuthStyle::GoogleServiceAccount,
            dialect: Dialect::GeminiGenerate,
            betas: &[],
            secret: Some(file),
            method: Method::POST,
            path: "/models/gemini-3-pro:generateContent",
            body: vec![Bytes::from_static(b"{}")],
            streamed: false,
            attempt_id: "call-1",
            client_headers: &HeaderMap::new(),
            timeouts: &Timeouts::default(),
            may_go: AT_ANY_TIME,
        };
        let sent = tokio::time::timeout(Duration::from_secs(20), upstreams.send(errand)).await;
        sent.unwrap().map(|answer| answer.status)
    }

    /// The bearers that the vendor was shown, in order.
    fn bearers(&self) -> Vec<String> {
        let of_head = |head: &String| {
            let line = head
                .lines()
                .find_map(|line| line.strip_prefix("authorization: Bearer "));
            line.unwrap().to_owned()
        };
        locked(&self.served).iter().map(of_head).collect()
    }
}

/// Head and body of a request, whose length stands in the head.
async fn read(connection: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    loop {
        let mut piece = [0; 4096];
        let count = connection.read(&mut piece).await.unwrap();
        assert_ne!(count, 0, "the connection was closed");
        text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse().unwrap() {
                return (head.to_owned(), body.to_owned());
            }
        }
    }
}

const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";

fn upstreams(tokens: &Tokens) -> Upstreams {
    let settings = UpstreamSettings {
        tokens: tokens.clone(),
        tokens_of_anybody: true,
        ..UpstreamSettings::default()
    };
    Upstreams::new(&settings).unwrap()
}

#[tokio::test]
async fn many_calls_at_once_ask_for_one_token_on_whatever_worker() {
    let google = Google::start((200, 3_600)).await;
    let (file, tokens) = (google.file(), Tokens::default());
    let workers = [upstreams(&tokens), upstreams(&tokens)];
    let calls = (0..20).map(|number| google.send(&workers[number % 2], &file));
    for sent in futures_util::future::join_all(calls).await {
        assert_eq!(sent, Ok(StatusCode::OK));
    }
    assert_eq!(google.send(&workers[0], &file).await, Ok(StatusCode::OK));
    assert_eq!(google.asked.load(Ordering::SeqCst), 1);
    assert_eq!(google.bearers(), vec!["token-1"; 21]);
    let path = "POST /v1/projects/p/locations/l/publishers/google/models/gemini-3-pro:generateContent ";
    assert!(locked(&google.served)[0].starts_with(path));
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_used_until_then_when_that_fails() {
    // Less than the time ahead of which a token is renewed.
    let google = Google::start((200, 200)).await;
    let (file, worker) = (google.file(), upstreams(&Tokens::default()));
    assert_eq!(google.send(&worker, &file).await, Ok(StatusCode::OK));
    assert_eq!(google.send(&worker, &file).await, Ok(StatusCode::OK));
    *locked(&google.grants) = (503, 0);
    assert_eq!(google.send(&worker, &file).await, Ok(StatusCode::OK));
    assert_eq!(google.send(&worker, &file).await, Ok(StatusCode::OK));
    assert_eq!(google.bearers(), ["token-1", "token-2", "token-2", "token-2"]);
}

#[tokio::test]
async fn a_token_that_does_not_come_is_a_fault_of_its_own_told_to_all_who_wait() {
    for (status, expected) in [
        (400, SendFault::TokenRefused),
        (401, SendFault::TokenRefused),
        (500, SendFault::NoToken),
        (302, SendFault::NoToken),
        (BREAKS, SendFault::NoToken),
        (PACKS, SendFault::NoToken),
    ] {
        let google = Google::start((status, 0)).await;
        let (file, worker) = (google.file(), upstreams(&Tokens::default()));
        let calls = (0..5).map(|_| google.send(&worker, &file));
        for sent in futures_util::future::join_all(calls).await {
            assert_eq!(sent, Err(expected), "{status}");
        }
        assert_eq!(google.asked.load(Ordering::SeqCst), 1);
        assert!(google.bearers().is_empty());
    }
}

#[tokio::test]
async fn another_key_file_is_another_token() {
    let google = Google::start((200, 3_600)).await;
    let worker = upstreams(&Tokens::default());
    let file = google.file();
    assert_eq!(google.send(&worker, &file).await, Ok(StatusCode::OK));
    let other = Secret::new(file.expose().replace("\"project\"", "\"other\""));
    assert_eq!(google.send(&worker, &other).await, Ok(StatusCode::OK));
    assert_eq!(google.bearers(), ["token-1", "token-2"]);
}

#[tokio::test]
async fn what_is_no_key_file_of_a_service_account_is_a_bad_secret() {
    let google = Google::start((200, 3_600)).await;
    let worker = upstreams(&Tokens::default());
    let whole = google.file();
    let without_key = whole.expose().replace("PRIVATE KEY", "SECRET");
    for text in ["", "AIza-key", "{}", &without_key] {
        let sent = google.send(&worker, &Secret::new(text.to_owned())).await;
        assert_eq!(sent, Err(SendFault::BadSecret));
    }
    // What a tenant's file says leads to no place that their base URL could not lead to.
    assert!(ServiceAccount::read(&whole, Trust::Tenant, true).is_none());
    // Nor does anybody but Google get what is good for a token.
    assert!(ServiceAccount::read(&whole, Trust::Operator, false).is_none());
    assert_eq!(google.asked.load(Ordering::SeqCst), 0);
}
