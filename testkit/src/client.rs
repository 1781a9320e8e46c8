//! A client that shows what came over the wire, byte by byte.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;
use ureq::http::HeaderMap;
use ureq::{Agent, Body, RequestExt as _};

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// An answer whose body is being read.
pub struct Open {
    pub status: u16,
    pub headers: HeaderMap,
    body: Box<dyn Read + Send>,
}

/// Longer than any answer of a test may take: a gateway that hangs is a failed test, not one that never ends.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

impl Open {
    /// The next bytes; empty at the end.
    pub fn read(&mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let read = self.body.read(&mut buffer).unwrap_or(0);
        buffer.get(..read).unwrap_or_default().to_vec()
    }

    /// Reads to the end.
    pub fn finish(mut self) -> Answer {
        let mut body = Vec::new();
        // What came before a break is what a test looks at.
        let _broken = self.body.read_to_end(&mut body);
        Answer {
            status: self.status,
            headers: self.headers,
            body,
        }
    }
}

/// Sends a request and waits for the head of its answer.
#[expect(clippy::expect_used, reason = "a test without its answer has failed")]
pub fn open(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Open {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .proxy(None)
        // What is answered is what a test looks at, be it a redirect.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_vec()).expect("a request");
    let response: ureq::http::Response<Body> = request.with_agent(&agent).run().expect("an answer");
    let (head, body) = response.into_parts();
    Open {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Box::new(body.into_reader()),
    }
}

/// `POST`, as JSON, with a gateway key.
pub fn post(url: &str, key: &str, body: &[u8]) -> Answer {
    open_post(url, key, body).finish()
}

/// The same, up to the head of the answer.
pub fn open_post(url: &str, key: &str, body: &[u8]) -> Open {
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    open("POST", url, &headers, body)
}

/// `GET`, with a gateway key.
pub fn get(url: &str, key: &str) -> Answer {
    open("GET", url, &[("authorization", &format!("Bearer {key}"))], b"").finish()
}
