//! What `tollgate prices` says, sets and takes from files.

use std::time::{Duration, Instant};

use dialect::Usage;
use policy::price::Rates;
use serde_json::{Value, json};
use store::{AttemptRow, AttemptUsage};
use testkit::database::TestDatabase;
use testkit::process::Installation;
use testkit::vendor::{Play, Vendor};

use crate::world::{DONE, PROGRAM, TENANT, World, chunk, completion};

const FILE: &str = r#"{
    "gpt-4o": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
        "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06},
    "xai/grok-x": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    "tts-x": {"litellm_provider": "openai", "mode": "audio_speech", "input_cost_per_character": 1.5e-05}
}"#;

fn installation(database: &TestDatabase) -> Installation {
    let installation = Installation::new(PROGRAM, database.url());
    installation.ask(&["migrate"]);
    installation.ask(&["tenant", "create", TENANT]);
    installation
}

/// Who says what `gpt-4o` costs at OpenAI, and what that is.
fn held(installation: &Installation, more: &[&str]) -> (Value, Value) {
    let list = [
        "prices",
        "list",
        "--model",
        "gpt-4o-2024-08-06",
        "--provider",
        "openai",
    ];
    let rows = installation.ask(&[&list[..], more].concat());
    (rows[0]["by"].clone(), rows[0]["price"].clone())
}

