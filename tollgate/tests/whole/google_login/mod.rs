//! Logins with Google, from the page to the sealed token, against an OAuth server that is not ours.
//!
//! `cargo xtask test` installs that server and says where: `TOLLGATE_TEST_BROWSER`. Without it these tests are skipped, and
//! say so.

mod browser;
mod cli;
mod google;
mod own_client;
mod pages;
mod tokens;
pub(crate) mod visitor;

use testkit::client::{self, Answer};
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};

use crate::world::{PROGRAM, TENANT};
use google::Google;
use visitor::{Visitor, link_away, text};

/// A gateway that takes the server for Google.
struct Gate {
    serving: Serving,
    installation: Installation,
    database: TestDatabase,
    key: String,
    key_id: String,
}

impl Gate {
    fn new(database: TestDatabase, google: &Google) -> Self {
        Self::of(database, |installation| google.settings(installation))
    }

    fn of(database: TestDatabase, settings: impl FnOnce(Installation) -> Installation) -> Self {
        let installation = Installation::new(PROGRAM, database.url()).set("TOLLGATE_LOG", "trace");
        let installation = settings(installation);
        installation.ask(&["migrate"]);
        installation.ask(&["tenant", "create", TENANT]);
        let key = installation.ask(&["key", "create", "--tenant", TENANT, "--name", "tests"]);
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Self {
            serving: installation.serve(),
            key: text("secret"),
            key_id: text("id"),
            installation,
            database,
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor::signed_in(self.serving.url(), &self.key)
    }
}

/// Begins a login; where Google is, as the page says it.
fn begin(visitor: &Visitor) -> String {
    let answer = visitor.post(
        "/ui/gemini/login",
        &[("name", "work"), ("project", "my-project-1"), ("consent", "yes")],
    );
    assert_eq!(answer.status, 200, "{}", text(&answer));
    link_away(&answer)
}

/// Visits Google, who lets everybody in; the path to which a browser is sent back.
fn at_google(url: &str) -> String {
    let answer = client::open("GET", url, &[], b"").finish();
    assert_eq!(answer.status, 302, "{}", text(&answer));
    let back = answer.header("location");
    let (_, path) = back.split_once("/ui/").unwrap();
    format!("/ui/{path}")
}

/// The whole way.
fn log_in(visitor: &Visitor) -> Answer {
    visitor.get(&at_google(&begin(visitor)))
}
