//! `tollgate limit …`: what is set, shown, observed and removed, and what is refused.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::database::TestDatabase;
use testkit::process::Installation;
use testkit::vendor::{Play, Vendor};

use crate::world::{PROGRAM, TENANT, World, completion, request};

const PATIENCE: Duration = Duration::from_secs(20);

/// An installation with a tenant, a key and a credential, on which nothing serves.
struct Desk {
    installation: Installation,
    tenant: String,
    key: String,
    credential: String,
    /// Held: it goes with this.
    _database: TestDatabase,
}

impl Desk {
    fn new(database: TestDatabase) -> Self {
        let installation = Installation::new(PROGRAM, database.url());
        installation.ask(&["migrate"]);
        let id = |made: Value| made["id"].as_str().unwrap().to_owned();
        let tenant = id(installation.ask(&["tenant", "create", "acme"]));
        let key = id(installation.ask(&["key", "create", "--tenant", "acme"]));
        let add = ["credential", "add", "--tenant", "acme", "--provider", "openai"];
        let credential = id(installation.ask_with(&add, "sk-canary"));
        Self {
            installation,
            tenant,
            key,
            credential,
            _database: database,
        }
    }

    fn set(&self, on: &str, rest: &str) -> Vec<Value> {
        let rest: Vec<&str> = rest.split(' ').collect();
        let set = self
            .installation
            .ask(&[&["limit", "set", "--on", on][..], &rest].concat());
        set.as_array().unwrap().clone()
    }

    fn list(&self) -> Vec<Value> {
        let listed = self.installation.ask(&["limit", "list", "--tenant", "acme"]);
        listed.as_array().unwrap().clone()
    }

    /// The exit code of what is refused, and why.
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.installation.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }
}

#[test]
fn nothing_is_promised_of_rolling_minutes_for_an_outage() {
    let mut desk = Desk::new(TestDatabase::sqlite());
    let on = format!("tenant:{}", desk.tenant);
    let rolling = [
        "limit",
        "set",
        "--on",
        &on,
        "--per",
        "rolling-minute",
        "--requests",
        "9",
    ];
    desk.installation = desk.installation.set("TOLLGATE_ON_STORE_OUTAGE", "reserve");
    let (code, said) = desk.refused(&rolling);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("nothing can be reserved of rolling minutes"),
        "{said}"
    );
    assert_eq!(desk.list(), [] as [Value; 0]);
    assert_eq!(desk.set(&on, "--per minute --requests 9").len(), 1);
    desk.installation = desk.installation.set("TOLLGATE_ON_STORE_OUTAGE", "deny");
    assert_eq!(desk.set(&on, "--per rolling-minute --requests 9").len(), 1);
}

/// The database grants nothing until it was told what is held; then calls go on, to the limit and no further.
#[test]
fn whoever_puts_a_database_back_says_so_and_nothing_is_given_out_twice() {
    const CAP: usize = 6;
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let on = format!("tenant:{TENANT}");
        let day = ["limit", "set", "--on", &on, "--per", "day", "--requests", "6"];
        world.installation.ask(&day);
        let call = || world.chat(&request("custom/m", false)).status;
        let until = |what: &str, is_so: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !is_so() {
                assert!(begun.elapsed() < PATIENCE, "never: {what}");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        // Those before it was noticed are counted by nobody.
        until("limited", &|| {
            let answer = world.chat(&request("custom/m", false));
            !answer.header("x-ratelimit-limit-requests").is_empty()
        });
        let used = || vendor.seen().len();
        let most = used() - 1 + CAP;
        let epoch = || {
            testkit::database::ask(
                world.database.url(),
                "SELECT CAST(epoch AS TEXT) FROM store_epoch",
            )
        };
        let before = epoch();
        let told = world.installation.ask(&["ledger", "restored"]);
        assert_eq!(told["store_epoch"], json!(epoch()));
        assert_ne!(before, epoch());
        until("used up", &|| {
            call();
            used() >= most
        });
        for _ in 0..3 {
            assert_eq!(call(), 429);
        }
        assert_eq!(used(), most, "no more than the limit");
        let audited = world.installation.ask(&["audit"]).to_string();
        assert!(audited.contains("limit.restored"), "{audited}");
    }
}

