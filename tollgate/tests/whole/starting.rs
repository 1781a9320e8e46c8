//! Starting: what the first start makes, and what keeps a start from happening.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::json;
use testkit::client;
use testkit::database::{TestDatabase, execute};
use testkit::process::Installation;

use crate::world::{PROGRAM, request};

#[test]
fn the_first_start_ends_in_a_gateway_that_answers() {
    for database in TestDatabase::each() {
        let installation = Installation::new(PROGRAM, database.url());
        let serving = installation.serve();
        let mode = fs::metadata(installation.master_key_file())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(serving.printed_key("sk-tga-").len() > 40);

        // The printed line works as it stands, in a shell.
        let said = serving.said().to_owned();
        let line = &said[said.find("curl ").unwrap()..said.find("\n\nAdd ").unwrap()];
        let output = std::process::Command::new("sh")
            .args(["-c", line])
            .output()
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            answer["choices"][0]["message"]["content"], "Hello, gateway!",
            "{answer}"
        );

        let endpoint = serving.endpoint("/v1/chat/completions");
        let streamed = client::post(&endpoint, &serving.key(), &request("echo-1", true));
        assert!(streamed.body.ends_with(b"data: [DONE]\n\n"));
        for (path, said) in [("/livez", "live"), ("/readyz", "ready"), ("/healthz", "ok")] {
            assert_eq!(client::get(&serving.endpoint(path), "").json()["status"], said);
        }

        // A second start shows nothing and finds everything.
        let key = serving.key();
        assert!(serving.stop().success());
        let again = installation.serve();
        assert!(!again.said().contains("sk-tg"));
        assert_eq!(client::get(&again.endpoint("/v1/models"), &key).status, 200);
    }
}

/// It died after it had made the tenant, and before anybody was told of a key.
#[test]
fn a_first_start_that_was_cut_off_is_made_good_by_the_next() {
    for database in TestDatabase::each() {
        let installation = Installation::new(PROGRAM, database.url());
        assert!(installation.serve().stop().success());
        for statement in [
            "DELETE FROM key_secrets",
            "DELETE FROM gateway_keys",
            "UPDATE tenants SET created_at_ms = created_at_ms - 60000",
        ] {
            execute(database.url(), statement);
        }
        let serving = installation.serve();
        let said = serving.said().to_owned();
        let key = |begin: &str| {
            let mut words = said.split_whitespace();
            words.find(|word| word.starts_with(begin)).unwrap().to_owned()
        };
        assert!(key("sk-tga-").len() > 20);
        let models = serving.endpoint("/v1/models");
        assert_eq!(client::get(&models, &key("sk-tg-")).status, 200);
        assert!(serving.stop().success());
        assert!(!installation.serve().said().contains("sk-tg"));
    }
}

#[test]
fn provider_keys_of_the_environment_become_credentials() {
    let database = TestDatabase::sqlite();
    let installation = Installation::new(PROGRAM, database.url()).set("OPENAI_API_KEY", "sk-one");
    assert!(installation.serve().stop().success());
    let before = installation.ask(&["credential", "list", "--tenant", "default"]);
    let id = before[0]["id"].as_str().unwrap().to_owned();
    installation.ask(&["credential", "disable", &id, "--tenant", "default"]);
    let on = format!("credential:{id}");
    installation.ask(&["limit", "set", "--on", &on, "--per", "day", "--requests", "5"]);
    let installation = installation
        .set("OPENAI_API_KEY", "sk-two")
        .set("GOOGLE_API_KEY", "g");
    assert!(installation.serve().stop().success());
    let credentials = installation.ask(&["credential", "list", "--tenant", "default"]);
    let providers: Vec<&str> = credentials
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["provider"].as_str().unwrap())
        .collect();
    assert_eq!(providers, ["gemini", "openai"]);
    assert_eq!(
        (&credentials[1]["id"], &credentials[1]["disabled"]),
        (&json!(id), &json!(true))
    );
    let limits = installation.ask(&["limit", "list", "--tenant", "default"]);
    assert_eq!(limits.as_array().unwrap().len(), 1, "{limits}");
    let audit = installation.ask(&["audit"]).to_string();
    assert!(
        audit.contains("credential.set_secret") && !audit.contains("sk-one") && !audit.contains("sk-two"),
        "{audit}"
    );
}

