//! Cookies: what a browser holds of a session, and of a login while it is away.
//!
//! On https they are called `__Host-…`, which browsers keep for exactly this host and send over TLS alone. Over plain http
//! browsers take neither that name nor `Secure`; the pages are served so on the machine itself only.
//!
//! The session's cookie is not sent with a request that another site caused, so it is not there when a browser comes back
//! from Google. A login therefore has a cookie of its own, which is sent then, is good for that alone, and ends with it.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use vault::Secret;

use super::Origin;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    Session,
    Login,
}

/// What ours hold: letters and digits.
const VALUE_LEN_MAX: usize = 64;

impl Cookie {
    fn name(self, origin: &Origin) -> &'static str {
        match (self, origin.is_secure()) {
            (Self::Session, true) => "__Host-tg",
            (Self::Session, false) => "tg",
            (Self::Login, true) => "__Host-tg-login",
            (Self::Login, false) => "tg-login",
        }
    }

    /// The value that a browser sends; none where it sends none, or several: one of them may be planted.
    pub(super) fn of(self, origin: &Origin, headers: &HeaderMap) -> Option<Secret> {
        let name = self.name(origin);
        let lines = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let mut values = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value);
        let value = values.next().filter(|_| values.next().is_none())?;
        let is_ours = (1..=VALUE_LEN_MAX).contains(&value.len())
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_ours.then(|| Secret::new(value.to_owned()))
    }

    /// The header that lets a browser keep it.
    pub(super) fn keep(self, origin: &Origin, value: &Secret) -> Option<HeaderValue> {
        let life = match self {
            // To the end of the browser's own session; ours ends sooner, and in the database.
            Self::Session => "",
            Self::Login => "; Max-Age=600",
        };
        self.header(origin, value.expose(), life)
    }

    /// The header that lets a browser forget it.
    pub(super) fn forget(self, origin: &Origin) -> Option<HeaderValue> {
        self.header(origin, "", "; Max-Age=0")
    }

    fn header(self, origin: &Origin, value: &str, life: &str) -> Option<HeaderValue> {
        let name = self.name(origin);
        let secure = if origin.is_secure() { "; Secure" } else { "" };
        let same_site = match self {
            Self::Session => "Strict",
            Self::Login => "Lax",
        };
        let text = format!("{name}={value}; Path=/; HttpOnly{secure}; SameSite={same_site}{life}");
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}
