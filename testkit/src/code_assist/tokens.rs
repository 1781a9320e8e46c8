//! Where tokens are renewed, by a client that has a secret.
//!
//! What comes of a refresh token is told by what follows its beginning: of `1//fine…` an access token that works, of
//! `1//brief…` one that works for two minutes,
//! of `1//expired…` one that is good for nothing, and `1//revoked…` is none any more. Each access token is another.

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::ok;
use crate::vendor::{Play, Seen};

pub(super) const PATH: &str = "/token";
const LIFE_S: u64 = 3599;
const BRIEF_LIFE_S: u64 = 120;

/// The answer to the request of this number.
pub(super) fn renew(seen: &Seen, number: usize) -> Play {
    let form = String::from_utf8_lossy(&seen.body).into_owned();
    let of = |name: &str| {
        let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(found, _)| *found == name).map(|(_, value)| value);
        percent_decode_str(value.unwrap_or_default())
            .decode_utf8_lossy()
            .into_owned()
    };
    let refresh_token = of("refresh_token");
    let kind = refresh_token
        .strip_prefix("1//")
        .and_then(|rest| rest.split('-').next());
    match (of("grant_type").as_str(), kind) {
        ("refresh_token", Some(kind @ ("fine" | "brief" | "expired"))) => ok(&json!({
            "access_token": format!("ya29.{kind}-renewed-{number}"),
            "expires_in": if kind == "brief" { BRIEF_LIFE_S } else { LIFE_S }, "scope": "https://www.googleapis.com/auth/cloud-platform", "token_type": "Bearer",
        })),
        ("refresh_token", _) => {
            let gone =
                json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."});
            Play::json(400, gone.to_string())
        }
        _ => Play::json(400, json!({"error": "unsupported_grant_type"}).to_string()),
    }
}