#[test]
fn what_keeps_a_start_from_happening_is_said_in_one_line_with_its_own_exit_code() {
    let database = TestDatabase::sqlite();
    let fresh = || Installation::new(PROGRAM, database.url());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let cases = [
        (
            fresh().set("TOLLGATE_LISTN", "x"),
            3,
            "there is no setting TOLLGATE_LISTN",
        ),
        (
            fresh().set("TOLLGATE_LISTEN", "0.0.0.0:0"),
            3,
            "TOLLGATE_ALLOW_PUBLIC_BIND",
        ),
        (
            fresh().set("TOLLGATE_METRICS_LISTEN", "[::]:0"),
            3,
            "TOLLGATE_METRICS_LISTEN=[::]:0 can be reached",
        ),
        (fresh().set("TOLLGATE_METRICS_LISTEN", &address), 5, "is in use"),
        (
            fresh().set("TOLLGATE_MASTER_KEY", ""),
            4,
            "TOLLGATE_MASTER_KEY is set, but empty",
        ),
        (fresh().set("TOLLGATE_MASTER_KEY", &"a".repeat(64)), 4, "too weak"),
        (
            fresh().set("TOLLGATE_ADMIN_KEY", "secret"),
            4,
            "TOLLGATE_ADMIN_KEY is not an admin key",
        ),
        (fresh().set("TOLLGATE_LISTEN", &address), 5, "is in use"),
        (
            fresh().set("TOLLGATE_DATABASE_URL", nowhere),
            7,
            "the database does not answer",
        ),
    ];
    for (installation, code, said) in cases {
        check(&installation.run(&["serve"]), code, said);
        assert!(
            !installation.master_key_file().exists(),
            "{said}: nothing is left behind"
        );
    }
}

#[test]
fn a_database_of_a_newer_program_or_another_master_key_is_left_alone() {
    for database in TestDatabase::each() {
        let installation = Installation::new(PROGRAM, database.url());
        assert!(installation.serve().stop().success());
        let stranger = Installation::new(PROGRAM, database.url());
        check(&stranger.run(&["serve"]), 4, "a master key that is not here");
        assert!(!stranger.master_key_file().exists());
        set_schema_version(&database, 4711);
        check(&installation.run(&["serve"]), 6, "schema 4711");
        check(&installation.run(&["tenant", "list"]), 6, "schema 4711");
    }
}

#[test]
fn a_second_gateway_does_not_share_the_first_ones_port() {
    let database = TestDatabase::sqlite();
    let installation = Installation::new(PROGRAM, database.url());
    let serving = installation.serve();
    let address = serving.url().trim_start_matches("http://").to_owned();
    let second = Installation::new(PROGRAM, database.url()).set("TOLLGATE_LISTEN", &address);
    check(&second.run(&["serve"]), 5, "is in use");
    assert_eq!(client::get(&serving.endpoint("/livez"), "").status, 200);
}

#[test]
fn a_file_of_settings_is_read_and_checked() {
    let database = TestDatabase::sqlite();
    let installation = Installation::new(PROGRAM, database.url());
    fs::write(
        installation.folder().join("tollgate.yaml"),
        "TOLLGATE_LOG_FORMAT: ${FORMAT}\n",
    )
    .unwrap();
    check(&installation.run(&["serve"]), 3, "the variable FORMAT is not set");
    let installation = installation.set("FORMAT", "json");
    let serving = installation.serve();
    client::post(
        &serving.endpoint("/v1/chat/completions"),
        &serving.key(),
        &request("echo-1", false),
    );
    installation.usage_until("model", |lines| !lines.is_empty());
    let log = serving.log();
    let line = log.lines().find(|line| line.contains("tollgate::call")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let expected = json!(["echo-1", "echo", 200, 3, 3]);
    let told = [
        "model_name",
        "provider",
        "status",
        "input_tokens",
        "output_tokens",
    ]
    .map(|name| line[name].clone());
    assert_eq!(json!(told), expected, "{line}");
}

#[track_caller]
fn check(output: &Output, code: i32, said: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("tollgate: ") && last.contains(said),
        "{said}: {errors}"
    );
    assert_eq!(output.status.code(), Some(code), "{errors}");
}

fn set_schema_version(database: &TestDatabase, version: i64) {
    testkit::database::execute(
        database.url(),
        &format!("UPDATE schema_version SET version = {version}"),
    );
}
