//! What comes in from outside, byte by byte: heads, framing, keys and bodies that are wrong, and what is answered.
//!
//! The cases are tables. No time-out ends anything here, except where a test is about one: a connection that is closed was
//! closed because of what it was sent.

mod bodies;
mod heads;
mod keys;
mod odd;

use std::io::Write as _;

use serde_json::Value;
use testkit::database::TestDatabase;
use testkit::process::Installation;
use testkit::vendor::{Play, Vendor};

use crate::raw::{connect, read_to_end};
use crate::world::{World, completion};

/// Longer than anybody waits for a connection to be closed.
const NEVER: &str = "10m";
const CHAT: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n";
const LIVE: &str = "GET /livez HTTP/1.1\r\nhost: gateway\r\n";
const BODY_BYTES_MAX: usize = 1_000_000;

/// A world whose vendor answers, and whose clients have all the time they want.
fn world() -> (World, Vendor) {
    world_with(|installation| {
        ["HEAD", "IDLE", "BODY"]
            .into_iter()
            .fold(installation, |set, what| {
                set.set(&format!("TOLLGATE_{what}_TIMEOUT"), NEVER)
            })
    })
}

fn world_with(settings: impl FnOnce(Installation) -> Installation) -> (World, Vendor) {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        settings(installation).set("TOLLGATE_BODY_BYTES_MAX", &BODY_BYTES_MAX.to_string())
    });
    (world, vendor)
}

/// Sends bytes on a connection of their own and reads until it is closed.
fn exchange(world: &World, bytes: &[u8]) -> String {
    let mut connection = connect(world);
    // A refusal may close the connection before all of it is written.
    let _refused = connection.write_all(bytes);
    read_to_end(&mut connection)
}

/// The statuses of all answers.
fn statuses(answers: &str) -> Vec<u16> {
    let heads = answers.split("HTTP/1.").skip(1);
    heads
        .map(|head| head.get(2..5).and_then(|status| status.parse().ok()).unwrap_or(0))
        .collect()
}

/// A request for a small answer, with this member.
fn with(member: &str) -> String {
    format!(r#"{{"model":"custom/m","messages":[],{member}}}"#)
}

fn error_code(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}
