//! A row that makes no sense takes its own tenant out of service, and nobody else.

use std::time::{Duration, Instant};

use testkit::client::{self, Answer};
use testkit::database::{TestDatabase, execute};
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, World, completion, request};

/// What is done to the tenant whose id stands for `$T`; `$B` stands for bytes that mean nothing.
const POISONS: [&str; 16] = [
    "UPDATE credentials SET base_url_by = 'martian' WHERE tenant_id = $T",
    "UPDATE credentials SET disabled = 7 WHERE tenant_id = $T",
    "UPDATE credentials SET weight = -9223372036854775807 WHERE tenant_id = $T",
    "UPDATE credentials SET secret = $B WHERE tenant_id = $T",
    "UPDATE credentials SET secret = (SELECT secret FROM credentials WHERE name = 'vendor') WHERE tenant_id = $T",
    "UPDATE gateway_keys SET models = 'gpt-[' WHERE tenant_id = $T",
    "UPDATE routes SET targets = '/' WHERE scope = $T",
    "UPDATE routes SET targets = '{\"provider\": 1' WHERE scope = $T",
    "UPDATE routes SET pattern = '' WHERE scope = $T",
    "UPDATE tenants SET disabled = 2 WHERE id = $T",
    "UPDATE tenants SET strict = 2 WHERE id = $T",
    "UPDATE data_keys SET wrapped = $B WHERE scope = $T",
    "DELETE FROM data_keys WHERE scope = $T",
    "INSERT INTO limits (tenant_id, id, subject, subject_id, unit, period, zone, cap, mode, firmness, created_at_ms) \
     VALUES ($T, 'lim-martian', 'tenant', '', 'martians', 'day', 'UTC', 5, 'enforce', 'hard', 0)",
    "INSERT INTO limits (tenant_id, id, subject, subject_id, unit, period, zone, cap, mode, firmness, created_at_ms) \
     VALUES ($T, 'lim-less', 'tenant', '', 'requests', 'day', 'UTC', -5, 'enforce', 'hard', 0)",
    "UPDATE prices SET price = 'gold' WHERE scope = $T",
];
const NOTICED: Duration = Duration::from_secs(10);

#[test]
fn a_row_that_makes_no_sense_concerns_its_tenant_alone() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let ask = |arguments: &[&str], input: &str| world.installation.ask_with(arguments, input);
        let tenants: Vec<(String, String)> = (0..POISONS.len())
            .map(|number| {
                let name = format!("poisoned-{number}");
                let tenant = ask(&["tenant", "create", &name], "");
                let key = ask(&["key", "create", "--tenant", &name], "");
                let add = ["credential", "add", "--tenant", &name, "--provider", "openai"];
                ask(&add, "sk-of-this-one");
                ask(
                    &["prices", "set", "echo", "echo-1", "input 1", "--tenant", &name],
                    "",
                );
                ask(
                    &["route", "set", "alias", "--to", "echo/echo-1", "--tenant", &name],
                    "",
                );
                (
                    tenant["id"].as_str().unwrap().to_owned(),
                    key["secret"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        let call = |key: &str, model: &str| -> Answer {
            client::post(
                &world.serving.endpoint("/v1/chat/completions"),
                key,
                &request(model, false),
            )
        };
        // Half of them are in memory when it happens.
        for (_, key) in tenants.iter().step_by(2) {
            assert_eq!(call(key, "alias").status, 200);
        }
        let bytes = if world.database.is_sqlite() {
            "X'0badc0de'"
        } else {
            "'\\x0badc0de'::bytea"
        };
        for ((id, _), poison) in tenants.iter().zip(POISONS) {
            let poison = poison.replace("$T", &format!("'{id}'")).replace("$B", bytes);
            execute(world.database.url(), &poison);
            announce(&world, id);
        }
        // One for everybody, and a change after it that everybody has to see.
        let broken =
            "INSERT INTO routes (scope, pattern, id, targets) VALUES ('*', 'broken', 'rt-broken', '/')";
        execute(world.database.url(), broken);
        ask(&["route", "set", "everywhere", "--to", "echo/echo-1"], "");

        let changed = Instant::now();
        while call(&world.key, "everywhere").status != 200 {
            assert!(changed.elapsed() < NOTICED, "{}", world.serving.log());
        }
        for ((id, key), poison) in tenants.iter().zip(POISONS) {
            let refused = call(key, "alias");
            let told = (refused.status, refused.json()["error"]["code"].clone());
            assert_eq!(told, (503, "store_unavailable".into()), "{poison}");
            assert!(!refused.header("retry-after").is_empty());
            let log = world.serving.log();
            let reported = |line: &str| line.contains("out of service") && line.contains("makes no sense");
            assert!(log.lines().any(reported), "{id}, {poison}: {log}");
        }
        assert_eq!(
            call(&world.key, "broken").status,
            404,
            "it leads nowhere, whatever other rules say"
        );
        for _ in 0..100 {
            assert_eq!(call(&world.key, "custom/m").status, 200);
        }
        // A process that starts then finds the same, and starts all the same.
        let again = world.installation.serve();
        let endpoint = again.endpoint("/v1/chat/completions");
        let statuses = tenants
            .iter()
            .map(|(_, key)| client::post(&endpoint, key, &request("alias", false)).status);
        assert!(statuses.eq([503; POISONS.len()]));
        assert_eq!(
            client::post(&endpoint, &world.key, &request("custom/m", false)).status,
            200
        );
        drop(again);
        // What was mended is served again, and a new key of another is known.
        let (id, key) = &tenants[9];
        execute(
            world.database.url(),
            &format!("UPDATE tenants SET disabled = 0 WHERE id = '{id}'"),
        );
        let mended = Instant::now();
        while call(key, "alias").status != 200 {
            assert!(mended.elapsed() < NOTICED);
        }
        let new = ask(&["key", "create", "--tenant", TENANT], "");
        assert_eq!(call(new["secret"].as_str().unwrap(), "custom/m").status, 200);
    }
}

/// As every change is.
fn announce(world: &World, scope: &str) {
    // Both at once: who looked between the two would have seen the number without the change.
    let count = "UPDATE revision_counter SET revision = revision + 1";
    let counter = "(SELECT revision FROM revision_counter)";
    let tell = format!("UPDATE revisions SET revision = {counter} WHERE scope = '{scope}'");
    execute(world.database.url(), &format!("BEGIN; {count}; {tell}; COMMIT"));
}
