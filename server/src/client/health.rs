//! `GET /livez`, `/readyz` and `/healthz`.

use gateway::Gateway;
use http::{Response, StatusCode};
use serde_json::json;

use crate::answer::{self, Body};

/// The process runs and answers.
pub(crate) fn live() -> Response<Body> {
    answer::json(StatusCode::OK, json!({"status": "live"}).to_string())
}

/// Whether calls should be sent here. A database that is away does not change that: known keys go on being served.
pub(crate) fn ready(gateway: &Gateway) -> Response<Body> {
    let falling = gateway.vitals().falling();
    let (status, body) = if !gateway.admission().is_open() {
        (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "draining"}))
    } else if !gateway.ledger().is_well() {
        let body = json!({"status": "ledger_unavailable"});
        (StatusCode::SERVICE_UNAVAILABLE, body)
    } else if !falling.is_empty() {
        let body = json!({"status": "unwell", "falling": falling});
        (StatusCode::SERVICE_UNAVAILABLE, body)
    } else {
        (StatusCode::OK, json!({"status": "ready"}))
    };
    answer::json(status, body.to_string())
}

/// How the parts are, for people and dashboards.
pub(crate) fn health(gateway: &Gateway) -> Response<Body> {
    let store_answers = gateway.directory().store_answers();
    let is_well = gateway.ledger().is_well();
    let body = json!({
        "status": if store_answers && is_well { "ok" } else { "degraded" },
        "store": if store_answers { "ok" } else { "unavailable" },
        "ledger": {
            "status": if is_well { "ok" } else { "unavailable" },
            "waiting": gateway.ledger().waiting(),
        },
        "calls": {"in_flight": gateway.admission().in_flight()},
    });
    answer::json(StatusCode::OK, body.to_string())
}