#[test]
fn the_nearest_price_is_told_with_whose_it_is() {
    for database in TestDatabase::each() {
        let installation = installation(&database);
        let ask = |arguments: &[&str]| installation.ask(arguments);
        let of_tenant = ["--tenant", TENANT];
        assert_eq!(held(&installation, &[]).0, "comes with the program");
        let set = ["prices", "set", "openai", "gpt-4o", "output 9, input 3"];
        let for_all = ask(&set);
        assert_eq!(for_all["price"], "input 3, output 9");
        assert_eq!(
            held(&installation, &of_tenant),
            (json!("for all tenants"), json!("input 3, output 9"))
        );
        let own = ask(&[
            &[
                "prices",
                "set",
                "openai",
                "gpt-4o",
                "input 1",
                "--from",
                "2026-01-01",
            ][..],
            &of_tenant,
        ]
        .concat());
        assert_eq!(own["from"], "2026-01-01T00:00:00Z");
        assert_eq!(
            held(&installation, &of_tenant),
            (json!("the tenant's own"), json!("input 1"))
        );
        assert_eq!(held(&installation, &[]).0, "for all tenants");
        let later = [
            "prices",
            "set",
            "openai",
            "gpt-4o",
            "input 7",
            "--from",
            "2100-01-01",
        ];
        ask(&[&later[..], &of_tenant].concat());
        assert_eq!(
            held(&installation, &of_tenant).1,
            "input 1",
            "what is to come does not hold yet"
        );
        let listed = ask(&[&["prices", "list"][..], &of_tenant].concat());
        assert_eq!(listed.as_array().unwrap().len(), 2);
        let id = own["id"].as_str().unwrap();
        ask(&[&["prices", "remove", id][..], &of_tenant].concat());
        ask(&["prices", "remove", for_all["id"].as_str().unwrap()]);
        assert_eq!(held(&installation, &of_tenant).0, "comes with the program");
        let audit = ask(&["audit", "--limit", "2"]);
        assert_eq!(audit[0]["action"], "price.remove");
        let shipped = ask(&["prices", "list", "--shipped", "--provider", "anthropic"]);
        assert!(shipped.as_array().unwrap().len() > 10);
        assert!(shipped[0]["source"].as_str().unwrap().starts_with("https://"));
        assert_eq!(ask(&["prices", "list", "--model", "no-such-model"]), json!([]));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let database = TestDatabase::sqlite();
    let installation = installation(&database);
    let table: [(&[&str], i32, &str); 6] = [
        (&["set", "openai", "m", "cheap"], 1, "`cheap` is not a rate"),
        (&["set", "openai", "m", "output 1"], 1, "no price for input"),
        (
            &["set", "nobody", "m", "input 1"],
            8,
            "there is no provider nobody",
        ),
        (
            &["set", "openai", "m", "input 1", "--tenant", "nobody"],
            8,
            "there is no tenant nobody",
        ),
        (&["set", "openai", "a b", "input 1"], 1, "without spaces"),
        (&["import", "no-such-file.json"], 1, "no-such-file.json"),
    ];
    for (arguments, code, why) in table {
        let output = installation.run(&[&["prices"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn a_file_of_prices_is_taken_whole_and_what_is_left_out_is_told() {
    for database in TestDatabase::each() {
        let installation = installation(&database);
        let file = installation.folder().join("prices.json");
        std::fs::write(&file, FILE).unwrap();
        let import = ["prices", "import", file.to_str().unwrap()];
        let told = installation.ask(&[&import[..], &["--dry-run"]].concat());
        assert_eq!(told["taken"].as_array().unwrap().len(), 2);
        let why = "it has no price for tokens of input; it is charged by input_cost_per_character";
        assert_eq!(told["skipped"], json!([{"name": "tts-x", "why": why}]));
        assert_eq!(
            installation.ask(&["prices", "list"]),
            json!([]),
            "a dry run takes nothing"
        );

        installation.ask(&[&import[..], &["--provider", "openai"]].concat());
        let listed = installation.ask(&["prices", "list"]);
        let row = &listed[0];
        assert_eq!(
            (listed.as_array().unwrap().len(), &row["source"]),
            (1, &json!("prices.json"))
        );
        assert_eq!(
            (&row["context"], &row["max_output"]),
            (&json!(128_000), &json!(16_384))
        );
        assert_eq!(
            held(&installation, &[]),
            (json!("for all tenants"), json!("input 2, output 8"))
        );

        let twice = [&import[..], &["--tenant", TENANT, "--from", "2026-05-01"]].concat();
        installation.ask(&twice);
        installation.ask(&twice);
        let own = installation.ask(&["prices", "list", "--tenant", TENANT]);
        assert_eq!(
            own.as_array().unwrap().len(),
            2,
            "the same file again changes nothing"
        );
    }
}

#[test]
fn a_call_costs_what_the_tier_costs_that_it_asked_for() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let price = "input 1000, output 1000; flex: input 500, output 250";
    world.installation.ask(&["prices", "set", "custom", "m", price]);
    let cost = |tier: serde_json::Value| {
        let body = json!({
            "model": "custom/m", "service_tier": tier, "messages": [{"role": "user", "content": "one two three"}],
        });
        let answer = world.post("/v1/chat/completions", &body.to_string());
        assert_eq!(answer.status, 200);
        let cost = answer.headers.get("x-tollgate-cost-usd");
        cost.map(|cost| cost.to_str().unwrap().to_owned())
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while cost(json!(null)).is_none() {
        assert!(Instant::now() < deadline, "the price never holds");
    }
    assert_eq!(cost(json!("auto")).as_deref(), Some("0.004000000"));
    assert_eq!(cost(json!("flex")).as_deref(), Some("0.001750000"));
    assert_eq!(cost(json!("priority")), None, "nobody says what that costs");
    assert_eq!(cost(json!(7)).as_deref(), Some("0.004000000"));
}

#[test]
fn a_call_costs_what_the_tier_costs_in_which_it_was_answered() {
    // The vendor answers in the tier that it finds in a member of ours, all at once or as a stream.
    let vendor = Vendor::start(|request| {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let tier = &asked["answer_in"];
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
        if asked["stream"] != true {
            let message = json!({"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}});
            let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [message], "usage": usage, "service_tier": tier});
            return Play::json(200, answer.to_string());
        }
        let last = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage, "service_tier": tier});
        let stop = chunk("hi", Some("stop"));
        Play::stream([stop, format!("data: {last}\n\n").into_bytes(), DONE.to_vec()])
    });
    let world = World::new(TestDatabase::sqlite(), &vendor);
    let price = "input 1000, output 1000; flex: input 500, output 250";
    world.installation.ask(&["prices", "set", "custom", "m", price]);
    let ask = |asked: &str, told: Value, stream: bool| {
        let body = json!({
            "model": "custom/m", "service_tier": asked, "answer_in": told, "stream": stream,
            "messages": [{"role": "user", "content": "one two three"}],
        });
        let answer = world.post("/v1/chat/completions", &body.to_string());
        assert_eq!(answer.status, 200);
        answer.header("x-request-id").to_owned()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let call = ask("auto", json!("default"), false);
        let rows = world.ledger_until(|rows| rows.contains_key(&call));
        if rows[&call].cost_nano.is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "the price never holds");
    }
    for stream in [false, true] {
        for (asked, told, cost) in [
            ("auto", json!("flex"), Some(1_750_000)),
            ("flex", json!("default"), Some(4_000_000)),
            ("flex", json!(null), Some(1_750_000)),
            ("flex", json!(""), Some(1_750_000)),
            ("priority", json!("default"), Some(4_000_000)),
            ("auto", json!("priority"), None),
        ] {
            let call = ask(asked, told.clone(), stream);
            let rows = world.ledger_until(|rows| rows.contains_key(&call));
            assert_eq!(
                rows[&call].cost_nano, cost,
                "asked {asked}, told {told}, {stream}"
            );
        }
    }
}

#[test]
fn a_row_costs_the_same_when_it_is_priced_again() {
    let claude = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}],
        "usage": {
            "input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 700}, "output_tokens": 5,
        },
    });
    let painter = json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 1300, "totalTokenCount": 1310,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        },
    });
    let answering = |answer: Value| Vendor::start(move |_| Play::json(200, answer.to_string()));
    let vendors = [answering(claude), answering(painter)];
    for database in TestDatabase::each() {
        let urls = [
            vendors[0].base_url(),
            vendors[1].base_url().replace("/v1", "/v1beta"),
        ];
        let providers = [("anthropic", urls[0].as_str()), ("gemini", urls[1].as_str())];
        let world = World::of(database, &providers, |installation| installation);
        let price = "input 1, cached 0.1, cache_write 2, cache_write_1h 3, output 10, image_output 40";
        for (provider, _) in providers {
            world.installation.ask(&["prices", "set", provider, "m", price]);
        }
        let prompt = json!([{"role": "user", "content": "hi"}]);
        let message = json!({"model": "anthropic/m", "max_tokens": 5, "messages": prompt}).to_string();
        let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).to_string();
        let calls = [
            ("/v1/messages", message, "0.002770000"),
            (
                "/v1beta/models/gemini%2Fm:generateContent",
                contents,
                "0.051710000",
            ),
        ];
        for (path, body, cost) in &calls {
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let answer = world.post(path, body);
                assert_eq!(answer.status, 200, "{path}");
                match answer.headers.get("x-tollgate-cost-usd") {
                    Some(told) if told == cost => break,
                    told => assert!(Instant::now() < deadline, "{path}: {told:?}, not {cost}"),
                }
            }
        }
        let is_priced = |row: &&AttemptRow| {
            row.price_version
                .as_deref()
                .is_some_and(|by| by.contains("image_output 40"))
        };
        let is_told = |rows: &[AttemptRow], dialect: &str| {
            rows.iter().filter(is_priced).any(|row| row.dialect == dialect)
        };
        let rows = world
            .attempts_until(|rows| is_told(rows, "anthropic_messages") && is_told(rows, "gemini_generate"));
        for row in rows.iter().filter(is_priced) {
            let rates = Rates::of_version(row.price_version.as_deref().unwrap()).unwrap();
            let cost = rates.cost(&used(&row.usage.unwrap()));
            assert_eq!(cost.map(u64::cast_signed), row.cost_nano, "{row:?}");
        }
        let lines = world.installation.ask(&["usage", "--by", "provider"]);
        let lines = lines.as_array().unwrap();
        let line = |provider: &str| lines.iter().find(|line| line["provider"] == provider).unwrap();
        let per_call = |provider: &str, tokens: &str| {
            line(provider)[tokens].as_i64().unwrap() / line(provider)["calls"].as_i64().unwrap()
        };
        assert_eq!(per_call("anthropic", "cache_write_1h_tokens"), 700);
        assert_eq!(per_call("gemini", "image_output_tokens"), 1290);
    }
}

/// What a row says was used, as it is priced.
fn used(row: &AttemptUsage) -> Usage {
    Usage {
        input_tokens: row.input_tokens.cast_unsigned(),
        cached_input_tokens: row.cached_input_tokens.cast_unsigned(),
        cache_write_tokens: row.cache_write_tokens.cast_unsigned(),
        cache_write_1h_tokens: row.cache_write_1h_tokens.cast_unsigned(),
        output_tokens: row.output_tokens.cast_unsigned(),
        reasoning_tokens: row.reasoning_tokens.cast_unsigned(),
        audio_input_tokens: row.audio_input_tokens.cast_unsigned(),
        audio_output_tokens: row.audio_output_tokens.cast_unsigned(),
        image_output_tokens: row.image_output_tokens.cast_unsigned(),
        tier: None,
    }
}
