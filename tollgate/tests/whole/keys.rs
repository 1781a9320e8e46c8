//! Gateway keys: one answer to every key that does not open, and what rotation, expiry and allow-lists do.

use serde_json::{Value, json};
use testkit::client::{self, Answer};
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, World, completion, request};

#[test]
fn keys_that_do_not_open_get_one_answer() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let make = |extra: &[&str]| {
            let made = world
                .installation
                .ask(&[&["key", "create", "--tenant", TENANT][..], extra].concat());
            (
                made["id"].as_str().unwrap().to_owned(),
                made["secret"].as_str().unwrap().to_owned(),
            )
        };
        let expired = make(&["--expires", "1ms"]).1;
        let revoked = make(&[]);
        world
            .installation
            .ask(&["key", "revoke", &revoked.0, "--tenant", TENANT]);
        world.installation.ask(&["tenant", "create", "closed"]);
        let closed = world.installation.ask(&["key", "create", "--tenant", "closed"]);
        world.installation.ask(&["tenant", "disable", "closed"]);
        let unknown = vault::gateway_key::generate(vault::gateway_key::KeyKind::Gateway).unwrap();
        let own_id = vault::gateway_key::parse(&world.key).unwrap().id.to_owned();
        let wrong =
            vault::gateway_key::with_new_secret(vault::gateway_key::KeyKind::Gateway, &own_id).unwrap();
        let models = world.serving.endpoint("/v1/models");
        let refused: Vec<(u16, Value)> = [
            &expired,
            &revoked.1,
            closed["secret"].as_str().unwrap(),
            unknown.text.expose(),
            wrong.text.expose(),
            "sk-x",
            "",
        ]
        .iter()
        .map(|key| client::get(&models, key))
        .map(|answer| (answer.status, answer.json()))
        .collect();
        assert_eq!(refused[0].0, 401);
        assert_eq!(refused[0].1["error"]["code"], "invalid_api_key");
        assert!(refused.iter().all(|answer| *answer == refused[0]), "{refused:?}");
        assert_eq!(client::get(&models, &world.key).status, 200);

        let none = client::open("GET", &models, &[], b"").finish();
        assert_eq!(
            (none.status, none.json()["error"]["code"].clone()),
            (401, json!("missing_api_key"))
        );
        let headers = [("authorization", "Bearer a"), ("x-api-key", world.key.as_str())];
        let two = client::open("GET", &models, &headers, b"").finish();
        assert_eq!(
            (two.status, two.json()["error"]["code"].clone()),
            (400, json!("ambiguous_credentials"))
        );
        for header in ["x-api-key", "x-goog-api-key", "api-key"] {
            assert_eq!(
                client::open("GET", &models, &[(header, &world.key)], b"")
                    .finish()
                    .status,
                200,
                "{header}"
            );
        }
    }
}

#[test]
fn a_rotated_key_opens_beside_its_old_secret_and_a_revoked_one_soon_not_at_all() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let id = vault::gateway_key::parse(&world.key).unwrap().id.to_owned();
    let models = world.serving.endpoint("/v1/models");
    assert_eq!(client::get(&models, &world.key).status, 200);
    let rotated = world
        .installation
        .ask(&["key", "rotate", &id, "--tenant", TENANT, "--grace", "1h"]);
    let new = rotated["secret"].as_str().unwrap();
    until(|| client::get(&models, new), 200);
    assert_eq!(
        client::get(&models, &world.key).status,
        200,
        "the old one, in its grace period"
    );
    world
        .installation
        .ask(&["key", "revoke", &id, "--tenant", TENANT]);
    until(|| client::get(&models, new), 401);
    assert_eq!(client::get(&models, &world.key).status, 401);
}

#[test]
fn an_allow_list_hides_every_other_model() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let made = world
        .installation
        .ask(&["key", "create", "--tenant", TENANT, "--models", "custom/a*"]);
    let key = made["secret"].as_str().unwrap();
    let chat = |model: &str| {
        client::post(
            &world.serving.endpoint("/v1/chat/completions"),
            key,
            &request(model, false),
        )
    };
    until(|| chat("custom/allowed"), 200);
    let hidden = chat("custom/hidden");
    let (unknown, message) = (chat("nobody-knows"), |answer: &Answer| {
        answer.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    assert_eq!((hidden.status, unknown.status), (404, 404));
    assert_eq!(
        message(&hidden).replace("custom/hidden", "X"),
        message(&unknown).replace("nobody-knows", "X")
    );
    assert_eq!(
        client::get(&world.serving.endpoint("/v1/models"), key).json()["data"],
        json!([])
    );
}

/// Changes made beside a running gateway take effect within a second; a test waits for that, but not for ever.
#[track_caller]
fn until(ask: impl Fn() -> Answer, status: u16) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ask().status != status {
        assert!(std::time::Instant::now() < deadline, "never {status}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
