//! What the command line changes beside a running gateway, and what tenants see of each other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, World, completion, request};

/// A revoked key, a new route: what changes is seen everywhere within this.
const NOTICED: Duration = Duration::from_millis(1500);
/// How a verb ends that was told a name which is none.
const NOT_FOUND: i32 = 8;

#[test]
fn a_change_is_noticed_within_a_second_and_a_half() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        assert_eq!(world.chat(&request("alias", false)).status, 404);
        let steps: [(&[&str], u16); 5] = [
            (
                &[
                    "route",
                    "set",
                    "alias",
                    "--to",
                    "custom/the-model",
                    "--tenant",
                    TENANT,
                ],
                200,
            ),
            (&["tenant", "disable", TENANT], 401),
            (&["tenant", "enable", TENANT], 200),
            (
                &["route", "set", "alias", "--to", "openai", "--tenant", TENANT],
                404,
            ),
            (
                &[
                    "route",
                    "set",
                    "alias",
                    "--to",
                    "custom/again",
                    "--tenant",
                    TENANT,
                ],
                200,
            ),
        ];
        for (arguments, status) in steps {
            world.installation.ask(arguments);
            let changed = Instant::now();
            while world.chat(&request("alias", false)).status != status {
                assert!(changed.elapsed() < NOTICED, "{arguments:?} is not noticed");
            }
        }
        let sent: Value = serde_json::from_slice(&vendor.last().body).unwrap();
        assert_eq!(sent["model"], "again");
        let explained = world
            .installation
            .ask(&["route", "explain", "alias", "--tenant", TENANT]);
        assert_eq!(explained["rules"][0]["verdict"], "won");
        assert_eq!(
            explained["targets"],
            json!([{"provider": "custom", "model": "again", "credentials": ["vendor"]}])
        );
    }
}

#[test]
fn models_are_what_the_key_can_reach() {
    let vendor = Vendor::start(|seen| match seen.path.as_str() {
        "/v1/models" => Play::json(
            200,
            r#"{"object":"list","data":[{"id":"m-1","created":5},{"id":"org/m-2"}]}"#,
        ),
        _ => Play::json(200, completion()),
    });
    for database in TestDatabase::each() {
        let world = World::new(database, &vendor);
        let models = world.serving.endpoint("/v1/models");
        let ids = || {
            let list = client::get(&models, &world.key).json();
            let data = list["data"].as_array().unwrap().clone();
            data.iter()
                .map(|model| model["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(), ["custom/m-1", "custom/org/m-2", "echo-1"]);
        world
            .installation
            .ask(&["route", "set", "fast", "--to", "custom/m-1"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while ids() != ["custom/m-1", "custom/org/m-2", "echo-1", "fast"] {
            assert!(Instant::now() < deadline, "{:?}", ids());
        }
        let one = client::get(&format!("{models}/custom%2Forg%2Fm-2"), &world.key);
        assert_eq!(
            one.json(),
            json!({"id": "custom/org/m-2", "object": "model", "created": 0, "owned_by": "custom"})
        );
        let none = client::get(&format!("{models}/custom/m-3"), &world.key);
        assert_eq!(
            (none.status, none.json()["error"]["code"].clone()),
            (404, json!("model_not_found"))
        );
    }
}

#[test]
fn one_tenant_is_served_by_its_own_credentials_alone() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    world.installation.ask(&["tenant", "create", "other"]);
    let key = world.installation.ask(&["key", "create", "--tenant", "other"]);
    let answer = client::post(
        &world.serving.endpoint("/v1/chat/completions"),
        key["secret"].as_str().unwrap(),
        &request("custom/any", false),
    );
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].clone()),
        (404, json!("no_credential"))
    );
    assert!(vendor.seen().is_empty());
    // Nor can anybody change, in the name of one, what another has: it is not there.
    let (own, others) = (&world.key, key["secret"].as_str().unwrap());
    let [own, others] = [own, others].map(|key| vault::gateway_key::parse(key).unwrap().id);
    let none = "key_00000000000000000000000000";
    for verb in ["revoke", "rotate"] {
        let refused = |id: &str| {
            let output = world.installation.run(&["key", verb, id, "--tenant", "other"]);
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap().replace(id, "X"),
            )
        };
        let of_another = refused(own);
        assert_eq!(of_another.0, Some(NOT_FOUND), "{verb}: {}", of_another.1);
        assert_eq!(of_another, refused(none), "{verb}");
    }
    assert_ne!(own, others);
    assert_eq!(world.chat(&request("custom/any", false)).status, 200);
    let shown = vendor
        .last()
        .headers
        .into_iter()
        .find(|(name, _)| name == "authorization")
        .unwrap()
        .1;
    assert_eq!(shown, format!("Bearer {}", crate::world::VENDOR_SECRET));
}
