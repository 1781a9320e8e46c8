//! The gemini CLI's own login, by the real program, with a server in Google's place that the program takes for Google.

use std::fs;
use std::path::PathBuf;

use testkit::client;
use testkit::database::{self, TestDatabase};

use super::Gate;
use super::google::Google;
use super::visitor::{link_away, parameter, text};
use crate::sdk::setting;
use crate::world::TENANT;

/// A folder with the packages of `xtask/needs/agents.json`.
const AGENTS: &str = "TOLLGATE_TEST_AGENTS";

fn program() -> Option<PathBuf> {
    Some(PathBuf::from(setting(AGENTS)?).join("node_modules/@google/gemini-cli/bundle/gemini.js"))
}

/// Whoever signs in at the address that the program prints is shown a code.
fn code(google: &Google, address: &str) -> String {
    assert!(
        address.starts_with("https://accounts.google.com/o/oauth2/v2/auth?"),
        "{address}"
    );
    let (_, query) = address.split_once('?').unwrap();
    let answer = client::open("GET", &format!("{}/authorize?{query}", google.url), &[], b"").finish();
    let back = answer.header("location");
    assert!(
        back.starts_with("https://codeassist.google.com/authcode?"),
        "{back}"
    );
    parameter(back, "code").unwrap()
}

#[test]
fn a_tenant_signs_in_through_the_program_and_the_program_renews_the_token() {
    let Some(program) = program() else { return };
    let Some(google) = Google::with_front() else {
        return;
    };
    let gate = Gate::of(TestDatabase::sqlite(), |installation| {
        installation
            .set("TOLLGATE_GEMINI_CLI", &program.display().to_string())
            .set("TOLLGATE_GEMINI_CLI_PROXY", google.proxy.as_deref().unwrap())
            .set("TOLLGATE_GEMINI_CLI_CA_FILE", &google.ca_file())
    });
    let visitor = gate.visitor();
    let wish = [("name", "cli"), ("project", "my-project-1"), ("consent", "yes")];
    let begun = visitor.post("/ui/gemini/cli/login", &wish);
    assert_eq!(begun.status, 200, "{}", text(&begun));
    let code = code(&google, &link_away(&begun));
    let odd = visitor.post("/ui/gemini/cli/code", &[("code", "two words")]);
    assert_eq!(odd.status, 422, "{}", text(&odd));
    let stranger = gate.visitor();
    assert_eq!(
        stranger.post("/ui/gemini/cli/code", &[("code", &code)]).status,
        422,
        "another session has none"
    );
    let done = visitor.post("/ui/gemini/cli/code", &[("code", &code)]);
    assert_eq!(
        (done.status, done.header("location")),
        (303, "/ui/gemini?done=cli"),
        "{}",
        text(&done)
    );
    let page = text(&visitor.get("/ui/gemini?done=cli"));
    for told in [
        "someone@example.com",
        "my-project-1",
        ">good<",
        "the gemini CLI&#39;s own login",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert_eq!(google.grants("authorization_code"), 1);
    let folders = gate.installation.folder().join("data/gemini");
    let left = || {
        fs::read_dir(&folders)
            .unwrap()
            .flatten()
            .flat_map(|entry| fs::read_dir(entry.path()).unwrap().flatten())
    };
    assert_eq!(
        left().filter(|entry| entry.path().is_dir()).count(),
        0,
        "the program's folder is gone"
    );

    database::execute(gate.database.url(), "UPDATE google_logins SET expires_at_ms = 1");
    let listed = gate.installation.ask(&["credential", "list", "--tenant", TENANT]);
    let id = listed[0]["id"].as_str().unwrap();
    let tested = visitor.post("/ui/gemini/test", &[("id", id)]);
    assert_eq!(tested.status, 200, "{}", text(&tested));
    assert_eq!(google.grants("refresh_token"), 1);
    let page = text(&visitor.get("/ui/gemini"));
    assert!(
        page.contains(">good<") && page.contains("in 59 minutes"),
        "{page}"
    );
    assert_eq!(
        left().filter(|entry| entry.path().is_dir()).count(),
        0,
        "the program's folder is gone"
    );
}
