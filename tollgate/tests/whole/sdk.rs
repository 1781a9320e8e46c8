//! OpenAI's own SDKs, unmodified, against the gateway.
//!
//! `cargo xtask test` installs them and says where: `TOLLGATE_TEST_PYTHON` is an interpreter that has the Python one,
//! `TOLLGATE_TEST_PACKAGES` a folder with the Node one. Without them these tests are skipped, and say so.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::Value;
use store::AttemptRow;
use testkit::database::TestDatabase;
use testkit::vendor::{End, Play, Seen, Vendor};

use crate::world::{DONE, World, chunk};

pub(crate) const PYTHON: &str = "TOLLGATE_TEST_PYTHON";
pub(crate) const PACKAGES: &str = "TOLLGATE_TEST_PACKAGES";

#[test]
fn the_python_sdk_finds_nothing_strange() {
    let Some(python) = setting(PYTHON) else { return };
    on_each(|world| {
        let mut command = Command::new(&python);
        command
            .arg(client("openai_python.py"))
            .env("BASE_URL", world.serving.url())
            .env("KEY", &world.key);
        command
    });
}

#[test]
fn the_node_sdk_finds_nothing_strange() {
    let Some(packages) = setting(PACKAGES) else { return };
    on_each(|world| {
        let mut command = Command::new("node");
        command.arg(client("openai_node.mjs")).env("PACKAGES", &packages);
        command
            .env("BASE_URL", world.serving.url())
            .env("KEY", &world.key);
        command
    });
}

/// Runs the client on each database. Its last step leaves a stream, which has to stop the vendor and to be booked.
fn on_each(client: impl Fn(&World) -> Command) {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(scripted);
        let world = World::new(database, &vendor);
        let output = client(&world).output().unwrap();
        check(&output, &world);
        assert!(String::from_utf8_lossy(&output.stdout).contains("cancellation ok"));
        assert!(vendor.wait_until_gone(1), "cancelling stops the vendor");
        let left = |rows: &BTreeMap<String, AttemptRow>| {
            ["client_gone", "cut"]
                .iter()
                .all(|outcome| rows.values().any(|row| row.outcome == *outcome))
        };
        world.ledger_until(left);
    }
}

#[track_caller]
pub(crate) fn check(output: &Output, world: &World) {
    let said = [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .join("\n");
    assert!(output.status.success(), "{said}\n{}", world.serving.log());
}

/// Where a client's script lies.
pub(crate) fn client(file: &str) -> String {
    format!("{}/tests/clients/{file}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn setting(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        testkit::skip(&format!("{name} is not set"));
    }
    value
}

fn scripted(seen: &Seen) -> Play {
    if seen.path == "/v1/models" {
        return Play::json(200, r#"{"object":"list","data":[{"id":"m-1"}]}"#);
    }
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
    match body["model"].as_str().unwrap_or_default() {
        "cut" => Play::stream([chunk("first", None)]).end(End::Cut),
        "hangs" => Play::stream([chunk("first", None)]).end(End::Hang),
        model => {
            let status = model
                .strip_prefix("status-")
                .and_then(|status| status.parse().ok());
            status.map_or_else(|| Play::stream([DONE.to_vec()]), error)
        }
    }
}

fn error(status: u16) -> Play {
    let body =
        format!(r#"{{"error":{{"message":"status {status}","type":"t","code":"scripted","param":null}}}}"#);
    Play::json(status, body).header("retry-after", "7")
}
