//! Somebody who visits the pages by plain HTTP, with what a browser sends and keeps.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use testkit::client::{self, Answer};

/// One browser.
pub(crate) struct Visitor {
    base: String,
    /// Where that is.
    to: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Visitor {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            to: base.to_owned(),
            cookies: Mutex::default(),
        }
    }

    /// Signs in and sees that it is.
    pub(crate) fn signed_in(base: &str, key: &str) -> Self {
        let visitor = Self::new(base);
        let answer = visitor.post("/ui/gemini/sign-in", &[("key", key)]);
        assert_eq!((answer.status, answer.header("location")), (303, "/ui/gemini"));
        visitor
    }

    /// The same browser, whose proxy takes it to another replica of the same gateway.
    pub(crate) fn by(&self, to: &str) -> Self {
        Self {
            base: self.base.clone(),
            to: to.to_owned(),
            cookies: Mutex::new(self.cookies()),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// Sends a form from one of our own pages.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let base = self.base.clone();
        self.send(
            "POST",
            path,
            &[("origin", &base), ("sec-fetch-site", "same-origin")],
            &encoded(form),
        )
    }

    /// Sends a request with these headers besides the cookies.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookies = self.cookies();
        let cookies: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut all = headers.to_vec();
        let host = self.base.trim_start_matches("http://");
        all.push(("host", host));
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        if !body.is_empty() {
            all.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let answer = client::open(method, &format!("{}{path}", self.to), &all, body.as_bytes()).finish();
        self.keep(&answer);
        answer
    }

    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_cookies(&self, cookies: BTreeMap<String, String>) {
        *self.cookies.lock().unwrap_or_else(PoisonError::into_inner) = cookies;
    }

    fn keep(&self, answer: &Answer) {
        let mut kept = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// A page as text.
pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Where the page leads to that sends a browser to Google.
pub(crate) fn link_away(answer: &Answer) -> String {
    let text = text(answer);
    let (_, rest) = text.split_once("id=\"leave\"").expect("a link to Google");
    let (_, rest) = rest.split_once("href=\"").unwrap();
    let link = rest.split('"').next().unwrap();
    link.replace("&#38;", "&").replace("&amp;", "&")
}

/// What stands behind this name in an address.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(found, _)| *found == name);
    found.next().map(|(_, value)| value.to_owned())
}

pub(crate) fn encoded(form: &[(&str, &str)]) -> String {
    let letter = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    let text = |text: &str| text.bytes().map(letter).collect::<String>();
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", text(name), text(value)))
        .collect();
    pairs.join("&")
}
