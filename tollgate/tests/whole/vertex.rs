//! Vertex AI's base URL, of which the key file of the service account knows what was left out.

use serde_json::json;
use testkit::database::TestDatabase;
use testkit::process::Installation;

use crate::world::PROGRAM;

#[test]
fn the_project_is_taken_from_the_key_file() {
    let database = TestDatabase::sqlite();
    let installation = Installation::new(PROGRAM, database.url());
    installation.ask(&["migrate"]);
    installation.ask(&["tenant", "create", "acme"]);
    let add = ["credential", "add", "--tenant", "acme", "--provider", "vertex"];
    let file = json!({"type": "service_account", "project_id": "my-project"}).to_string();
    let path = "v1/projects/my-project/locations";
    let global = installation.ask_with(&add, &file);
    assert_eq!(
        global["base_url"],
        format!("https://aiplatform.googleapis.com/{path}/global/publishers/google")
    );
    let host = "https://europe-west4-aiplatform.googleapis.com";
    let there = [&add[..], &["--base-url", host]].concat();
    assert_eq!(
        installation.ask_with(&there, &file)["base_url"],
        format!("{host}/{path}/europe-west4/publishers/google")
    );
    let refused = installation.run_with(&there, "{}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("names no project"),
        "{said}"
    );
}
