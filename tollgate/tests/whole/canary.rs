//! Secrets, each a string that occurs once in the world, are looked for wherever they must not be.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use testkit::client;
use testkit::database::TestDatabase;
use testkit::process::Serving;
use testkit::vendor::{Play, Vendor};

use crate::world::{TENANT, VENDOR_SECRET, World, request};

const PROMPT: &str = "the-prompt-that-nobody-keeps-5f1c";

#[test]
fn no_secret_and_no_prompt_is_found_where_it_must_not_be() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|seen| {
            let leak = format!("{:?} {:?}", seen.headers, String::from_utf8_lossy(&seen.body));
            Play::json(401, serde_json::json!({"error": {"message": leak}}).to_string())
        });
        let world = World::with(database, &vendor.base_url(), |installation| {
            installation
                .set("TOLLGATE_LOG", "trace")
                .set("OPENAI_API_KEY", "sk-environment-canary-91")
                .set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0")
        });
        let mut told = String::new();
        let other = world.installation.ask(&["key", "create", "--tenant", TENANT])["secret"].clone();
        let master = fs::read_to_string(world.installation.master_key_file()).unwrap();
        let mut secrets = vec![
            VENDOR_SECRET.to_owned(),
            "sk-environment-canary-91".to_owned(),
            PROMPT.to_owned(),
        ];
        secrets.push(master.trim().trim_start_matches("1:").to_owned());
        for key in [&world.key, other.as_str().unwrap()] {
            secrets.push(vault::gateway_key::parse(key).unwrap().secret.to_owned());
        }
        for (model, key) in [
            ("custom/any", world.key.as_str()),
            ("none", other.as_str().unwrap()),
        ] {
            let body = String::from_utf8(request(model, false))
                .unwrap()
                .replace("one two three", PROMPT);
            let endpoint = world.serving.endpoint("/v1/chat/completions");
            told.push_str(&String::from_utf8_lossy(
                &client::post(&endpoint, key, body.as_bytes()).body,
            ));
            let broken = client::post(&endpoint, key, format!("{body} {key}").as_bytes());
            told.push_str(&String::from_utf8_lossy(&broken.body));
        }
        world.ledger(1);
        for verb in [
            &["tenant", "list"][..],
            &["key", "list", "--tenant", TENANT],
            &["credential", "list", "--tenant", TENANT],
            &["audit"],
            &["usage"],
            &["vault", "status"],
            &["doctor"],
            &[
                "credential",
                "add",
                "--tenant",
                TENANT,
                "--provider",
                "custom",
                "--name",
                "vendor",
                "--base-url",
                "http://x/v1",
            ],
        ] {
            let output = world.installation.run_with(verb, VENDOR_SECRET);
            told.push_str(&String::from_utf8_lossy(&output.stdout));
            told.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        let metrics = client::get(&world.serving.metrics(), "").body;
        assert!(!metrics.is_empty());
        told.push_str(&String::from_utf8_lossy(&metrics));
        told.push_str(&process_list(&world.serving));
        told.push_str(&world.serving.log());
        assert!(told.contains("tollgate::call"), "the log is there");
        search("what was told", told.as_bytes(), &secrets);
        search("the database", &dump(&world.database), &secrets);
    }
}

/// In plain, in base64 from each of the three places where a text can begin, and in hex.
#[track_caller]
pub(crate) fn search(place: &str, hay: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(hay);
    for secret in secrets {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![secret.clone(), hex];
        for lead in 0..3 {
            let padded = [&vec![b'-'; lead][..], secret.as_bytes()].concat();
            for engine in [STANDARD, URL_SAFE] {
                let encoded = engine.encode(&padded);
                // The ends depend on what stands beside.
                forms.push(encoded[4..encoded.len() - 4].to_owned());
            }
        }
        for form in forms {
            assert!(!text.contains(&form), "{place} holds {}…", &secret[..8]);
        }
    }
}

fn process_list(serving: &Serving) -> String {
    let line = fs::read(format!("/proc/{}/cmdline", serving.process_id())).unwrap();
    String::from_utf8_lossy(&line).into_owned()
}

/// Everything that lies in the database.
pub(crate) fn dump(database: &TestDatabase) -> Vec<u8> {
    if let Some(path) = database.url().strip_prefix("sqlite:") {
        let beside = format!("{path}-wal");
        let wal = if Path::new(&beside).exists() {
            fs::read(beside).unwrap()
        } else {
            Vec::new()
        };
        return [fs::read(path).unwrap(), wal].concat();
    }
    let program = std::env::var("TOLLGATE_TEST_PG_DUMP").unwrap_or_else(|_| "pg_dump".to_owned());
    let output = Command::new(program)
        .args(["--inserts", "--dbname", database.url()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("INSERT INTO public.credentials"));
    output.stdout
}
