//! Rotating the master key under a running gateway.

use std::fs;

use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, World, completion, request};

#[test]
fn a_rotation_moves_everything_while_calls_go_on() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        assert_eq!(world.chat(&request("custom/m", false)).status, 200);
        let old_ring = fs::read_to_string(world.installation.master_key_file()).unwrap();
        for number in 0..5 {
            world
                .installation
                .ask(&["tenant", "create", &format!("more-{number}")]);
        }
        let rotated = world.installation.ask(&["vault", "rotate"]);
        // Six tenants and the installation itself.
        assert_eq!(
            (rotated["version"].as_u64(), rotated["data_keys_moved"].as_u64()),
            (Some(2), Some(7))
        );
        let status = world.installation.ask(&["vault", "status"]);
        assert_eq!(status["data_keys"], serde_json::json!(["7 under version 2"]));
        let new_ring = fs::read_to_string(world.installation.master_key_file()).unwrap();
        assert!(
            new_ring.starts_with("2:") && !new_ring.contains(old_ring.trim()),
            "the old key is retired"
        );

        // The running gateway serves on, also what it must load anew, under a key it has not seen before.
        assert_eq!(world.chat(&request("custom/m", false)).status, 200);
        let key = world.installation.ask(&["key", "create", "--tenant", "more-1"])["secret"].clone();
        let echo = |key: &str| {
            let endpoint = world.serving.endpoint("/v1/chat/completions");
            client::post(&endpoint, key, &request("echo-1", false)).status
        };
        assert_eq!(echo(key.as_str().unwrap()), 200);

        // A restart has the new key alone.
        let World {
            serving,
            installation,
            key,
            ..
        } = world;
        assert!(serving.stop().success());
        let again = installation.serve();
        let answer = client::post(
            &again.endpoint("/v1/chat/completions"),
            &key,
            &request("custom/m", false),
        );
        assert_eq!(answer.status, 200);
        assert!(again.stop().success());
        fs::write(installation.master_key_file(), old_ring).unwrap();
        assert_eq!(
            installation.run(&["serve"]).status.code(),
            Some(4),
            "the old key opens nothing"
        );
    }
}

#[test]
fn two_sealed_values_that_were_swapped_are_noticed() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let add = [
            "credential",
            "add",
            "--tenant",
            TENANT,
            "--provider",
            "openai",
            "--name",
            "second",
        ];
        world.installation.ask_with(&add, "sk-another");
        assert_eq!(
            world.installation.ask(&["vault", "verify"])["broken"],
            serde_json::json!([])
        );
        // Both rows get the sealed value of the credential whose name comes first.
        testkit::database::execute(
            world.database.url(),
            "UPDATE credentials SET secret = (SELECT secret FROM credentials WHERE name = 'second')",
        );
        let output = world.installation.run(&["vault", "verify", "--output", "json"]);
        assert_eq!(output.status.code(), Some(4));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["broken"].as_array().map(Vec::len), Some(1), "{report}");
        // Nothing of this tenant is served any more, least of all with another's secret.
        let World {
            serving,
            installation,
            key,
            ..
        } = world;
        assert!(serving.stop().success());
        let again = installation.serve();
        let answer = client::post(
            &again.endpoint("/v1/chat/completions"),
            &key,
            &request("custom/m", false),
        );
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].clone()),
            (503, "store_unavailable".into())
        );
        assert!(vendor.seen().is_empty());
    }
}
