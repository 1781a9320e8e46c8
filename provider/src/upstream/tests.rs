use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connect::Resolver;
use super::*;
use crate::Trust;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nset-cookie: a=b\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";

/// Fails a test that would otherwise wait for what never comes.
async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), awaited)
        .await
        .expect("it comes")
}

struct Server {
    listener: TcpListener,
    base_url: BaseUrl,
    secret: Secret,
    headers: HeaderMap,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = format!("http://{}/v1", listener.local_addr().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer of-the-client".parse().unwrap());
        headers.insert("cookie", "c=1".parse().unwrap());
        headers.insert("openai-beta", "x=1".parse().unwrap());
        let base_url = BaseUrl::parse(&text, Trust::Operator).unwrap();
        Self {
            listener,
            base_url,
            secret: Secret::new("sk-1".to_owned()),
            headers,
        }
    }

    fn errand<'a>(&'a self, credential_id: &'a str, timeouts: &'a Timeouts) -> Errand<'a> {
        Errand {
            credential_id,
            base_url: &self.base_url,
            auth: AuthStyle::Bearer,
            dialect: Dialect::OpenaiChat,
            betas: &[],
            secret: Some(&self.secret),
            method: Method::POST,
            path: "/chat/completions",
            body: vec![Bytes::from_static(b"{\"a\":"), Bytes::from_static(b"1}")],
            streamed: true,
            attempt_id: "call-1",
            client_headers: &self.headers,
            timeouts,
            may_go: AT_ANY_TIME,
        }
    }

    /// Takes a connection and reads one request of `errand`'s from it.
    async fn accept(&self) -> (TcpStream, String) {
        let (mut connection, _) = soon(self.listener.accept()).await.unwrap();
        let text = request(&mut connection).await;
        (connection, text)
    }
}

async fn request(connection: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"{\"a\":1}") {
        assert_ne!(
            connection.read_buf(&mut read).await.unwrap(),
            0,
            "the connection was closed"
        );
    }
    String::from_utf8(read).unwrap()
}

fn upstreams() -> Upstreams {
    Upstreams::new(&UpstreamSettings::default()).unwrap()
}

#[tokio::test]
async fn a_request_is_built_from_nothing_and_an_answer_is_cut_down() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let serve = async {
        let (mut connection, text) = server.accept().await;
        connection.write_all(OK).await.unwrap();
        connection.write_all(b"0\r\n\r\n").await.unwrap();
        text
    };
    let (answer, text) = tokio::join!(upstreams.send(server.errand("cred-1", &timeouts)), serve);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.remove(0), "POST /v1/chat/completions HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.listener.local_addr().unwrap());
    let agent = format!("user-agent: tollgate/{}", env!("CARGO_PKG_VERSION"));
    let expected = [
        "accept-encoding: identity",
        "accept: text/event-stream",
        "authorization: Bearer sk-1",
        "content-length: 7",
        "content-type: application/json",
        &host,
        "openai-beta: x=1",
        &agent,
        "x-request-id: call-1",
        "{\"a\":1}",
    ];
    assert_eq!(lines, expected);
    let mut answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers.len()), (200, 1));
    assert_eq!(answer.body.next().await, Some(Ok(Bytes::from_static(b"first"))));
    assert_eq!(answer.body.next().await, None);
}

#[tokio::test]
async fn two_credentials_never_share_a_connection_and_one_keeps_its_own() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let send = async |credential: &str| {
        let mut answer = upstreams
            .send(server.errand(credential, &timeouts))
            .await
            .unwrap();
        while answer.body.next().await.is_some() {}
    };
    let serve = async {
        let (mut one, _) = server.accept().await;
        one.write_all(whole).await.unwrap();
        one
    };
    let ((), mut one) = tokio::join!(send("cred-1"), serve);
    let serve = async {
        let (mut other, _) = server.accept().await;
        other.write_all(whole).await.unwrap();
        other
    };
    let ((), _other) = tokio::join!(send("cred-2"), serve);
    let again = async {
        request(&mut one).await;
        one.write_all(whole).await.unwrap();
    };
    tokio::join!(send("cred-1"), again);
}

/// A credential whose secret or base URL was changed keeps its id.
#[tokio::test]
async fn another_secret_or_base_url_of_a_credential_is_another_connection() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let secret = Secret::new("sk-2".to_owned());
    let port = server.listener.local_addr().unwrap().port();
    let base_url = BaseUrl::parse(&format!("http://127.0.0.1:{port}/v2"), Trust::Operator).unwrap();
    let mut errands = [(); 4].map(|()| server.errand("cred-1", &timeouts));
    errands[1].secret = Some(&secret);
    errands[2].secret = None;
    errands[3].base_url = &base_url;
    let mut kept = Vec::new();
    for errand in errands {
        // One that went over a kept connection would never be accepted.
        let serve = async {
            let (mut connection, _) = server.accept().await;
            let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            connection.write_all(whole).await.unwrap();
            connection
        };
        let (answer, connection) = tokio::join!(upstreams.send(errand), serve);
        let mut answer = answer.unwrap();
        while answer.body.next().await.is_some() {}
        kept.push(connection);
    }
}

