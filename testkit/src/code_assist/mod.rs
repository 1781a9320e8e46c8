//! Google's side of the Gemini CLI: Code Assist as the program of that name talks to it, on loopback.
//!
//! Who is asking is told by the access token ([`accounts`]), what is answered by the newest thing that the user said
//! ([`scene`]). Written from what the real program sends and what it makes of the answers; none of Google's code or hosts
//! are in here. It also renews tokens ([`tokens`]). As a proxy it refuses every tunnel, so that a program that is told to use it reaches nothing else.

#![expect(
    clippy::indexing_slicing,
    reason = "of JSON, where a member that is not there is null, and one that is set is made"
)]

mod accounts;
mod errors;
mod scene;
mod tokens;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::vendor::{Play, Seen, Vendor};
use scene::Scene;

/// A running one; it stops when dropped.
pub struct CodeAssist {
    vendor: Vendor,
}

/// A request to generate something, as it came.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The bearer.
    pub token: String,
    pub path: String,
    pub body: Value,
}

/// Where the paths of Google's service begin.
const METHODS: &str = "/v1internal:";
const GENERATE: &str = "streamGenerateContent";
/// The project of whoever has none of their own.
pub const PROJECT: &str = "project-of-the-tests";

impl CodeAssist {
    pub fn start() -> Self {
        let renewals = AtomicUsize::new(0);
        let script = move |seen: &Seen| {
            if seen.path == tokens::PATH {
                return tokens::renew(seen, renewals.fetch_add(1, Ordering::Relaxed) + 1);
            }
            answer(seen)
        };
        Self {
            vendor: Vendor::start(script),
        }
    }

    /// Where tokens are renewed.
    pub fn token_url(&self) -> String {
        format!("{}{}", self.base_url(), tokens::PATH)
    }

    /// How often somebody has asked for a new token.
    pub fn renewals(&self) -> usize {
        let seen = self.vendor.seen().into_iter();
        seen.filter(|seen| seen.path == tokens::PATH).count()
    }

    /// As the base URL of a credential, and as the proxy of the program.
    pub fn base_url(&self) -> String {
        let base_url = self.vendor.base_url();
        base_url.trim_end_matches("/v1").to_owned()
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.vendor.seen()
    }

    /// Those that asked for an answer of a model.
    pub fn generations(&self) -> Vec<Generation> {
        let seen = self.vendor.seen().into_iter();
        seen.filter(|seen| method(&seen.path) == Some(GENERATE))
            .map(|seen| Generation {
                token: token(&seen).to_owned(),
                body: serde_json::from_slice(&seen.body).unwrap_or_default(),
                path: seen.path,
            })
            .collect()
    }

    /// The last of those.
    pub fn last(&self) -> Generation {
        self.generations().pop().unwrap_or(Generation {
            token: String::new(),
            path: String::new(),
            body: Value::Null,
        })
    }

    /// Hosts that somebody wanted a tunnel to.
    pub fn tunnels(&self) -> Vec<String> {
        let seen = self.vendor.seen().into_iter();
        seen.filter(|seen| seen.method == "CONNECT")
            .map(|seen| seen.path)
            .collect()
    }

    /// Waits until so many answers that hung were given up by the other side.
    pub fn wait_until_gone(&self, count: usize) -> bool {
        self.vendor.wait_until_gone(count)
    }

    /// Waits until it has been asked for so many answers of a model.
    pub fn wait_until_generating(&self, count: usize) -> bool {
        (1..=100_000).any(|asked| {
            self.generations().len() >= count
                || !self.vendor.wait_until_asked(asked.max(self.seen().len() + 1))
        }) && self.generations().len() >= count
    }
}

/// The bearer of a request.
fn token(seen: &Seen) -> &str {
    let header = seen.headers.iter().find(|(name, _)| name == "authorization");
    header
        .and_then(|(_, value)| value.strip_prefix("Bearer "))
        .unwrap_or_default()
}

/// The method that a path names, whatever stands before it.
fn method(path: &str) -> Option<&str> {
    let (_, method) = path.split_once(METHODS)?;
    method.split('?').next()
}

fn answer(seen: &Seen) -> Play {
    if seen.method == "CONNECT" {
        return Play::json(403, "{}");
    }
    let token = token(seen);
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    if seen.path.contains("/oauth2/v2/userinfo") {
        return ok(&json!({"id": "1", "email": "somebody@example.test"}));
    }
    if token.is_empty() || accounts::is_expired(token) {
        return errors::unauthenticated();
    }
    match method(&seen.path) {
        Some("loadCodeAssist") => accounts::load(token, &body),
        Some("onboardUser") => accounts::onboard(token),
        Some("retrieveUserQuota") => ok(&accounts::quota()),
        Some("listExperiments") => ok(&json!({"experimentIds": [], "flags": []})),
        Some("countTokens") => ok(&json!({"totalTokens": scene::words(&body["request"]["contents"])})),
        Some("fetchAdminControls" | "recordCodeAssistMetrics") => ok(&json!({})),
        Some(GENERATE) => Scene::of(&body).play(),
        _ => errors::google(404, "NOT_FOUND", "There is no such method here.", &[]),
    }
}

fn ok(body: &Value) -> Play {
    Play::json(200, body.to_string())
}
