//! The whole login in a real browser, and a search for what must not be found afterwards.
//!
//! `cargo xtask test` says where the browser is: `TOLLGATE_TEST_CHROMIUM`. Without it these tests are skipped, and say so.

use std::process::Command;

use serde_json::Value;
use testkit::database::TestDatabase;

use super::google::{CLIENT_SECRET, Google, PACKAGES};
use super::{Gate, log_in};
use crate::canary::{dump, search};
use crate::sdk::{client, setting};
use crate::world::TENANT;

const CHROMIUM: &str = "TOLLGATE_TEST_CHROMIUM";

/// What somebody does, as the script tells it.
fn visit(gate: &Gate, base: &str) -> Value {
    let output = Command::new("node")
        .arg(client("browser.mjs"))
        .env("PACKAGES", setting(PACKAGES).unwrap())
        .env("CHROMIUM", setting(CHROMIUM).unwrap())
        .env("URL", base)
        .env("KEY", &gate.key)
        .output()
        .unwrap();
    let (told, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{wrong}\n{}", gate.serving.log());
    serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told} {wrong}"))
}

fn cookies(told: &Value, when: &str) -> Vec<Value> {
    told["cookies"][when].as_array().unwrap().clone()
}

#[test]
fn a_tenant_signs_in_by_a_browser_and_no_secret_is_left_anywhere() {
    if setting(CHROMIUM).is_none() {
        return;
    }
    let Some(google) = Google::start() else { return };
    for database in TestDatabase::each() {
        let gate = Gate::new(database, &google);
        let told = visit(&gate, gate.serving.url());
        assert_eq!(
            told["complaints"],
            serde_json::json!([
                "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
            ])
        );
        // Over plain http browsers take no `__Host-`, and on the machine itself they need not.
        let signed_in = cookies(&told, "signed in");
        assert_eq!(signed_in.len(), 1);
        let of = |name: &str| signed_in[0][name].clone();
        assert_eq!(
            (of("name"), of("httpOnly"), of("secure"), of("sameSite")),
            ("tg".into(), true.into(), false.into(), "Strict".into())
        );
        assert_eq!(
            cookies(&told, "logged in").len(),
            1,
            "the login's own cookie is gone"
        );
        assert_eq!(cookies(&told, "signed out").len(), 0);
        let mut secrets = vec![
            CLIENT_SECRET.to_owned(),
            vault::gateway_key::parse(&gate.key).unwrap().secret.to_owned(),
            of("value").as_str().unwrap().to_owned(),
        ];
        for made in 1..=20 {
            secrets.push(format!("ya29.access-canary-{made}-7Qm2"));
            secrets.push(format!("1//refresh-canary-{made}-k3Vd"));
            secrets.push(format!("id-canary-{made}-Zp0X"));
        }
        // The browser has removed its login; this one is in the database when that is searched.
        assert_eq!(log_in(&gate.visitor()).status, 303);
        assert!(google.grants("authorization_code") >= 2);
        search(
            "what the browser asked for",
            told["asked"].to_string().as_bytes(),
            &secrets,
        );
        search(
            "what the browser was shown",
            told["shown"].to_string().as_bytes(),
            &secrets,
        );
        search("the log", gate.serving.log().as_bytes(), &secrets);
        assert!(gate.serving.log().contains("TRACE"), "the log is there");
        let audit = gate.installation.run(&["audit", "--tenant", TENANT]);
        let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
        assert!(audit.contains("google_login.add"), "{audit}");
        search("the audit", audit.as_bytes(), &secrets);
        search("the database", &dump(&gate.database), &secrets);
    }
}

#[test]
fn over_tls_the_cookie_is_bound_to_the_host() {
    if setting(CHROMIUM).is_none() {
        return;
    }
    let Some(google) = Google::with_front() else {
        return;
    };
    let front = google.front.clone().unwrap();
    let gate = Gate::of(TestDatabase::sqlite(), |installation| {
        google.settings(installation).set("TOLLGATE_PUBLIC_URL", &front)
    });
    google.lead_to(gate.serving.url());
    let told = visit(&gate, &front);
    let signed_in = cookies(&told, "signed in");
    let of = |name: &str| signed_in[0][name].clone();
    assert_eq!(
        (
            of("name"),
            of("httpOnly"),
            of("secure"),
            of("sameSite"),
            of("path")
        ),
        (
            "__Host-tg".into(),
            true.into(),
            true.into(),
            "Strict".into(),
            "/".into()
        )
    );
    assert_eq!(cookies(&told, "signed out").len(), 0);
}
