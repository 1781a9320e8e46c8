//! Calls whose token ends, or is refused: renewed once, for all of them, and never over and over.

use serde_json::json;
use testkit::client::{self, Answer};
use testkit::code_assist::CodeAssist;
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};

use super::desk::{LASTING_MS, MODEL, chat, installed, own_client, script, sign_in_by_own_client};
use super::life::until;
use crate::google_login::visitor::{Visitor, text};

/// Calls at once, at each replica.
const CALLS: usize = 12;
const ENDED_MS: i64 = 1_000;

/// A tenant whose login is by the operator's own client.
struct House {
    google: CodeAssist,
    installation: Installation,
    database: TestDatabase,
    key: String,
}

impl House {
    /// None where the program is not installed.
    fn of(database: TestDatabase) -> Option<Self> {
        let script = script()?;
        let google = CodeAssist::start();
        let installation = own_client(installed(&script, &database, &google), &google);
        installation.ask(&["migrate"]);
        installation.ask(&["tenant", "create", "acme"]);
        let key = installation.ask(&["key", "create", "--tenant", "acme", "--name", "tests"]);
        Some(Self {
            google,
            installation,
            database,
            key: key["secret"].as_str().unwrap().to_owned(),
        })
    }

    fn sign_in(&self, tokens: (&str, &str), expiry_date: i64) {
        sign_in_by_own_client(
            &self.installation,
            "acme",
            tokens,
            expiry_date,
            &self.google.base_url(),
        );
    }

    fn ask(&self, serving: &Serving, prompt: &str) -> Answer {
        let endpoint = serving.endpoint("/v1/chat/completions");
        client::post(&endpoint, &self.key, chat(prompt).to_string().as_bytes())
    }

    /// Whether calls have a login there.
    fn reaches(&self, serving: &Serving) -> bool {
        let models = client::get(&serving.endpoint("/v1/models"), &self.key);
        models.json().to_string().contains(MODEL)
    }

    /// What the tenant is shown of its logins.
    fn page(&self, serving: &Serving) -> String {
        text(&Visitor::signed_in(serving.url(), &self.key).get("/ui/gemini"))
    }

    /// The tokens with which answers of a model were asked for.
    fn tokens(&self) -> Vec<String> {
        let asked = self.google.generations().into_iter();
        asked.map(|asked| asked.token).collect()
    }
}

#[test]
fn of_two_replicas_under_load_one_renews_the_token_of_calls_once() {
    let postgres = TestDatabase::each()
        .into_iter()
        .find(|database| !database.is_sqlite());
    let Some(database) = postgres else { return };
    let Some(house) = House::of(database) else { return };
    let first = house.installation.serve();
    let ring = house.installation.master_key_file().display().to_string();
    let second = own_client(
        installed(&script().unwrap(), &house.database, &house.google),
        &house.google,
    );
    let second = second.set("TOLLGATE_MASTER_KEY_FILE", &ring);
    let second = second.serve();
    // Google takes the old token no more: a call that was made with it fails.
    house.sign_in(("ya29.expired-1", "1//fine-1"), ENDED_MS);
    for serving in [&first, &second] {
        until("the replica knows of the login", || house.reaches(serving));
    }
    std::thread::scope(|scope| {
        for call in 0..2 * CALLS {
            let (house, serving) = (&house, if call % 2 == 0 { &first } else { &second });
            scope.spawn(move || {
                let answer = house.ask(serving, &format!("call {call}"));
                let told = answer.json();
                let said = &told["choices"][0]["message"]["content"];
                assert_eq!(
                    (answer.status, said),
                    (200, &json!(format!("call {call}"))),
                    "{told}"
                );
            });
        }
    });
    assert_eq!(house.google.renewals(), 1);
    assert_eq!(house.tokens(), vec!["ya29.fine-renewed-1"; 2 * CALLS]);
}

