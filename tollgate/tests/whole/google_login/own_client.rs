//! The operator's own client: the whole way, and whatever may come back that is not it.

use testkit::database::TestDatabase;

use super::google::{CLIENT_SECRET, Google};
use super::visitor::{Visitor, parameter, text};
use super::{Gate, at_google, begin, log_in};

#[test]
fn a_tenant_signs_in_and_its_login_is_there() {
    let Some(google) = Google::start() else { return };
    for database in TestDatabase::each() {
        let gate = Gate::new(database, &google);
        let before = google.grants("authorization_code");
        let visitor = gate.visitor();
        let url = begin(&visitor);
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "client-of-tests"),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
            ("prompt", "consent"),
        ] {
            assert_eq!(parameter(&url, name).as_deref(), Some(value), "{url}");
        }
        assert!(parameter(&url, "state").unwrap().len() >= 43, "256 bits");
        let done = visitor.get(&at_google(&url));
        assert_eq!(
            (done.status, done.header("location")),
            (303, "/ui/gemini/done"),
            "{}",
            text(&done)
        );
        let page = text(&visitor.get("/ui/gemini"));
        for told in [
            "work",
            "someone@example.com",
            "my-project-1",
            ">good<",
            "in 59 minutes",
        ] {
            assert!(page.contains(told), "{told} in {page}");
        }
        let asked = google.asked();
        let grant = &asked["authorization_code"][before];
        assert_eq!(
            (grant["client_id"].as_str(), grant["verifier"].as_bool()),
            (Some("client-of-tests"), Some(true))
        );
        assert_eq!(grant["client_secret"], CLIENT_SECRET);
        let listed = gate
            .installation
            .ask(&["credential", "list", "--tenant", crate::world::TENANT]);
        assert_eq!(
            (listed[0]["provider"].as_str(), listed[0]["name"].as_str()),
            (Some("gemini-cli"), Some("work"))
        );
        // A second login of the same name takes the place of the first.
        assert_eq!(log_in(&visitor).status, 303);
        let again = gate
            .installation
            .ask(&["credential", "list", "--tenant", crate::world::TENANT]);
        assert_eq!(
            (again.as_array().unwrap().len(), &again[0]["id"]),
            (1, &listed[0]["id"])
        );
    }
}

#[test]
fn whatever_comes_back_that_is_not_the_login_is_refused() {
    let Some(google) = Google::start() else { return };
    let gate = Gate::new(TestDatabase::sqlite(), &google);
    let visitor = gate.visitor();
    let good = at_google(&begin(&visitor));
    let (state, code) = (
        parameter(&good, "state").unwrap(),
        parameter(&good, "code").unwrap(),
    );
    let foreign = "A".repeat(43);
    let callback = |query: &str| format!("/ui/gemini/callback?{query}");
    let refused = |who: &Visitor, query: &str, why: &str| {
        let answer = who.get(&callback(query));
        let page = text(&answer);
        assert_eq!(answer.status, 400, "{query}: {page}");
        assert!(page.contains(why), "{query}: {page}");
        assert!(!page.contains(&code) && !page.contains(&state), "{page}");
    };
    let asked = google.grants("authorization_code");
    // Nothing of this is anybody's login, and none of it costs the true one.
    let kept = visitor.cookies();
    for (query, why) in [
        (String::new(), "has no state"),
        (format!("code={code}"), "has no state"),
        (format!("code={code}&state={foreign}"), "no login with this state"),
        (format!("code={code}&state="), "no login with this state"),
        (format!("code={code}&state=%ff%00"), "no login with this state"),
        (format!("code={code}&state={state}&state={state}"), "state twice"),
        (
            format!("code={code}&state={state}&state={foreign}"),
            "state twice",
        ),
        (format!("code={code}&code=other&state={state}"), "code twice"),
        (
            format!("code={code}&state={state}&iss=https%3A%2F%2Fevil.example"),
            "comes from https://evil.example",
        ),
        (
            format!("error=access_denied&state={foreign}"),
            "no login with this state",
        ),
    ] {
        visitor.set_cookies(kept.clone());
        refused(&visitor, &query, why);
    }
    visitor.set_cookies(kept);
    assert_eq!(visitor.get(&good).status, 303, "the true one");
    assert_eq!(google.grants("authorization_code"), asked + 1);
    refused(&visitor, good.split_once('?').unwrap().1, "come back before");

    let second = at_google(&begin(&visitor));
    let other = gate.visitor();
    refused(
        &other,
        second.split_once('?').unwrap().1,
        "begun in another browser",
    );
    refused(&visitor, second.split_once('?').unwrap().1, "come back before");

    let denied = at_google(&begin(&visitor));
    let state = parameter(&denied, "state").unwrap();
    refused(
        &visitor,
        &format!("error=access_denied&state={state}"),
        "Google says: access_denied",
    );
    let script = at_google(&begin(&visitor));
    let state = parameter(&script, "state").unwrap();
    let answer = visitor.get(&callback(&format!(
        "error=%3Cscript%3Ealert(1)%3C%2Fscript%3E&state={state}"
    )));
    assert!(!text(&answer).contains("<script"), "{}", text(&answer));
    let no_code = at_google(&begin(&visitor));
    refused(
        &visitor,
        &format!("state={}", parameter(&no_code, "state").unwrap()),
        "holds no code",
    );

    // A code of another login does not fit this one's verifier.
    let mine = at_google(&begin(&visitor));
    let elsewhere = parameter(&at_google(&begin(&gate.visitor())), "code").unwrap();
    let swapped = format!("code={elsewhere}&state={}", parameter(&mine, "state").unwrap());
    let answer = visitor.get(&callback(&swapped));
    assert!([400, 502].contains(&answer.status), "{}", text(&answer));

    // Its session is over before it comes back.
    let late = at_google(&begin(&visitor));
    let cookies = visitor.cookies();
    assert_eq!(visitor.post("/ui/gemini/sign-out", &[]).status, 303);
    visitor.set_cookies(cookies);
    refused(
        &visitor,
        late.split_once('?').unwrap().1,
        "session in which this login was begun has ended",
    );

    let visitor = gate.visitor();
    let slow = at_google(&begin(&visitor));
    testkit::database::execute(
        gate.database.url(),
        "UPDATE google_login_attempts SET expires_at_ms = 1",
    );
    refused(
        &visitor,
        slow.split_once('?').unwrap().1,
        "longer than ten minutes",
    );
    assert_eq!(
        google.grants("authorization_code"),
        asked + 1,
        "no other code was shown to Google with success"
    );
}
