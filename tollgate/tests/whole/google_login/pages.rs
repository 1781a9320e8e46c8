//! Who may see the pages, and do something there.

use std::time::{Duration, Instant};

use testkit::client;
use testkit::database::{self, TestDatabase};
use testkit::process::Installation;

use super::Gate;
use super::google::{Google, no_program};
use super::visitor::{Visitor, encoded, text};
use crate::world::{PROGRAM, TENANT};

/// A revoked key opens nothing any more.
const REFUSED: Duration = Duration::from_millis(1500);

#[test]
fn a_session_begins_with_a_key_and_ends_with_it() {
    let Some(google) = Google::start() else { return };
    for database in TestDatabase::each() {
        let gate = Gate::new(database, &google);
        let base = gate.serving.url();
        let nobody = Visitor::new(base);
        assert!(text(&nobody.get("/ui/gemini")).contains("Gateway key"));
        for key in ["", "sk-tg-nonsense", &gate.key.replace("sk-tg-", "sk-tg-0")] {
            let answer = nobody.post("/ui/gemini/sign-in", &[("key", key)]);
            assert_eq!((answer.status, nobody.cookies().len()), (401, 0), "{key}");
        }
        // A session that was planted before is none afterwards.
        let planted = gate.visitor().cookies();
        let visitor = Visitor::new(base);
        visitor.set_cookies(planted.clone());
        let answer = visitor.post("/ui/gemini/sign-in", &[("key", &gate.key)]);
        let cookie = answer.header("set-cookie").to_owned();
        assert!(
            cookie.starts_with("tg=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
        assert_ne!(visitor.cookies(), planted);
        let other = Visitor::new(base);
        other.set_cookies(planted);
        assert_eq!(other.get("/ui/gemini").status, 401);
        assert!(text(&visitor.get("/ui/gemini")).contains(TENANT));

        // After signing out the cookie is worth nothing.
        let leaving = gate.visitor();
        let kept = leaving.cookies();
        assert_eq!(leaving.post("/ui/gemini/sign-out", &[]).status, 303);
        assert_eq!(leaving.cookies().len(), 0);
        leaving.set_cookies(kept);
        assert_eq!(leaving.get("/ui/gemini").status, 401);

        for (statement, why) in [
            ("UPDATE ui_sessions SET seen_at_ms = seen_at_ms - 1800000", "idle"),
            (
                "UPDATE ui_sessions SET created_at_ms = created_at_ms - 28800000",
                "old",
            ),
        ] {
            let visitor = gate.visitor();
            database::execute(gate.database.url(), statement);
            assert_eq!(visitor.get("/ui/gemini").status, 401, "{why}");
        }
        let visitor = gate.visitor();
        gate.installation
            .ask(&["key", "revoke", &gate.key_id, "--tenant", TENANT]);
        let revoked = Instant::now();
        while visitor.get("/ui/gemini").status != 401 {
            assert!(revoked.elapsed() < REFUSED, "the key was revoked");
        }
    }
}

/// Whoever has a key administers the logins only where that key may use them, and as long as its secret lasts.
#[test]
fn a_key_for_other_models_has_no_session_and_a_session_ends_with_its_secret() {
    let gate = Gate::of(TestDatabase::sqlite(), |installation| installation);
    let key = |name: &str, models: &str| {
        let create = [
            "key", "create", "--tenant", TENANT, "--name", name, "--models", models,
        ];
        gate.installation.ask(&create)["secret"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let ask = |arguments: &[&str]| gate.installation.ask(arguments);
    let sign_in = |key: &str| {
        let visitor = Visitor::new(gate.serving.url());
        let answer = visitor.post("/ui/gemini/sign-in", &[("key", key)]);
        (answer.status, visitor)
    };
    ask(&[
        "route",
        "set",
        "mine-*",
        "--to",
        "gemini-cli/gemini-2.5-pro",
        "--tenant",
        TENANT,
    ]);
    let table = [
        ("gpt-*", 403),
        ("gemini-2.5-pro", 403),
        ("gemini-cli/*", 303),
        ("gemini-cli/gemini-2.5-flash", 303),
        ("mine-*", 303),
        ("gpt-*,*", 303),
    ];
    for (number, (models, status)) in table.into_iter().enumerate() {
        let key = key(&format!("key-{number}"), models);
        let deadline = Instant::now() + Duration::from_secs(30);
        // The route takes effect within a second.
        while sign_in(&key).0 != status {
            assert!(Instant::now() < deadline, "{models}: {}", sign_in(&key).0);
        }
    }

    let (status, visitor) = sign_in(&gate.key);
    assert_eq!((status, visitor.get("/ui/gemini").status), (303, 200));
    let rotate = ["key", "rotate", &gate.key_id, "--tenant", TENANT, "--grace", "1h"];
    let new = ask(&rotate)["secret"].as_str().unwrap().to_owned();
    let rotated = Instant::now();
    while visitor.get("/ui/gemini").status != 401 {
        assert!(rotated.elapsed() < REFUSED, "the key has another secret");
    }
    assert_eq!(
        client::get(&gate.serving.endpoint("/v1/models"), &gate.key).status,
        200
    );
    assert_eq!(
        sign_in(&gate.key).0,
        401,
        "a secret that ends soon begins nothing"
    );
    let deadline = rotated + Duration::from_secs(30);
    while sign_in(&new).1.get("/ui/gemini").status != 200 {
        assert!(Instant::now() < deadline, "the new secret begins no session");
    }
}

#[test]
fn only_our_own_pages_may_send_anything() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    let (base, visitor) = (gate.serving.url().to_owned(), gate.visitor());
    let paths = [
        "sign-in",
        "sign-out",
        "login",
        "cli/login",
        "cli/code",
        "import",
        "consent",
        "project",
        "test",
        "remove",
    ];
    for path in paths {
        let path = format!("/ui/gemini/{path}");
        let form = encoded(&[("name", "work"), ("consent", "yes")]);
        for headers in [
            &[][..],
            &[("origin", base.as_str())],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("origin", base.as_str()), ("sec-fetch-site", "same-site")],
            &[
                ("origin", base.as_str()),
                ("origin", "https://evil.example"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert_eq!(
                visitor.send("POST", &path, headers, &form).status,
                403,
                "{path} {headers:?}"
            );
        }
        assert_eq!(
            visitor.get(&path).status,
            405,
            "{path}: nothing is done by looking"
        );
    }
    let asked =
        |host: &str| client::open("GET", &format!("{base}/ui/gemini"), &[("host", host)], b"").finish();
    for host in ["evil.example", "localhost", "127.0.0.1:1"] {
        let answer = asked(host);
        assert_eq!(answer.status, 421, "{host}");
        assert!(text(&answer).contains(&format!("{base}/ui/gemini")));
    }
    let page = visitor.get("/ui/gemini");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(page.header(name), value);
    }
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(
        policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"),
        "{policy}"
    );
    let page = text(&page);
    assert!(!page.contains("<script") && !page.contains("style=") && !page.contains(&gate.key));
    for path in ["/ui/", "/ui/none", "/ui/gemini/", "/ui/gemini/callback/x"] {
        assert!([303, 404].contains(&visitor.get(path).status), "{path}");
    }
    let large = "a".repeat(200 << 10);
    assert_eq!(visitor.post("/ui/gemini/import", &[("file", &large)]).status, 413);
}

#[test]
fn what_is_not_set_up_is_said() {
    let off = Gate::of(TestDatabase::sqlite(), |installation| installation);
    let page = text(&off.visitor().get("/ui/gemini"));
    assert!(
        page.contains("switched off here") && page.contains("TOLLGATE_GEMINI_CLI"),
        "{page}"
    );
    assert!(!page.contains("<h2>Add a login"), "{page}");
    let answer = off.visitor().post("/ui/gemini/login", &[("consent", "yes")]);
    assert_eq!(answer.status, 409);
    let no_client = Gate::of(TestDatabase::sqlite(), |installation| {
        let program = no_program(&installation);
        installation.set("TOLLGATE_GEMINI_CLI", &program)
    });
    let page = text(&no_client.visitor().get("/ui/gemini"));
    let redirect = format!("{}/ui/gemini/callback", no_client.serving.url());
    for told in [
        "GOOGLE_CLIENT_ID",
        "GOOGLE_CLIENT_SECRET",
        &redirect,
        "through the gemini CLI",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    let half = Installation::new(PROGRAM, "sqlite:none.db").set("GOOGLE_CLIENT_ID", "x");
    let output = half.run(&["serve"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("GOOGLE_CLIENT_SECRET"));
}

#[test]
fn forms_that_make_no_sense_change_nothing() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    let visitor = gate.visitor();
    let refused = |path: &str, form: &[(&str, &str)], status: u16, why: &str| {
        let answer = visitor.post(path, form);
        let page = text(&answer);
        assert_eq!(answer.status, status, "{path} {form:?}: {page}");
        assert!(page.contains(why), "{path} {form:?}: {page}");
    };
    let file = r#"{"access_token":"a","refresh_token":"r","expiry_date":1}"#;
    let agreed = ("consent", "yes");
    refused(
        "/ui/gemini/login",
        &[("name", "work")],
        422,
        "Agree to the warning first",
    );
    refused(
        "/ui/gemini/login",
        &[("name", "work"), ("consent", "no")],
        422,
        "Agree to the warning first",
    );
    refused(
        "/ui/gemini/login",
        &[("name", "a b"), agreed],
        422,
        "A name is up to 64",
    );
    refused(
        "/ui/gemini/login",
        &[("project", "1234"), agreed],
        422,
        "its number is not its id",
    );
    refused(
        "/ui/gemini/login",
        &[("return_to", "https://evil.example"), agreed],
        422,
        "did not arrive",
    );
    refused(
        "/ui/gemini/import",
        &[("file", file)],
        422,
        "Agree to the warning first",
    );
    refused(
        "/ui/gemini/import",
        &[("file", "{}"), agreed],
        422,
        "no oauth_creds.json",
    );
    refused(
        "/ui/gemini/import",
        &[("file", r#"{"access_token":"a"}"#), agreed],
        422,
        "no refresh_token",
    );
    let foreign = r#"{"kind":"own_client","client_id":"other","access_token":"a","refresh_token":"r"}"#;
    refused(
        "/ui/gemini/import",
        &[("file", foreign), agreed],
        422,
        "not set up here",
    );
    for path in ["consent", "project", "test", "remove"] {
        let form: &[(&str, &str)] = if path == "project" {
            &[("id", "cred-none"), ("project", "p-1")]
        } else {
            &[("id", "cred-none")]
        };
        refused(&format!("/ui/gemini/{path}"), form, 404, "There is no such login");
    }
    assert!(text(&visitor.get("/ui/gemini")).contains("Your tenant has none yet"));
    // A login of one tenant is nobody else's.
    gate.installation.ask(&["tenant", "create", "other"]);
    let key = gate.installation.ask(&["key", "create", "--tenant", "other"])["secret"].clone();
    assert_eq!(
        visitor
            .post("/ui/gemini/import", &[("file", file), agreed])
            .status,
        303
    );
    let listed = gate.installation.ask(&["credential", "list", "--tenant", TENANT]);
    let id = listed[0]["id"].as_str().unwrap();
    let stranger = Visitor::signed_in(gate.serving.url(), key.as_str().unwrap());
    for path in ["consent", "test", "remove"] {
        assert_eq!(
            stranger.post(&format!("/ui/gemini/{path}"), &[("id", id)]).status,
            404,
            "{path}"
        );
    }
    assert_eq!(
        visitor
            .post("/ui/gemini/project", &[("id", id), ("project", "p-1")])
            .status,
        303
    );
    assert!(text(&visitor.get("/ui/gemini?done=project")).contains("p-1"));
    assert_eq!(visitor.post("/ui/gemini/remove", &[("id", id)]).status, 303);
    let listed = gate.installation.ask(&["credential", "list", "--tenant", TENANT]);
    assert_eq!(listed.as_array().unwrap().len(), 0);
}

#[test]
fn pages_can_be_apart_from_clients() {
    let gate = Gate::of(TestDatabase::sqlite(), |installation| {
        installation
            .set("TOLLGATE_ADMIN_LISTEN", "127.0.0.1:0")
            // Else this machine is one, and whoever asks without saying for whom.
            .set("TOLLGATE_TRUSTED_PROXIES", "none")
    });
    let mut lines = gate.serving.said().lines();
    let page = lines.find_map(|line| line.strip_prefix("pages on ")).unwrap();
    let own = page.strip_suffix("/ui/gemini").unwrap();
    let visitor = Visitor::signed_in(own, &gate.key);
    assert!(text(&visitor.get("/ui/gemini")).contains(TENANT));
    assert_eq!(visitor.get("/v1/models").status, 404, "no calls there");
    assert_eq!(
        client::get(&gate.serving.endpoint("/ui/gemini"), "").status,
        404,
        "no pages here"
    );
    // Whoever guesses keys there has to wait, whoever has one need not.
    let guesser = Visitor::new(own);
    let guess = || guesser.post("/ui/gemini/sign-in", &[("key", "sk-tg-guessed")]);
    let begun = Instant::now();
    let told: Vec<u16> = (0..110).map(|_| guess().status).collect();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "the guesses came within the period"
    );
    assert_eq!((told[0], told[109]), (401, 429), "{told:?}");
    assert_ne!(guess().header("retry-after"), "");
    assert_eq!(visitor.get("/ui/gemini").status, 200);
    assert!(gate.serving.stop().success());
}
