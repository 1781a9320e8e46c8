//! The doctor, called to installations of which one thing is wrong each.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;
use testkit::collector::Collector;
use testkit::database::{TestDatabase, execute};
use testkit::process::Installation;
use testkit::vendor::{Play, Vendor};

use crate::world::PROGRAM;

/// Ends the doctor with this when something is wrong.
const UNWELL: i32 = 11;

#[test]
fn a_healthy_installation_is_well_before_during_and_after_it_serves() {
    for database in TestDatabase::each() {
        let collector = Collector::start();
        let installation = healthy(&database).set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint());
        let well = examined(&installation);
        assert_eq!(well.code, 0, "{well:?}");
        let checks = [
            "settings",
            "database",
            "schema",
            "database writable",
            "master key",
            "secrets",
            "rows",
            "routes",
            "credentials",
        ];
        for check in checks {
            assert_eq!(well.verdicts(check), ["ok"], "{check}: {well:?}");
        }
        assert!(well.says("ok", "port", "is free"), "{well:?}");
        assert!(
            well.says("ok", "traces", "the collector takes traces"),
            "{well:?}"
        );
        if database.is_sqlite() {
            assert!(well.says("ok", "journal", "write-ahead log") && well.says("ok", "disk", "MiB are free"));
        } else {
            assert!(well.says("ok", "clock", "ms apart"), "{well:?}");
        }

        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let installation = installation.set("TOLLGATE_LISTEN", &address);
        let serving = installation.serve();
        let well = examined(&installation);
        assert!(
            well.code == 0 && well.says("ok", "port", "it is ready"),
            "{well:?}"
        );
        drop(serving);

        // For people: one line for each check.
        let output = installation.run(&["doctor"]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            told.lines()
                .all(|line| line.starts_with("ok ") || line.starts_with("warning ")),
            "{told}"
        );
    }
}

#[test]
fn a_first_look_changes_nothing() {
    let database = TestDatabase::sqlite();
    let installation = Installation::new(PROGRAM, database.url());
    let found = examined(&installation);
    assert!(
        found.code == 0 && found.says("warning", "database", "there is no database"),
        "{found:?}"
    );
    let path = database.url().trim_start_matches("sqlite:").to_owned();
    assert!(!fs::exists(path).unwrap() && !installation.master_key_file().exists());
}

#[test]
fn an_empty_postgres_is_left_empty() {
    for database in TestDatabase::each()
        .into_iter()
        .filter(|database| !database.is_sqlite())
    {
        let installation = Installation::new(PROGRAM, database.url());
        let found = examined(&installation);
        assert!(
            found.says("warning", "schema", "the database is empty"),
            "{found:?}"
        );
        // It would be refused if it were there.
        execute(database.url(), "CREATE TABLE schema_version (id INT)");
    }
}

