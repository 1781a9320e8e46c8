//! Tokens that end: renewed once, whoever asks; given up when Google says so; asked for with patience when it does not answer.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::database::{self, TestDatabase};
use testkit::process::Installation;

use super::google::Google;
use super::visitor::{Visitor, text};
use super::{Gate, log_in};
use crate::world::{PROGRAM, TENANT};

const PATIENCE: Duration = Duration::from_secs(20);
/// Those who ask at once, at each replica.
const ASKERS: usize = 12;
const END: &str = "UPDATE google_logins SET expires_at_ms = 1";

/// The id of the tenant's login.
fn id(gate: &Gate) -> String {
    let listed = gate.installation.ask(&["credential", "list", "--tenant", TENANT]);
    listed[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn of_two_replicas_under_load_one_renews_a_token_once() {
    let Some(google) = Google::start() else { return };
    let postgres = TestDatabase::each()
        .into_iter()
        .find(|database| !database.is_sqlite());
    let Some(database) = postgres else { return };
    let url = database.url().to_owned();
    // Both replicas are behind one address, as browsers see it.
    let gate = Gate::new(database, &google);
    let base = gate.serving.url().to_owned();
    let ring = gate.installation.master_key_file().display().to_string();
    let second = google
        .settings(Installation::new(PROGRAM, &url))
        .set("TOLLGATE_MASTER_KEY_FILE", &ring)
        .set("TOLLGATE_PUBLIC_URL", &base);
    let second = second.serve();
    let visitor = gate.visitor();
    assert_eq!(log_in(&visitor).status, 303);
    let id = id(&gate);
    for round in 1..=3 {
        database::execute(&url, END);
        std::thread::scope(|scope| {
            for asker in 0..2 * ASKERS {
                let at = if asker % 2 == 0 {
                    gate.serving.url()
                } else {
                    second.url()
                };
                let visitor = visitor.by(at);
                let id = id.as_str();
                scope.spawn(move || {
                    let answer = visitor.post("/ui/gemini/test", &[("id", id)]);
                    assert_eq!(answer.status, 200, "{}", text(&answer));
                    assert!(text(&answer).contains("one of someone@example.com"));
                });
            }
        });
        assert_eq!(google.grants("refresh_token"), round, "once for each token");
    }
    let audit = gate.installation.ask(&["audit", "--tenant", TENANT]);
    let renewed = audit
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["action"] == "google_login.renew");
    assert_eq!(renewed.count(), 3);
    println!(
        "{} askers at two replicas, three tokens: {} renewals",
        2 * ASKERS,
        google.grants("refresh_token")
    );
}

#[test]
fn a_token_is_renewed_before_anybody_asks() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    assert_eq!(log_in(&gate.visitor()).status, 303);
    database::execute(gate.database.url(), END);
    let Gate {
        serving,
        installation,
        ..
    } = gate;
    assert!(serving.stop().success());
    // It looks when it starts, and from then on every now and then.
    let _serving = installation.serve();
    let started = Instant::now();
    while google.grants("refresh_token") == 0 {
        assert!(started.elapsed() < PATIENCE, "nobody renews the token");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_login_that_google_has_ended_is_told_and_not_tried_again() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    let visitor = gate.visitor();
    assert_eq!(log_in(&visitor).status, 303);
    let id = id(&gate);
    google.next(json!({"times": 1000, "status": 400,
        "error": {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}}));
    database::execute(gate.database.url(), END);
    let test = || visitor.post("/ui/gemini/test", &[("id", &id)]);
    let answer = test();
    assert_eq!(answer.status, 502);
    assert!(
        text(&answer).contains("Token has been expired or revoked."),
        "{}",
        text(&answer)
    );
    let page = text(&visitor.get("/ui/gemini"));
    assert!(
        page.contains("ended by Google") && page.contains("Token has been expired or revoked."),
        "{page}"
    );
    for _ in 0..20 {
        assert_eq!(test().status, 502);
    }
    assert_eq!(google.grants("refresh_token"), 1);
    let doctor = gate.installation.run(&["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        told.contains("logins: login `work`") && told.contains("was ended by Google"),
        "{told}"
    );
    // Whoever signs in again has a login again.
    google.next(json!({"times": 0}));
    assert_eq!(log_in(&visitor).status, 303);
    assert_eq!(test().status, 200);
}

#[test]
fn google_is_not_pressed_when_it_fails() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    let visitor = gate.visitor();
    assert_eq!(log_in(&visitor).status, 303);
    let id = id(&gate);
    google.next(json!({"times": 1, "status": 503, "error": {"error": "temporarily_unavailable"}}));
    let url = gate.database.url();
    // A token that still lasts is used on.
    database::execute(
        url,
        "UPDATE google_logins SET expires_at_ms = expires_at_ms - 3300000",
    );
    assert_eq!(visitor.post("/ui/gemini/test", &[("id", &id)]).status, 200);
    assert_eq!(google.grants("refresh_token"), 1);
    database::execute(url, END);
    for _ in 0..20 {
        let answer = visitor.post("/ui/gemini/test", &[("id", &id)]);
        assert_eq!(answer.status, 502, "{}", text(&answer));
        assert!(
            text(&answer).contains("temporarily_unavailable"),
            "{}",
            text(&answer)
        );
    }
    assert_eq!(google.grants("refresh_token"), 1, "the next try is later");
    database::execute(url, "UPDATE google_logins SET retry_at_ms = 1");
    assert_eq!(visitor.post("/ui/gemini/test", &[("id", &id)]).status, 200);
    assert_eq!(google.grants("refresh_token"), 2);
}

#[test]
fn a_file_of_the_cli_is_added_by_the_command_line_and_waits_for_agreement() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    let add = [
        "credential",
        "add",
        "--tenant",
        TENANT,
        "--provider",
        "gemini-cli",
        "--name",
        "cli",
    ];
    let file = json!({"access_token": "ya29.x", "refresh_token": "1//x", "token_type": "Bearer", "scope": "s",
        "expiry_date": 4_102_444_800_000_i64});
    let refused = gate.installation.run_with(&add, "sk-not-a-login");
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no oauth_creds.json")
    );
    gate.installation.ask_with(&add, &file.to_string());
    let visitor: Visitor = gate.visitor();
    let page = text(&visitor.get("/ui/gemini"));
    assert!(
        page.contains("waits for your agreement") && page.contains("the gemini CLI&#39;s own login"),
        "{page}"
    );
    let doctor = gate.installation.run(&["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains("nobody has agreed to the warning"), "{told}");
    let id = id(&gate);
    assert_eq!(visitor.post("/ui/gemini/test", &[("id", &id)]).status, 422);
    assert_eq!(visitor.post("/ui/gemini/consent", &[("id", &id)]).status, 303);
    let page = text(&visitor.get("/ui/gemini"));
    assert!(
        page.contains(">good<") && page.contains(&format!("key:{}", gate.key_id)),
        "{page}"
    );
}
