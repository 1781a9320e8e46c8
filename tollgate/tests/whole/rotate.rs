//! Rotating the master key under a running gateway.

use std::fs;
use std::time::Duration;

use testkit::client;
use testkit::database::TestDatabase;
use testkit::load::{Called, Caller, Load};
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

#[test]
fn no_call_fails_while_the_master_key_is_rotated() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let is_good = |called: &Called| called.status == 200;
        let (warm, body) = (Duration::from_millis(2), request("custom/m", false));
        let caller = || Caller::new(world.serving.url(), &world.key);
        let load = Load::start(4, warm, caller, &body, is_good);
        for round in 0..3 {
            // Under the key before, and asked for, which loads them, under the one after.
            let cold: Vec<String> = (0..4)
                .map(|number| {
                    let name = format!("cold-{round}-{number}");
                    world.installation.ask(&["tenant", "create", &name]);
                    let key = world.installation.ask(&["key", "create", "--tenant", &name]);
                    key["secret"].as_str().unwrap().to_owned()
                })
                .collect();
            let mut rotating = world.installation.command(&["vault", "rotate"]).spawn().unwrap();
            for key in &cold {
                let called = Caller::new(world.serving.url(), key).call(&request("echo-1", false));
                assert_eq!(called.unwrap().status, 200);
            }
            assert!(rotating.wait().unwrap().success());
        }
        let report = load.stop();
        assert_eq!(report.failed, Vec::<String>::new());
        assert!(report.took.len() > 100, "{}", report.took.len());
        let versions = world.installation.ask(&["vault", "status"])["data_keys"].clone();
        assert_eq!(versions, serde_json::json!(["14 under version 4"]));
        println!("{} calls during three rotations, none failed", report.took.len());
    }
}
