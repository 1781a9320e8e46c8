//! A strict tenant: what would be left out of its calls is refused, by its name.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::{self, Answer};
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, World, completion};

/// A change is seen everywhere within this.
const NOTICED: Duration = Duration::from_millis(1500);

#[test]
fn what_would_be_left_out_is_refused_for_a_strict_tenant() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let call = || -> Answer {
            let body = json!({
                "model": "custom/m", "max_tokens": 9, "top_k": 5,
                "messages": [{"role": "user", "content": "hi"}],
            });
            let url = world.serving.endpoint("/v1/messages");
            client::post(&url, &world.key, body.to_string().as_bytes())
        };
        let lenient = call();
        assert_eq!(
            (lenient.status, lenient.header("x-tollgate-lossy")),
            (200, "top_k")
        );
        let strict = |strict: &str, status: u16| {
            let arguments = ["tenant", "set", TENANT, "--strict", strict];
            let told = world.installation.ask(&arguments);
            assert_eq!(told["strict"].to_string(), strict);
            assert_eq!(world.installation.ask(&["tenant", "show", TENANT]), told);
            assert_eq!(
                world.installation.ask(&["tenant", "list"])[0]["strict"],
                told["strict"]
            );
            let changed = Instant::now();
            loop {
                let answer = call();
                if answer.status == status {
                    return answer;
                }
                assert!(changed.elapsed() < NOTICED, "{arguments:?} is not noticed");
            }
        };
        let asked = {
            let refused = strict("true", 400).json();
            let asked = vendor.seen().len();
            assert_eq!(refused["error"]["type"], "invalid_request_error", "{refused}");
            let message = refused["error"]["message"].as_str().unwrap();
            assert!(message.contains("`top_k`"), "{message}");
            asked
        };
        assert_eq!(call().status, 400);
        assert_eq!(vendor.seen().len(), asked, "what is refused is not sent");
        // What loses nothing passes.
        let body =
            json!({"model": "custom/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        let url = world.serving.endpoint("/v1/messages");
        let answer = client::post(&url, &world.key, body.to_string().as_bytes());
        assert_eq!((answer.status, answer.header("x-tollgate-lossy")), (200, ""));
        strict("false", 200);
        let made = world.installation.ask(&["tenant", "create", "exact", "--strict"]);
        assert_eq!(made["strict"], true);
        let audit = world.installation.ask(&["audit"]);
        assert!(audit.to_string().contains("tenant.set_strict"));
    }
}