#[test]
fn a_limit_is_set_shown_replaced_observed_and_removed() {
    for database in TestDatabase::each() {
        let desk = Desk::new(database);
        assert_eq!(desk.list(), [] as [Value; 0]);
        let set = desk.set("tenant:acme", "--per minute --requests 100 --tokens 50000");
        assert_eq!(set.len(), 2);
        let id = set[0]["id"].as_str().unwrap();
        let expected = json!({
            "id": id, "tenant_id": desk.tenant, "on": format!("tenant:{}", desk.tenant), "unit": "requests",
            "per": "minute", "zone": "UTC", "cap": 100, "allows": "100 requests", "mode": "enforce",
            "firmness": "hard", "unpriced": null, "granted": null, "settled": null, "taken": null, "until": null,
        });
        assert_eq!(set[0], expected);
        assert_eq!(
            (&set[1]["unit"], &set[1]["cap"], &set[1]["firmness"]),
            (&json!("tokens"), &json!(50_000), &json!("hard"))
        );
        assert_eq!(desk.list(), set);

        // In its place, under its id; and it stays as it was, an observed one.
        desk.installation.ask(&["limit", "observe", id]);
        let again = desk.set(&format!("tenant:{}", desk.tenant), "--per minute --requests 0");
        assert_eq!(
            (&again[0]["id"], &again[0]["cap"], &again[0]["mode"]),
            (&json!(id), &json!(0), &json!("observe"))
        );
        let enforced = desk.installation.ask(&["limit", "enforce", id]);
        assert_eq!(enforced, json!({"id": id, "mode": "enforce"}));
        assert_eq!(desk.list()[0]["mode"], "enforce");

        assert_eq!(
            desk.installation.ask(&["limit", "remove", id]),
            json!({"removed": id})
        );
        assert_eq!(desk.list(), [set[1].clone()]);
        for verb in ["remove", "observe", "enforce"] {
            assert_eq!(desk.refused(&["limit", verb, id]).0, Some(8), "{verb}");
        }
        let audit = desk.installation.ask(&["audit"]).to_string();
        for action in ["limit.set", "limit.set_mode", "limit.remove"] {
            assert!(audit.contains(action), "{action}");
        }
    }
}

#[test]
fn what_becomes_of_models_without_a_price_is_said_of_dollars_alone_and_kept() {
    for database in TestDatabase::each() {
        let desk = Desk::new(database);
        let set = desk.set("tenant:acme", "--per day --requests 5 --usd 1 --unpriced allow");
        let unpriced = |rows: &[Value]| {
            let of = rows.iter().map(|row| row["unpriced"].clone());
            of.collect::<Vec<_>>()
        };
        assert_eq!(unpriced(&set), [json!(null), json!("allow")]);
        for (rest, expected) in [
            ("--usd 2", "allow"),
            ("--usd 2 --unpriced refuse", "refuse"),
            ("--usd 3", "refuse"),
        ] {
            let again = desk.set("tenant:acme", &format!("--per day {rest}"));
            assert_eq!(unpriced(&again), [json!(expected)], "{rest}");
        }
        let key = format!("key:{}", desk.key);
        let set = desk.set(&key, "--per day --usd 1");
        assert_eq!(unpriced(&set), [json!("refuse")], "a new one");
        let of_requests = [
            "limit",
            "set",
            "--on",
            &key,
            "--per",
            "day",
            "--requests",
            "1",
            "--unpriced",
            "allow",
        ];
        let (code, said) = desk.refused(&of_requests);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("--usd"), "{said}");
    }
}

#[test]
fn what_calls_take_of_a_limit_is_shown() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        world.limit_requests_a_day(100);
        let deadline = Instant::now() + PATIENCE;
        let mut calls = 0;
        loop {
            let row = world.installation.ask(&["limit", "list", "--tenant", TENANT])[0].clone();
            // Calls before the limit was noticed are not counted by it.
            if let Some(granted) = row["granted"].as_u64().filter(|granted| *granted > 0) {
                let settled = row["settled"].as_u64().unwrap();
                assert!(settled <= calls && settled <= granted && granted <= 100, "{row}");
                assert_eq!(row["taken"], format!("{granted} requests"));
                assert!(row["until"].as_str().unwrap().ends_with("T00:00:00Z"), "{row}");
                break;
            }
            assert!(Instant::now() < deadline, "nothing is ever counted: {row}");
            // The very first may be told to come again, where the database takes its time.
            let answer = world.chat(&request("custom/m", false));
            match answer.status {
                200 => calls += 1,
                _ => assert_eq!(answer.json()["error"]["code"], "limit_reached"),
            }
        }
    }
}

