//! What an account may do, told by how its access token begins.
//!
//! `ya29.fine…` works. `ya29.expired…` is good for nothing. `ya29.individual…`, `ya29.ineligible…` and `ya29.validate…`
//! are told so when the program starts; `ya29.banned…` and `ya29.disabled…` get an error there. `ya29.company…` has a tier
//! that wants a project, `ya29.new…` has none yet.

use serde_json::{Value, json};

use super::errors::{google, info};
use super::{PROJECT, ok};
use crate::vendor::Play;

pub(super) fn is_expired(token: &str) -> bool {
    kind(token) == "expired"
}

/// The word after the beginning that all tokens have.
fn kind(token: &str) -> &str {
    let rest = token.strip_prefix("ya29.").unwrap_or_default();
    rest.split('-').next().unwrap_or_default()
}

pub(super) fn load(token: &str, body: &Value) -> Play {
    let free = json!({"id": "free-tier", "name": "Gemini Code Assist for individuals"});
    let ineligible = |code: &str, message: &str| {
        json!({
            "reasonCode": code, "reasonMessage": message, "tierId": "free-tier",
            "tierName": "Gemini Code Assist for individuals",
            "validationUrl": "https://accounts.example.test/verify",
        })
    };
    match kind(token) {
        "new" => ok(&json!({"allowedTiers": [{"id": "free-tier", "name": "free", "isDefault": true}]})),
        "company" => ok(&json!({"currentTier": {"id": "standard-tier", "name": "Gemini Code Assist"}})),
        "individual" => {
            let message = "This client is no longer supported for Gemini Code Assist for individuals. To continue using \
                           Gemini, please migrate to the Antigravity suite of products: https://antigravity.google";
            let reason = ineligible("UNSUPPORTED_CLIENT", message);
            ok(&json!({"currentTier": free, "allowedTiers": [], "ineligibleTiers": [reason]}))
        }
        "ineligible" => {
            let message = "Your current account is not eligible for Gemini Code Assist for individuals.";
            let reason = ineligible("INELIGIBLE_ACCOUNT", message);
            ok(&json!({"allowedTiers": [], "ineligibleTiers": [reason]}))
        }
        "validate" => {
            let reason = ineligible("VALIDATION_REQUIRED", "Verify your account to continue.");
            ok(&json!({"allowedTiers": [], "ineligibleTiers": [reason]}))
        }
        "banned" => {
            let message = "This service has been disabled in this account for violation of Terms of Service. Please \
                           submit an appeal to continue using this product.";
            google(403, "PERMISSION_DENIED", message, &[info("TOS_VIOLATION")])
        }
        "disabled" => {
            let message = "Cloud Code Private API has not been used in project 424242 before or it is disabled. Enable \
                           it by visiting https://console.developers.google.com/apis then retry.";
            google(403, "PERMISSION_DENIED", message, &[info("SERVICE_DISABLED")])
        }
        _ => {
            let project = body["cloudaicompanionProject"].as_str().unwrap_or(PROJECT);
            ok(&json!({"currentTier": free, "cloudaicompanionProject": project}))
        }
    }
}

pub(super) fn onboard(token: &str) -> Play {
    if kind(token) == "ineligible" {
        return ok(&json!({"name": "operations/1", "done": true, "response": {}}));
    }
    ok(&json!({
        "name": "operations/1", "done": true,
        "response": {"cloudaicompanionProject": {"id": PROJECT, "name": PROJECT}},
    }))
}

pub(super) fn quota() -> Value {
    let bucket = |model: &str| json!({"modelId": model, "remainingFraction": 0.9, "resetTime": "2040-01-01T00:00:00Z"});
    json!({"buckets": [bucket("gemini-2.5-pro"), bucket("gemini-2.5-flash")]})
}