/// Shorter than tokens are renewed ahead of their end: that is no reason to renew it with every call.
#[test]
fn a_token_that_lives_for_minutes_only_is_not_renewed_with_every_call() {
    let Some(house) = House::of(TestDatabase::sqlite()) else {
        return;
    };
    house.sign_in(("ya29.expired-1", "1//brief-1"), ENDED_MS);
    let serving = house.installation.serve();
    for _ in 0..4 {
        let answer = house.ask(&serving, "hello");
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    assert_eq!(house.google.renewals(), 1);
    assert_eq!(house.tokens(), vec!["ya29.brief-renewed-1"; 4]);
}

#[test]
fn a_token_that_google_refuses_is_renewed_and_the_call_made_once_more() {
    let Some(house) = House::of(TestDatabase::sqlite()) else {
        return;
    };
    house.sign_in(("ya29.expired-1", "1//fine-1"), LASTING_MS);
    let serving = house.installation.serve();
    for _ in 0..2 {
        let answer = house.ask(&serving, "hello");
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    assert_eq!(house.google.renewals(), 1);
    assert_eq!(house.tokens(), vec!["ya29.fine-renewed-1"; 2]);
}

#[test]
fn a_new_token_that_is_refused_too_is_not_renewed_over_and_over() {
    let Some(house) = House::of(TestDatabase::sqlite()) else {
        return;
    };
    house.sign_in(("ya29.expired-1", "1//expired-1"), LASTING_MS);
    let serving = house.installation.serve();
    for _ in 0..3 {
        let answer = house.ask(&serving, "hello");
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (502, &json!("provider_credential_refused"))
        );
    }
    assert_eq!(house.google.renewals(), 1);
    let page = house.page(&serving);
    assert!(
        page.contains("refused by Google") && page.contains("nor the new one"),
        "{page}"
    );
}

#[test]
fn a_login_that_google_has_ended_is_marked_by_the_call_that_finds_out() {
    let Some(house) = House::of(TestDatabase::sqlite()) else {
        return;
    };
    house.sign_in(("ya29.expired-1", "1//revoked-1"), LASTING_MS);
    let serving = house.installation.serve();
    let answer = house.ask(&serving, "hello");
    let told = answer.json();
    assert_eq!(
        (answer.status, &told["error"]["code"]),
        (502, &json!("provider_credential_refused")),
        "{told}"
    );
    assert!(told.to_string().contains("sign in again"), "{told}");
    let page = house.page(&serving);
    assert!(
        page.contains("ended by Google") && page.contains("Token has been expired or revoked."),
        "{page}"
    );
    // No call comes to it any more.
    until("the login is left out", || {
        house.ask(&serving, "hello").json()["error"]["code"] == "no_credential"
    });
    assert_eq!(house.google.renewals(), 1);
}

#[test]
fn the_page_tells_in_which_tier_an_account_is_served_or_why_it_is_not() {
    let Some(house) = House::of(TestDatabase::sqlite()) else {
        return;
    };
    let serving = house.installation.serve();
    for (token, status, told) in [
        ("ya29.fine-1", 200, "<dd>Gemini Code Assist for individuals</dd>"),
        ("ya29.individual-1", 502, "This client is no longer supported"),
        ("ya29.company-1", 502, "GOOGLE_CLOUD_PROJECT"),
    ] {
        house.sign_in((token, "1//fine-1"), LASTING_MS);
        let listed = house
            .installation
            .ask(&["credential", "list", "--tenant", "acme"]);
        let id = listed[0]["id"].as_str().unwrap();
        until("the replica knows of the login", || house.reaches(&serving));
        let visitor = Visitor::signed_in(serving.url(), &house.key);
        let tested = visitor.post("/ui/gemini/test", &[("id", id)]);
        assert_eq!(tested.status, status, "{}", text(&tested));
        assert!(text(&tested).contains(told), "{}", text(&tested));
        house
            .installation
            .ask(&["credential", "remove", id, "--tenant", "acme"]);
        until("it is gone", || !house.reaches(&serving));
    }
    assert!(house.google.generations().is_empty());
}