#[test]
fn what_is_wrong_with_the_settings_or_the_machine_is_said() {
    let database = TestDatabase::sqlite();
    let fresh = || healthy(&database);
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let http = Vendor::start(|_| Play::json(200, "{}"));
    let http = http.base_url().replace("http://", "").replace("/v1", "");
    let key = "x".repeat(43);
    let cases = [
        (
            fresh().set("TOLLGATE_LISTN", "x"),
            "settings",
            "there is no setting TOLLGATE_LISTN",
        ),
        (
            fresh().set("TOLLGATE_WORKERS", "many"),
            "settings",
            "is not a number",
        ),
        (
            fresh().set("TOLLGATE_MASTER_KEY", &key),
            "master key",
            "TOLLGATE_MASTER_KEY",
        ),
        (
            fresh().set("TOLLGATE_MASTER_KEY_FILE", "none.key"),
            "master key",
            "no master key at none.key",
        ),
        (
            fresh().set("TOLLGATE_LISTEN", &http),
            "port",
            "which is no gateway",
        ),
        (
            fresh().set("TOLLGATE_METRICS_LISTEN", &http),
            "port",
            "which is no gateway",
        ),
        (
            fresh()
                .set("TOLLGATE_LISTEN", "192.0.2.1:80")
                .set("TOLLGATE_ALLOW_PUBLIC_BIND", "true"),
            "port",
            "192.0.2.1:80",
        ),
        (
            fresh().set("TOLLGATE_DATABASE_URL", "postgres://u@127.0.0.1:1/d"),
            "database",
            "does not answer",
        ),
        (
            fresh().set("TOLLGATE_DATABASE_URL", "mysql://u:p@h/d"),
            "database",
            "not usable",
        ),
    ];
    for (installation, check, said) in cases {
        let found = examined(&installation);
        assert_eq!(found.code, UNWELL, "{said}: {found:?}");
        assert!(found.says("problem", check, said), "{said}: {found:?}");
    }
    let warned = examined(&fresh().set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"));
    assert!(
        warned.code == 0 && warned.says("warning", "traces", "cannot be reached"),
        "{warned:?}"
    );
    let refused = Vendor::start(|_| Play::json(404, "{}"));
    let warned = examined(&fresh().set("OTEL_EXPORTER_OTLP_ENDPOINT", &refused.base_url()));
    assert!(warned.says("warning", "traces", "status 404"), "{warned:?}");
    // A port that takes connections and then says nothing is waited for, but not for ever.
    let silent = examined(&fresh().set("TOLLGATE_LISTEN", &address));
    assert!(
        silent.says("problem", "port", "which is no gateway"),
        "{silent:?}"
    );
}

#[test]
fn what_is_wrong_with_files_is_said() {
    let database = TestDatabase::sqlite();
    let installation = healthy(&database);
    let key = installation.master_key_file();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let found = examined(&installation);
    assert!(
        found.code == UNWELL && found.says("problem", "master key", "chmod 600"),
        "{found:?}"
    );
    // What needs no key is looked at all the same.
    assert_eq!(found.verdicts("schema"), ["ok"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let other = Installation::new(PROGRAM, database.url());
    let ring = other.ask(&["vault", "generate"])["master_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let found = examined(&other.set("TOLLGATE_MASTER_KEY", &ring));
    assert!(
        found.code == UNWELL && found.says("problem", "master key", "is not the one"),
        "{found:?}"
    );

    let doctor = installation.command(&["doctor", "--output", "json"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 300; exec \"$0\" \"$@\""])
        .arg(doctor.get_program())
        .args(doctor.get_args())
        .current_dir(installation.folder())
        .env_clear()
        .envs(doctor.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let found = Found::read(&limited.output().unwrap());
    assert!(
        found.says("warning", "file descriptors", "300 may be open"),
        "{found:?}"
    );
}

#[test]
fn a_database_of_another_schema_or_that_cannot_be_written_is_said() {
    for database in TestDatabase::each() {
        let installation = healthy(&database);
        for (version, said) in [(4711, "knows"), (0, "needs")] {
            execute(
                database.url(),
                &format!("UPDATE schema_version SET version = {version}"),
            );
            let found = examined(&installation);
            assert!(
                found.code == UNWELL && found.says("problem", "schema", said),
                "{found:?}"
            );
        }
    }
    for database in TestDatabase::each()
        .into_iter()
        .filter(|database| !database.is_sqlite())
    {
        let installation = healthy(&database);
        let name = database.url().rsplit('/').next().unwrap();
        execute(
            database.url(),
            &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
        );
        let found = examined(&installation);
        assert!(
            found.code == UNWELL && found.says("problem", "database writable", "read-only"),
            "{found:?}"
        );
    }
}

#[test]
fn rows_that_make_no_sense_are_said_by_tenant_and_others_are_well() {
    for database in TestDatabase::each() {
        let installation = healthy(&database);
        let credential = installation.ask(&["credential", "list", "--tenant", "acme"])[0]["id"].clone();
        let credential = credential.as_str().unwrap();
        let update = |what: &str| execute(database.url(), what);
        type Case<'a> = (&'a str, &'a str, &'a str, &'a str);
        let cases: [Case<'_>; 6] = [
            (
                "UPDATE credentials SET base_url_by = 'martian'",
                "UPDATE credentials SET base_url_by = 'operator'",
                "rows",
                "tenant acme is out of service",
            ),
            (
                "UPDATE tenants SET disabled = 2 WHERE name = 'acme'",
                "UPDATE tenants SET disabled = 0",
                "rows",
                "disabled is 2",
            ),
            (
                "UPDATE credentials SET provider = 'martian'",
                "UPDATE credentials SET provider = 'groq'",
                "credentials",
                "no provider `martian`",
            ),
            (
                "UPDATE routes SET targets = 'martian/m'",
                "UPDATE routes SET targets = 'groq'",
                "routes",
                "names the provider martian",
            ),
            (
                "UPDATE routes SET targets = '/'",
                "UPDATE routes SET targets = 'groq'",
                "rows",
                "tenant acme",
            ),
            (
                "UPDATE gateway_keys SET models = 'gpt-['",
                "UPDATE gateway_keys SET models = NULL",
                "rows",
                "tenant acme",
            ),
        ];
        for (broken, mended, check, said) in cases {
            update(broken);
            let found = examined(&installation);
            assert!(
                found.code == UNWELL && found.says("problem", check, said),
                "{broken}: {found:?}"
            );
            update(mended);
        }
        assert_eq!(examined(&installation).code, 0);

        let blob = if database.is_sqlite() { "x'01'" } else { "'\\x01'" };
        update(&format!("UPDATE credentials SET secret = {blob}"));
        let found = examined(&installation);
        assert!(
            found.code == UNWELL && found.says("problem", "secrets", credential),
            "{found:?}"
        );
        assert!(found.verdicts("rows") == ["ok"], "said once: {found:?}");

        // What works, but leads to nothing, is a warning.
        installation.ask(&["credential", "remove", credential, "--tenant", "acme"]);
        let found = examined(&installation);
        assert!(
            found.code == 0 && found.says("warning", "credentials", "tenant acme has gateway keys"),
            "{found:?}"
        );
        assert!(found.says("warning", "routes", "leads to nothing"), "{found:?}");
    }
}

/// An installation that has served nobody yet, with one tenant that has all it needs.
fn healthy(database: &TestDatabase) -> Installation {
    let installation = Installation::new(PROGRAM, database.url());
    let key = std::path::Path::new(database.url().trim_start_matches("sqlite:")).with_extension("key");
    let key = if database.is_sqlite() {
        key
    } else {
        installation.folder().join("master.key")
    };
    let installation = installation.set("TOLLGATE_CONNECTIONS_MAX", "100");
    if database.is_sqlite() && key.exists() {
        // Of an earlier one on this database.
        fs::create_dir_all(installation.master_key_file().parent().unwrap()).unwrap();
        fs::copy(&key, installation.master_key_file()).unwrap();
        return installation;
    }
    installation.ask(&["migrate"]);
    fs::copy(installation.master_key_file(), key).unwrap();
    installation.ask(&["tenant", "create", "acme"]);
    installation.ask(&["key", "create", "--tenant", "acme"]);
    let add = [
        "credential",
        "add",
        "--tenant",
        "acme",
        "--provider",
        "groq",
        "--name",
        "main",
    ];
    installation.ask_with(&add, "a-secret");
    installation.ask(&["route", "set", "fast", "--to", "groq/llama", "--tenant", "acme"]);
    installation
}

/// What the doctor said.
#[derive(Debug)]
struct Found {
    code: i32,
    lines: Vec<(String, String, String)>,
}

fn examined(installation: &Installation) -> Found {
    Found::read(&installation.run(&["doctor", "--output", "json"]))
}

impl Found {
    fn read(output: &std::process::Output) -> Self {
        let errors = String::from_utf8_lossy(&output.stderr);
        let told: Vec<Value> = serde_json::from_slice(&output.stdout).expect(&errors);
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        for row in &told {
            let is_ok = row["verdict"] == "ok";
            assert_eq!(
                row["remedy"].is_null(),
                is_ok,
                "what is wrong has a remedy: {row}"
            );
            assert!(!text(row, "what").contains('\n'), "one line: {row}");
        }
        let lines = told
            .iter()
            .map(|row| (text(row, "verdict"), text(row, "check"), text(row, "what")));
        Self {
            code: output.status.code().unwrap(),
            lines: lines.collect(),
        }
    }

    fn says(&self, verdict: &str, check: &str, what: &str) -> bool {
        let fits =
            |line: &&(String, String, String)| line.0 == verdict && line.1 == check && line.2.contains(what);
        self.lines.iter().any(|line| fits(&line))
    }

    fn verdicts(&self, check: &str) -> Vec<&str> {
        let of_check = self.lines.iter().filter(|line| line.1 == check);
        of_check.map(|line| line.0.as_str()).collect()
    }
}