#[test]
fn every_subject_unit_and_period_can_be_said() {
    let desk = Desk::new(TestDatabase::sqlite());
    let credential = format!("credential:{}", desk.credential);
    let said = |on: &str, rest: &str| {
        let row = desk.set(on, rest).remove(0);
        ["unit", "per", "zone", "cap", "firmness", "mode"].map(|member| row[member].clone())
    };
    let shown = |unit: &str, per: &str, zone: &str, cap: Value, firmness: &str, mode: &str| {
        [
            json!(unit),
            json!(per),
            json!(zone),
            cap,
            json!(firmness),
            json!(mode),
        ]
    };
    assert_eq!(
        said("tenant:acme", "--per month --usd 12.50 --zone Europe/Berlin"),
        shown(
            "nano_dollars",
            "month",
            "Europe/Berlin",
            json!(12_500_000_000_u64),
            "hard",
            "enforce"
        )
    );
    assert_eq!(
        said(
            &format!("key:{}", desk.key),
            "--per rolling-minute --input-tokens 7 --soft"
        ),
        shown(
            "input_tokens",
            "rolling_minute",
            "UTC",
            json!(7),
            "soft",
            "enforce"
        )
    );
    // A credential's tokens mirror what its vendor counts.
    assert_eq!(
        said(&credential, "--per minute --output-tokens 9"),
        shown("output_tokens", "minute", "UTC", json!(9), "soft", "enforce")
    );
    assert_eq!(
        said(&credential, "--per day --tokens 9 --hard --observe"),
        shown("tokens", "day", "UTC", json!(9), "hard", "observe")
    );
    assert_eq!(
        said("model:acme/meta-llama/Llama-3.3", "--concurrent 3"),
        shown("concurrent", "always", "UTC", json!(3), "hard", "enforce")
    );
    assert_eq!(
        said("tenant:acme", "--per day --requests unlimited"),
        shown("requests", "day", "UTC", json!("unlimited"), "hard", "enforce")
    );
    let listed: Vec<Value> = desk.list().iter().map(|row| row["on"].clone()).collect();
    assert!(
        listed.contains(&json!(format!("model:{}/meta-llama/Llama-3.3", desk.tenant))),
        "{listed:?}"
    );
    let table = desk.installation.run(&["limit", "list", "--tenant", "acme"]);
    let table = String::from_utf8(table.stdout).unwrap();
    for cell in [
        "12.50 USD",
        "3 at once",
        "unlimited",
        "Europe/Berlin",
        "rolling_minute",
    ] {
        assert!(table.contains(cell), "{cell}: {table}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_and_sets_nothing() {
    let desk = Desk::new(TestDatabase::sqlite());
    let foreign = desk.installation.ask(&["tenant", "create", "other"]);
    assert!(foreign["id"].is_string());
    for (on, rest, code) in [
        ("tenant:acme", "--per minute", 2),
        ("tenant:acme", "--requests 5", 2),
        ("planet:mars", "--per minute --requests 5", 2),
        ("model:acme", "--per minute --requests 5", 2),
        ("tenant:acme", "--per week --requests 5", 2),
        ("tenant:acme", "--per minute --requests -5", 2),
        ("tenant:acme", "--per minute --requests 1.5", 2),
        ("tenant:acme", "--per minute --usd 1e3", 2),
        ("tenant:acme", "--per minute --usd 0.0000000001", 2),
        ("tenant:acme", "--per minute --tokens 5 --soft --hard", 2),
        ("tenant:acme", "--per minute --tokens 5 --requests 5 --soft", 1),
        // The first of them would be taken by itself.
        ("tenant:acme", "--per minute --tokens 5 --usd 2000000000", 1),
        ("tenant:acme", "--per minute --concurrent 5", 1),
        ("tenant:acme", "--per day --requests 5 --zone Mars/Olympus", 1),
        ("tenant:nobody", "--per minute --requests 5", 8),
        ("key:nobody", "--per minute --requests 5", 8),
        ("credential:nobody", "--per minute --requests 5", 8),
        ("model:nobody/m", "--per minute --requests 5", 8),
    ] {
        let rest: Vec<&str> = rest.split(' ').collect();
        let arguments = [&["limit", "set", "--on", on][..], &rest].concat();
        let (ended, said) = desk.refused(&arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    // A key is no credential.
    let on = format!("credential:{}", desk.key);
    let arguments = ["limit", "set", "--on", &on, "--per", "minute", "--requests", "5"];
    assert_eq!(desk.refused(&arguments).0, Some(8));
    assert_eq!(desk.list(), [] as [Value; 0]);
}