#[tokio::test]
async fn a_dropped_answer_closes_the_connection() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let serve = async {
        let (mut connection, _) = server.accept().await;
        connection.write_all(OK).await.unwrap();
        connection
    };
    let (answer, mut connection) = tokio::join!(upstreams.send(server.errand("cred-1", &timeouts)), serve);
    drop(answer.unwrap());
    let end = connection.read(&mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn a_provider_that_is_silent_or_cut_short_is_told_apart() {
    let (server, upstreams) = (Server::start().await, upstreams());
    let short = Duration::from_millis(30);
    let silent = Timeouts {
        first_byte_streamed: short,
        ..Timeouts::default()
    };
    let (answer, _held) = tokio::join!(
        soon(upstreams.send(server.errand("cred-1", &silent))),
        server.accept()
    );
    assert_eq!(answer.err(), Some(SendFault::FirstByteTimeout));
    let pausing = Timeouts {
        gap: short,
        ..Timeouts::default()
    };
    let ending = Timeouts {
        total: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let cut = Timeouts::default();
    let faults = [
        (pausing, BodyFault::GapTimeout),
        (ending, BodyFault::TotalTimeout),
        (cut, BodyFault::Cut),
    ];
    for (timeouts, expected) in faults {
        let serve = async {
            let (mut connection, _) = server.accept().await;
            connection.write_all(OK).await.unwrap();
            (expected != BodyFault::Cut).then_some(connection)
        };
        let (answer, _held) = tokio::join!(upstreams.send(server.errand("cred-1", &timeouts)), serve);
        let mut answer = answer.unwrap();
        assert_eq!(answer.body.next().await, Some(Ok(Bytes::from_static(b"first"))));
        assert_eq!(soon(answer.body.next()).await, Some(Err(expected)));
    }
}

#[tokio::test]
async fn what_cannot_be_an_answer_is_a_fault() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let table: [(&[u8], SendFault); 3] = [
        (b"", SendFault::Broken),
        (b"no http\r\n\r\n", SendFault::Broken),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
            SendFault::Encoded,
        ),
    ];
    for (bytes, expected) in table {
        let serve = async {
            let (mut connection, _) = server.accept().await;
            connection.write_all(bytes).await.unwrap();
        };
        let (answer, ()) = tokio::join!(upstreams.send(server.errand("cred-1", &timeouts)), serve);
        assert_eq!(answer.err(), Some(expected));
    }
    let bad = Secret::new("line\nbreak".to_owned());
    let errand = Errand {
        secret: Some(&bad),
        ..server.errand("cred-1", &timeouts)
    };
    assert_eq!(upstreams.send(errand).await.err(), Some(SendFault::BadSecret));
    drop(server.listener);
    let errand = Errand {
        credential_id: "cred-1",
        base_url: &server.base_url,
        auth: AuthStyle::None,
        dialect: Dialect::OpenaiChat,
        betas: &[],
        secret: None,
        method: Method::GET,
        path: "/models",
        body: Vec::new(),
        streamed: false,
        attempt_id: "call-2",
        client_headers: &server.headers,
        timeouts: &timeouts,
        may_go: AT_ANY_TIME,
    };
    assert_eq!(upstreams.send(errand).await.err(), Some(SendFault::Connect));
}

#[tokio::test]
async fn redirects_are_answers() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let serve = async {
        let (mut connection, _) = server.accept().await;
        connection
            .write_all(b"HTTP/1.1 307 R\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await
    };
    let (answer, _) = tokio::join!(upstreams.send(server.errand("cred-1", &timeouts)), serve);
    assert_eq!(answer.unwrap().status.as_u16(), 307);
}

#[tokio::test]
async fn a_tenants_name_that_leads_inside_is_not_resolved() {
    use tower_service::Service;
    let resolve = |trust| Resolver { trust }.call("localhost".parse().unwrap());
    assert!(resolve(Trust::Operator).await.unwrap().count() > 0);
    let error = resolve(Trust::Tenant).await.unwrap_err();
    assert_eq!(
        connect::ConnectFault::as_send_fault(error.as_ref()),
        SendFault::AddressForbidden
    );
}

#[test]
fn certificate_authorities_that_are_none_are_refused() {
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    let settings = UpstreamSettings {
        extra_ca_pem: Some(pem),
        ..UpstreamSettings::default()
    };
    assert_eq!(Upstreams::new(&settings).err(), Some(TlsError));
}

#[tokio::test]
async fn what_is_too_late_when_its_connection_stands_is_not_written() {
    let (server, upstreams, timeouts) = (Server::start().await, upstreams(), Timeouts::default());
    let errand = Errand {
        may_go: &|| false,
        ..server.errand("cred-1", &timeouts)
    };
    let serve = async {
        let (mut connection, _) = soon(server.listener.accept()).await.unwrap();
        let mut read = Vec::new();
        soon(connection.read_to_end(&mut read)).await.unwrap();
        read
    };
    let (answer, read) = tokio::join!(upstreams.send(errand), serve);
    assert_eq!((answer.err(), read), (Some(SendFault::Late), Vec::new()));
    assert!(SendFault::Late.is_before_the_first_byte());
}
